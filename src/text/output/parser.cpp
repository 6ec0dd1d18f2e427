#include "text/output/parser.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace weir::text {

OutputParser::OutputParser(std::shared_ptr<const OutputFormat> format,
                           std::shared_ptr<const ToolTypes> types, const Options& options)
    : format_(std::move(format)),
      types_(std::move(types)),
      calls_format_(format_->calls),
      finds_calls_(options.finds_calls && (format_->is_harmony || calls_format_.can_call())),
      ends_at_markers_(options.ends_at_markers) {
    make_markers();
    if (format_->is_harmony) {
        make_harmony_markers();
    } else if (finds_calls_) {
        make_call_markers();
    }
    begin_after(options.prompt_tail);
}

void OutputParser::Markers::add(Marker marker, Meaning meaning) {
    if (!marker.empty()) {
        first_bytes.set(static_cast<unsigned char>(marker.text().front()));
        all.push_back({std::move(marker), meaning});
    }
}

void OutputParser::Markers::add(std::string_view text, Meaning meaning) {
    add(Marker(text), meaning);
}

void OutputParser::make_markers() {
    Markers& content = content_markers_;
    content.add(format_->reasoning_begin, {What::ReasoningBegin});
    content.add(format_->reasoning_end, {What::ReasoningEnd});
    content.add(format_->content_begin, {What::ContentBegin});
    content.add(format_->content_end, {What::ContentEnd});
    Markers& reasoning = reasoning_markers_;
    reasoning.add(format_->reasoning_end, {What::ReasoningEnd});
    for (const std::string& end : format_->ends) {
        // Where it begins a longer marker it comes as text in any case.
        if (!ends_at_markers_ && !calls_format_.section_begin.starts_with(end)) {
            continue;
        }
        for (Markers* markers : {&content, &reasoning, &section_markers_, &argument_markers_}) {
            markers->add(end, {What::End});
        }
    }
}

void OutputParser::make_call_markers() {
    const CallFormat& calls = calls_format_;
    for (Markers* markers : {&content_markers_, &section_markers_, &argument_markers_}) {
        markers->add(calls.section_begin, {What::SectionBegin});
        markers->add(calls.call_begin, {What::CallBegin});
    }
    // A model that calls while it thinks has stopped thinking. Only control tokens say so for sure.
    const std::string& first = calls.section_begin.empty() ? calls.call_begin : calls.section_begin;
    if (first.starts_with("<|") || first.starts_with("<｜") || first.starts_with("[TOOL_CALLS]")) {
        const bool is_section = !calls.section_begin.empty();
        reasoning_markers_.add(first, {is_section ? What::SectionBegin : What::CallBegin});
    }
    for (Markers* markers : {&section_markers_, &argument_markers_, &parameter_markers_}) {
        markers->add(calls.call_end, {What::CallEnd});
        markers->add(calls.section_end, {What::SectionEnd});
    }
    section_markers_.add(format_->reasoning_begin, {What::ReasoningBegin});
    if (calls.arguments == CallFormat::Arguments::Quoted) {
        section_markers_.add("}" + calls.call_end, {What::CallEnd});
    }
    for (size_t i = 0; i < calls.fields.size(); ++i) {
        Markers& markers = field_markers_.emplace_back();
        for (size_t k = i; k < calls.fields.size(); ++k) {
            markers.add(calls.fields[k].end, {What::FieldEnd, k});
        }
        markers.add(calls.parameter_begin, {What::ParameterBegin});
        if (calls.arguments == CallFormat::Arguments::Tagged) {
            markers.add(calls.call_end, {What::CallEnd});
        }
    }
    parameter_markers_.add(calls.parameter_begin, {What::ParameterBegin});
    for (size_t i = 0; i < calls.key_ends.size(); ++i) {
        key_markers_.add(calls.key_ends[i].text, {What::KeyEnd, i});
    }
    const std::string& end = calls.call_end.empty() ? calls.section_end : calls.call_end;
    for (const std::string& next : {calls.parameter_begin, end}) {
        if (next.empty() || calls.value_end.empty()) {
            continue;
        }
        for (Markers* const markers : {&value_markers_, &raw_value_markers_}) {
            markers->add(Marker(calls.value_end, next), {What::ValueEnd});
            if (calls.value_padded) {
                markers->add(Marker::after_line_feed(calls.value_end, next), {What::ValueEnd});
            }
        }
        raw_value_markers_.add(Marker(std::string(CallFormat::kRawEnd) + calls.value_end, next),
                               {What::ValueEnd});
    }
}

