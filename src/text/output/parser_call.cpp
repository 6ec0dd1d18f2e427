// The part of OutputParser that reads calls.

#include <utility>

#include "base/check.h"
#include "text/output/parser.h"

namespace weir::text {
namespace {

// Names that clients can mean. Control tokens and punctuation inside one are a model's mistake.
bool is_name(std::string_view name) {
    for (const char c : name) {
        if (static_cast<unsigned char>(c) <= ' ' ||
            std::string_view("<>{}[]()\"'`,;=|").find(c) != std::string_view::npos) {
            return false;
        }
    }
    return !name.empty();
}

// "functions.f:0" is f.
std::string_view without_index(std::string_view name) {
    if (name.starts_with("functions.")) {
        name.remove_prefix(10);
    }
    size_t digits = name.size();
    while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9') {
        --digits;
    }
    const bool has_index = digits > 0 && digits < name.size() && name[digits - 1] == ':';
    return has_index ? name.substr(0, digits - 1) : name;
}

}  // namespace

bool OutputParser::reads_json() const {
    return calls_format_.kind == CallFormat::Kind::Json || section_is_json_;
}

// Without tools anything is: whoever reads a log has none.
bool OutputParser::is_offered(std::string_view name) const {
    return types_->empty() || types_->has(name);
}

// What comes may be a call: until that is certain it could also be text.
void OutputParser::try_call() {
    if (!call_try_) {
        call_try_ = head_;
    }
    state_ = State::Section;
    section_has_call_ = false;
    section_is_json_ = false;
    is_bare_ = false;
    field_ = 0;
    fields_.assign(calls_format_.fields.size(), {});
}

void OutputParser::give_up_call() {
    state_ = State::Content;
    const size_t begin = *std::exchange(call_try_, std::nullopt);
    for (size_t at = begin; at < head_; ++at) {
        put_text(pending_[at], source_ + at);
    }
}

// No more comes for what was tried: separators after a call are nothing, all else is text.
void OutputParser::end_call_try() {
    if (call_try_ && !(state_ == State::Section && section_has_call_)) {
        give_up_call();
    }
    call_try_.reset();
}

// Something that is no call: text goes on, with what stood between it and the last call.
void OutputParser::leave_section() {
    if (call_try_) {
        give_up_call();
    }
    state_ = State::Content;
}

bool OutputParser::section_marker(What what, size_t bytes) {
    switch (what) {
        case What::SectionBegin:
        case What::CallBegin:
            if (call_try_ && what == What::SectionBegin && !section_has_call_) {
                give_up_call();  // "<tool_call><tool_call>"
            }
            if (!call_try_) {
                call_try_ = head_;
            }
            section_has_call_ = section_has_call_ && what == What::CallBegin;
            section_is_json_ = false;
            is_bare_ = false;
            state_ = what == What::CallBegin ? State::Fields : State::Section;
            field_ = 0;
            fields_.assign(calls_format_.fields.size(), {});
            head_ += bytes;
            return true;
        case What::CallEnd:
            head_ += bytes;
            return true;
        case What::SectionEnd:
            head_ += bytes;
            if (call_try_ && !section_has_call_) {
                give_up_call();  // there was no call in it
                return true;
            }
            call_try_.reset();
            state_ = State::Content;
            drop_space();
            return true;
        default:
            leave_section();
            return true;
    }
}

bool OutputParser::section_byte(char c) {
    if (is_space(c)) {
        return true;
    }
    const bool is_separator = c == ',' || c == ';' || c == '[' || c == ']';
    if (is_separator) {
        if (!call_try_) {
            call_try_ = head_;
        }
        return true;
    }
    if (c == '{' && reads_json()) {
        if (!call_try_) {
            call_try_ = head_;
        }
        json_.emplace(calls_format_, is_bare_);
        state_ = State::Json;
        return false;
    }
    const bool is_named = calls_format_.kind == CallFormat::Kind::Named;
    if (is_named && calls_format_.call_begin.empty() && is_name({&c, 1})) {
        if (!call_try_) {
            call_try_ = head_;
        }
        field_ = 0;
        fields_.assign(calls_format_.fields.size(), {});
        state_ = State::Fields;
        return false;
    }
    leave_section();
    return false;
}

bool OutputParser::json_byte(char c) {
    std::string arguments;
    const JsonCall::Step step = json_->feed(c, arguments);
    if (step.fails || (step.begins && !is_offered(json_->name()))) {
        has_cut_call_ = has_cut_call_ || !(call_try_ || json_->has_whole_arguments());
        if (call_try_) {
            give_up_call();
        }
        state_ = State::Content;
        return false;
    }
    if (step.begins) {
        begin_call(json_->name(), "");
    }
    put_arguments(arguments);
    if (step.ends) {
        state_ = State::Section;
    }
    return true;
}

