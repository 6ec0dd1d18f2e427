// The part of OutputParser that reads harmony, where an answer is a row of messages, each with a
// header that says to whom and in which channel:
//
//     <|start|>assistant<|channel|>analysis<|message|>…<|end|>
//     <|start|>assistant to=functions.f<|channel|>commentary json<|message|>{…}<|call|>
//
// Models put the recipient before or after the channel, leave out <|start|>, and glue words
// together: a header is searched, not parsed.

#include <utility>

#include "text/output/parser.h"

namespace weir::text {
namespace {

// The word that follows `before` in a header.
std::string_view word_after(std::string_view header, std::string_view before) {
    const size_t at = header.find(before);
    if (at == header.npos) {
        return {};
    }
    std::string_view word = trim(header.substr(at + before.size()));
    size_t end = 0;
    while (end < word.size() && !is_space(word[end]) && word[end] != '<') {
        ++end;
    }
    return word.substr(0, end);
}

}  // namespace

void OutputParser::make_harmony_markers() {
    header_markers_.add("<|message|>", {What::MessageBegin});
    header_markers_.add("<|start|>", {What::HeaderBegin});
    for (Markers* markers : {&header_markers_, &body_markers_, &argument_markers_}) {
        for (const char* end : {"<|end|>", "<|call|>", "<|return|>"}) {
            markers->add(end, {What::MessageEnd});
        }
    }
    for (Markers* markers : {&body_markers_, &argument_markers_}) {
        markers->add("<|start|>", {What::HeaderBegin});
        markers->add("<|channel|>", {What::HeaderBegin});
    }
}

bool OutputParser::harmony_marker(What what, size_t bytes) {
    if (what == What::MessageBegin) {
        const uint64_t begin = source_ + head_ - word_.size();
        const std::string written = std::exchange(word_, {}) + pending_.substr(head_, bytes);
        head_ += bytes;
        if (begin_message(std::exchange(prompt_header_, {}) + written) == Addressee::Nobody) {
            for (size_t i = 0; i < written.size(); ++i) {
                body_is_reasoning_ ? put_reasoning(written[i]) : put_text(written[i], begin + i);
            }
        }
        return true;
    }
    word_.clear();
    prompt_header_.clear();
    if (state_ == State::Arguments && argument_ == Argument::None) {
        put_arguments("{}");
    }
    if (what == What::HeaderBegin && state_ != State::Header) {
        // <|channel|> without <|start|> is part of the header that it begins.
        const bool is_channel = std::string_view(pending_).substr(head_).starts_with("<|channel|>");
        word_ = is_channel ? "<|channel|>" : "";
    }
    head_ += bytes;
    state_ = State::Header;
    body_is_reasoning_ = false;
    if (what == What::MessageEnd) {
        drop_space();
    }
    return true;
}

// Nobody: the message is for a tool that there is not, and so is shown with its header.
OutputParser::Addressee OutputParser::begin_message(std::string_view header) {
    drop_space();
    body_is_reasoning_ = false;
    state_ = State::Body;
    std::string_view recipient = word_after(header, "to=");
    if (recipient.starts_with("functions.")) {
        recipient.remove_prefix(10);
    }
    const bool calls =
        !recipient.empty() && recipient != "assistant" && recipient != "user" && recipient != "all";
    if (calls && finds_calls_ && is_offered(recipient)) {
        begin_call(std::string(recipient), "");
        argument_ = Argument::None;
        state_ = State::Arguments;
        return Addressee::Tool;
    }
    body_is_reasoning_ = word_after(header, "<|channel|>").starts_with("analysis");
    return calls ? Addressee::Nobody : Addressee::Reader;
}

bool OutputParser::harmony_byte(char c) {
    if (state_ == State::Rest) {
        return true;
    }
    if (state_ == State::Body) {
        if (body_is_reasoning_) {
            put_reasoning(c);
        } else {
            put_text(c, source_ + head_);
        }
        return true;
    }
    word_.push_back(c);
    // No header says so much: the model just talks.
    if (word_.size() > kWordBytesMax) {
        for (size_t i = 0; i < word_.size(); ++i) {
            put_text(word_[i], source_ + head_ + 1 - word_.size() + i);
        }
        word_.clear();
        prompt_header_.clear();
        state_ = State::Body;
    }
    return true;
}

}  // namespace weir::text