const OutputParser::Markers* OutputParser::markers() const {
    switch (state_) {
        case State::Content:
            return &content_markers_;
        case State::Reasoning:
            return &reasoning_markers_;
        case State::Section:
            return &section_markers_;
        case State::Fields:
            return &field_markers_[field_];
        case State::Arguments:
            return argument_ == Argument::None || argument_ == Argument::Raw ? &argument_markers_
                                                                             : nullptr;
        case State::Parameters:
            return &parameter_markers_;
        case State::Key:
            return &key_markers_;
        case State::Value:
            return value_is_raw_ ? &raw_value_markers_ : &value_markers_;
        case State::Header:
            return &header_markers_;
        case State::Body:
        case State::Rest:
            return &body_markers_;
        case State::Json:
        case State::Literal:
        case State::Ended:
            return nullptr;
    }
    WEIR_ASSERT(false);
}

// The prompt may end with the beginning of a thought, as templates of models that always think do.
void OutputParser::begin_after(std::string_view prompt_tail) {
    if (format_->is_harmony) {
        state_ = State::Header;
        const size_t start = prompt_tail.rfind("<|start|>");
        const std::string_view header =
            start == prompt_tail.npos ? std::string_view() : prompt_tail.substr(start);
        const size_t message = header.find("<|message|>");
        if (message != header.npos) {
            begin_message(header.substr(0, message));
        } else if (header.find("<|channel|>") != header.npos) {
            prompt_header_ = header;
        }
        return;
    }
    const std::string_view tail = trim(prompt_tail);
    const std::string& begin = format_->reasoning_begin;
    if (!begin.empty() && tail.ends_with(Marker(begin).text())) {
        state_ = State::Reasoning;
        drops_space_ = true;
    } else if (!calls_format_.text_name.empty() && finds_calls_ &&
               tail.ends_with(calls_format_.call_begin)) {
        state_ = State::Fields;
        fields_.assign(calls_format_.fields.size(), {});
        call_try_ = 0;
    }
}

void OutputParser::push(std::string_view text, std::vector<OutputPiece>& out) {
    if (state_ == State::Ended) {
        return;
    }
    out_ = &out;
    pending_ += text;
    run(false);
    out_ = nullptr;
}

// Each turn decides at least one byte or changes the state; the states that hand a byte on without
// taking it (a section's end, a call that is none) lead to one that takes it.
void OutputParser::run(bool is_end) {
    while (head_ < pending_.size() && state_ != State::Ended) {
        const std::string_view rest = std::string_view(pending_).substr(head_);
        const Markers* looked_for = markers();
        if (looked_for != nullptr &&
            looked_for->first_bytes.test(static_cast<unsigned char>(rest.front()))) {
            const auto found = find_marker<Meaning>(looked_for->all, rest, is_end);
            if (found.state == Marker::State::Partial) {
                break;
            }
            if (found.state == Marker::State::Yes && take_marker(*found.meaning, found.consumed)) {
                continue;
            }
        }
        head_ += take_byte(rest.front()) ? 1 : 0;
        if (call_try_ && head_ - *call_try_ > kTentativeBytesMax) {
            give_up_call();
        }
    }
    if (state_ == State::Ended) {
        head_ = pending_.size();
        call_try_.reset();
    }
    const size_t decided = call_try_.value_or(head_);
    pending_.erase(0, decided);
    source_ += decided;
    head_ -= decided;
    if (call_try_) {
        call_try_ = 0;
    }
}

bool OutputParser::take_marker(const Meaning& meaning, size_t bytes) {
    if (meaning.what == What::End) {
        end_call_try();
        state_ = State::Ended;
        return true;
    }
    if (format_->is_harmony) {
        return harmony_marker(meaning.what, bytes);
    }
    switch (state_) {
        case State::Content:
        case State::Reasoning:
            return content_marker(meaning.what, bytes);
        case State::Section:
            return section_marker(meaning.what, bytes);
        default:
            return call_marker(meaning, bytes);
    }
}

bool OutputParser::take_byte(char c) {
    switch (state_) {
        case State::Content:
            return content_byte(c);
        case State::Reasoning:
            put_reasoning(c);
            return true;
        case State::Section:
            return section_byte(c);
        case State::Fields:
            return field_byte(c);
        case State::Json:
            return json_byte(c);
        case State::Arguments:
            return arguments_byte(c);
        case State::Literal:
            return literal_byte(c);
        case State::Parameters:
            return parameters_byte(c);
        case State::Key:
            return key_byte(c);
        case State::Value:
            return value_byte(c);
        case State::Header:
        case State::Body:
        case State::Rest:
            return harmony_byte(c);
        case State::Ended:
            return true;
    }
    WEIR_ASSERT(false);
}