bool OutputParser::call_marker(const Meaning& meaning, size_t bytes) {
    switch (meaning.what) {
        case What::FieldEnd:
            head_ += bytes;
            end_field(meaning.index);
            return true;
        case What::ParameterBegin:
            if (state_ == State::Fields) {
                end_field(calls_format_.fields.size() - 1);
                return true;
            }
            head_ += bytes;
            word_.clear();
            state_ = State::Key;
            return true;
        case What::KeyEnd:
            head_ += bytes;
            begin_value(meaning.index);
            return true;
        case What::ValueEnd:
            head_ += bytes;
            end_value();
            state_ = State::Parameters;
            return true;
        case What::CallEnd:
        case What::SectionEnd:
        case What::CallBegin:
        case What::SectionBegin:
            if (state_ == State::Fields) {
                end_field(calls_format_.fields.size() - 1);
            } else if (state_ == State::Parameters) {
                end_tagged_call();
            } else {
                put_arguments(argument_ == Argument::None ? "{}" : "");
                state_ = State::Section;
            }
            return true;
        default:
            return false;
    }
}

bool OutputParser::field_byte(char c) {
    const CallFormat::FieldEnd& field = calls_format_.fields[field_];
    std::string& text = fields_[field_];
    const bool is_json = calls_format_.arguments == CallFormat::Arguments::Json;
    if (text.empty()) {
        if (is_space(c)) {
            return true;
        }
        if (field_ == 0 && is_json && (c == '{' || c == '[')) {
            section_is_json_ = true;  // an older way to write it
            state_ = State::Section;
            return false;
        }
    }
    if (is_space(c) && field.end.empty()) {
        end_field(field_);
        return state_ != State::Content;  // or it is text after all, and so is this
    }
    text.push_back(c);
    if (text.size() > kWordBytesMax) {
        ++head_;
        give_up_call();
        return false;
    }
    return true;
}

// The field before this marker is over; those between the two were left out.
void OutputParser::end_field(size_t index) {
    const std::vector<CallFormat::FieldEnd>& fields = calls_format_.fields;
    if (index + 1 < fields.size()) {
        if (index != field_) {
            fields_[index].clear();
        }
        field_ = index + 1;
        return;
    }
    std::string name;
    std::string id;
    for (size_t i = 0; i < fields.size(); ++i) {
        if (fields[i].field != CallFormat::Field::Position) {
            (fields[i].field == CallFormat::Field::Name ? name : id) = trim(fields_[i]);
        }
    }
    if (calls_format_.name_has_index) {
        id = name;
        name = without_index(name);
    }
    if (!calls_format_.text_name.empty() && name == calls_format_.text_name) {
        call_try_.reset();
        state_ = State::Content;
        drop_space();
        return;
    }
    if (!is_name(name) || !is_offered(name)) {
        give_up_call();
        return;
    }
    begin_call(std::move(name), std::move(id));
    begin_arguments();
}

void OutputParser::begin_call(std::string name, std::string id) {
    call_try_.reset();
    drop_space();
    section_has_call_ = true;
    tool_ = name;
    out_->push_back({.kind = OutputPiece::Kind::Call,
                     .text = std::move(name),
                     .id = std::move(id),
                     .call = calls_,
                     .source = 0});
    ++calls_;
}

void OutputParser::begin_arguments() {
    switch (calls_format_.arguments) {
        case CallFormat::Arguments::Json:
            argument_ = Argument::None;
            state_ = State::Arguments;
            return;
        case CallFormat::Arguments::Tagged:
            has_parameters_ = false;
            put_arguments("{");
            state_ = State::Parameters;
            return;
        case CallFormat::Arguments::Python:
            literal_.emplace(LiteralToJson::Style::Arguments);
            state_ = State::Literal;
            return;
        case CallFormat::Arguments::Quoted:
            literal_.emplace(LiteralToJson::Style::Quoted, calls_format_.quote);
            argument_ = Argument::None;
            state_ = State::Literal;
            return;
    }
}