// False: not here; its bytes are text.
bool OutputParser::content_marker(What what, size_t bytes) {
    const bool is_thought = what == What::ReasoningBegin || what == What::ReasoningEnd;
    if (state_ == State::Content && (is_thought || what == What::ContentBegin) && !at_start_) {
        return false;  // an answer may speak of "<think>"
    }
    if (what == What::ContentEnd && !in_content_) {
        return false;
    }
    if (what == What::SectionBegin || what == What::CallBegin) {
        try_call();
        if (what == What::CallBegin) {
            state_ = State::Fields;
        }
        head_ += bytes;
        return true;
    }
    in_content_ = what == What::ContentBegin;
    state_ = what == What::ReasoningBegin ? State::Reasoning : State::Content;
    drop_space();
    head_ += bytes;
    return true;
}

// A JSON object or a list of Python calls may begin an answer without any marker.
bool OutputParser::content_byte(char c) {
    const bool may_begin = finds_calls_ && calls_format_.bare && at_start_ && !types_->empty();
    const bool is_json = calls_format_.kind == CallFormat::Kind::Json;
    if (may_begin && (c == '[' || (c == '{' && is_json))) {
        try_call();
        is_bare_ = true;
        return false;
    }
    put_text(c, source_ + head_);
    return true;
}

void OutputParser::put_text(char c, uint64_t source) {
    if (is_space(c)) {
        if (drops_space_) {
            return;
        }
        if (space_.empty()) {
            space_source_ = source;
        }
        space_.push_back(c);
        if (space_.size() > kSpaceBytesMax) {
            flush_space(OutputPiece::Kind::Text);
        }
        return;
    }
    flush_space(OutputPiece::Kind::Text);
    put(OutputPiece::Kind::Text, {&c, 1}, source);
    drops_space_ = false;
    at_start_ = false;
}

void OutputParser::put_reasoning(char c) {
    if (is_space(c)) {
        if (!drops_space_) {
            if (space_.empty()) {
                space_source_ = source_ + head_;  // it is text if what follows is no call
            }
            space_.push_back(c);
        }
        if (space_.size() > kSpaceBytesMax) {
            flush_space(OutputPiece::Kind::Reasoning);
        }
        return;
    }
    flush_space(OutputPiece::Kind::Reasoning);
    put(OutputPiece::Kind::Reasoning, {&c, 1}, 0);
    drops_space_ = false;
}

void OutputParser::flush_space(OutputPiece::Kind kind) {
    if (!space_.empty()) {
        put(kind, space_, kind == OutputPiece::Kind::Text ? space_source_ : 0);
        space_.clear();
    }
}

// A marker stood here: white space around it is not part of the text.
void OutputParser::drop_space() {
    space_.clear();
    drops_space_ = true;
    at_start_ = true;
}

void OutputParser::put_arguments(std::string_view bytes) {
    if (!bytes.empty()) {
        put(OutputPiece::Kind::Arguments, bytes, 0);
    }
}

void OutputParser::put(OutputPiece::Kind kind, std::string_view bytes, uint64_t source) {
    if (!out_->empty() && out_->back().kind == kind) {
        OutputPiece& last = out_->back();
        if (kind != OutputPiece::Kind::Text || last.source + last.text.size() == source) {
            last.text += bytes;
            return;
        }
    }
    const uint32_t call = kind == OutputPiece::Kind::Arguments ? calls_ - 1 : 0;
    out_->push_back(
        {.kind = kind, .text = std::string(bytes), .id = {}, .call = call, .source = source});
}

uint64_t OutputParser::decided() const {
    const bool holds_text = !space_.empty() && state_ != State::Reasoning && !body_is_reasoning_;
    return holds_text ? space_source_ : source_ + call_try_.value_or(head_);
}

void OutputParser::finish(End end, std::vector<OutputPiece>& out) {
    out_ = &out;
    run(true);
    end_call_try();
    end_last_call(end);
    if (state_ == State::Content && !drops_space_) {
        flush_space(OutputPiece::Kind::Text);
    }
    if (state_ == State::Header && prompt_header_.empty() && !word_.empty() &&
        !word_.starts_with('<') && trim(word_) != "assistant" && !trim(word_).starts_with("to=")) {
        put(OutputPiece::Kind::Text, word_, source_ + head_ - word_.size());
    }
    state_ = State::Ended;
    out_ = nullptr;
}

}  // namespace weir::text