// JSON as it stands; inside a string, decoded.
bool OutputParser::arguments_byte(char c) {
    if (argument_ == Argument::None) {
        if (is_space(c)) {
            return true;
        }
        cursor_ = {};
        decoder_ = {};
        if (c == '"') {
            argument_ = Argument::Text;
            return true;
        }
        argument_ = c == '{' || c == '[' ? Argument::Tree : Argument::Raw;
    }
    const State after = format_->is_harmony ? State::Rest : State::Section;
    if (argument_ == Argument::Text) {
        std::string piece;
        if (decoder_.feed(c, piece)) {
            state_ = after;
        }
        put_arguments(piece);
        return true;
    }
    put_arguments({&c, 1});
    if (argument_ == Argument::Tree && cursor_.feed(c)) {
        state_ = after;
    }
    return true;
}

bool OutputParser::literal_byte(char c) {
    // Gemma's template puts arguments that it got as text between its own braces.
    const bool is_quoted = calls_format_.arguments == CallFormat::Arguments::Quoted;
    if (is_quoted && argument_ == Argument::None && !is_space(c)) {
        if (c == '{') {
            state_ = State::Arguments;
            return false;
        }
        argument_ = Argument::Raw;
    }
    std::string piece;
    const LiteralToJson::Status status = literal_->feed(c, piece);
    put_arguments(piece);
    if (status != LiteralToJson::Status::More) {
        state_ = State::Section;
    }
    has_cut_call_ = has_cut_call_ || status == LiteralToJson::Status::Fail;
    return status != LiteralToJson::Status::Fail;
}

bool OutputParser::parameters_byte(char c) {
    if (is_space(c)) {
        return true;
    }
    end_tagged_call();
    leave_section();
    return false;
}

void OutputParser::end_tagged_call() {
    put_arguments("}");
    state_ = State::Section;
}

bool OutputParser::key_byte(char c) {
    word_.push_back(c);
    if (word_.size() > kWordBytesMax) {
        has_cut_call_ = true;
        end_tagged_call();
        leave_section();
    }
    return true;
}

void OutputParser::begin_value(size_t key_end) {
    const std::string key(trim(word_));
    std::string piece = has_parameters_ ? ", \"" : "\"";
    append_json_bytes(piece, key);
    piece += "\": ";
    has_parameters_ = true;
    value_.clear();
    value_at_start_ = true;
    const CallFormat::KeyEnd::Type said = calls_format_.key_ends[key_end].type;
    value_is_raw_ = calls_format_.key_ends[key_end].text.ends_with(CallFormat::kRawBegin);
    value_type_ = types_->type_of(tool_, key);
    if (said == CallFormat::KeyEnd::Type::Json) {
        value_type_ = JsonType::Any;
    }
    value_is_text_ = said == CallFormat::KeyEnd::Type::String || value_type_ == JsonType::String;
    put_arguments(piece + (value_is_text_ ? "\"" : ""));
    state_ = State::Value;
}

bool OutputParser::value_byte(char c) {
    const bool is_padding = value_at_start_ && calls_format_.value_padded && c == '\n';
    value_at_start_ = false;
    if (is_padding) {
        return true;
    }
    if (value_is_text_) {
        std::string piece;
        append_json_byte(piece, c);
        put_arguments(piece);
        return true;
    }
    value_.push_back(c);
    if (value_.size() > kTypedBytesMax) {  // no value of that type is so long
        std::string piece = "\"";
        append_json_bytes(piece, value_);
        put_arguments(piece);
        value_.clear();
        value_is_text_ = true;
    }
    return true;
}

void OutputParser::end_value() {
    put_arguments(value_is_text_ ? "\"" : coerce(value_, value_type_));
    value_ = {};
    state_ = State::Parameters;
}

// The answer is over, perhaps inside a call. Where only the format's own end is missing the call is
// there; what the model itself has not ended stays as it is: closing it would make half a file look
// like a whole one.
void OutputParser::end_last_call(End end) {
    switch (state_) {
        case State::Json:
            has_cut_call_ = has_cut_call_ || !json_->has_whole_arguments();
            return;
        case State::Arguments:
            if (argument_ == Argument::None && end == End::Whole) {
                put_arguments("{}");
            }
            has_cut_call_ = has_cut_call_ || argument_ == Argument::Tree ||
                            argument_ == Argument::Text || end == End::Cut;
            return;
        case State::Parameters:
            if (end == End::Whole) {
                end_tagged_call();
            }
            has_cut_call_ = has_cut_call_ || end == End::Cut;
            return;
        case State::Value:
            put_arguments(value_);  // of a type that waits for its end
            has_cut_call_ = true;
            return;
        case State::Key:
        case State::Literal:
            has_cut_call_ = true;
            return;
        default:
            return;
    }
}

}  // namespace weir::text
