#include "api/stream_writer.h"

#include <algorithm>

#include "api/errors.h"
#include "net/sse.h"

namespace weir::api {

OpenAiStream::OpenAiStream(const chat::ChatRequest& request, ReplyHead head,
                           std::string_view id_prefix, std::string_view object)
    : head_(std::move(head)),
      id_prefix_(id_prefix),
      object_(object),
      include_usage_(request.include_usage),
      wants_logprobs_(request.sampling.logprobs.has_value()),
      choices_(chat::choice_count(request)) {}

void OpenAiStream::append(const chat::ChatEvent& event, std::string& out) {
    if (!done_) {
        std::visit([&](const auto& kind) { take(kind, out); }, event);
    }
}

void OpenAiStream::begin_chunk() {
    chunk_.clear();
    json::Writer writer(chunk_);
    writer.begin_object();
    write_head(writer, head_, id_prefix_, object_, started_);
    writer.key("choices").begin_array();
}

void OpenAiStream::end_chunk(std::string& out) {
    chunk_ += include_usage_ ? "],\"usage\":null}" : "]}";
    net::append_sse_data(out, chunk_);
}

void OpenAiStream::break_off(std::string& out) {
    take(make_error(ErrorCode::Internal, "the answer broke off"), out);
}

bool OpenAiStream::enter(uint32_t choice, std::string& out) {
    if (choice >= choices_.size() || choices_[choice].finished) {
        break_off(out);
        return false;
    }
    if (!choices_[choice].begun) {
        choices_[choice].begun = true;
        begin(choice, out);
    }
    return true;
}

void OpenAiStream::take(const chat::Started& event, std::string&) {
    started_ = event;
}

void OpenAiStream::take(const chat::TextDelta& event, std::string& out) {
    const bool says_something = !event.text.empty() || (wants_logprobs_ && !event.logprobs.empty());
    if (enter(event.choice, out) && says_something) {
        text(event, out);
    }
}

void OpenAiStream::take(const chat::ReasoningDelta& event, std::string& out) {
    if (enter(event.choice, out) && !reasoning(event, out)) {
        break_off(out);
    }
}

void OpenAiStream::take(const chat::RefusalDelta& event, std::string& out) {
    if (enter(event.choice, out) && !refusal(event, out)) {
        break_off(out);
    }
}

void OpenAiStream::take(const chat::ToolCallDelta& event, std::string& out) {
    if (enter(event.choice, out) && !tool_call(event, out)) {
        break_off(out);
    }
}

void OpenAiStream::take(const chat::ChoiceFinished& event, std::string& out) {
    if (enter(event.choice, out)) {
        choices_[event.choice].finished = true;
        end(event, out);
    }
}

void OpenAiStream::take(const chat::Finished& event, std::string& out) {
    if (!std::ranges::all_of(choices_, &ChoiceState::finished)) {
        break_off(out);
        return;
    }
    if (include_usage_ && event.usage) {
        begin_chunk();
        chunk_ += "],\"usage\":";
        json::Writer writer(chunk_);
        write_usage(writer, *event.usage);
        chunk_ += "}";
        net::append_sse_data(out, chunk_);
    }
    net::append_sse_data(out, "[DONE]");
    done_ = true;
}

void OpenAiStream::take(const Error& event, std::string& out) {
    append_error_event(out, event);
    done_ = true;
}

std::unique_ptr<StreamWriter> make_stream_writer(const chat::ChatRequest& request, ReplyHead head) {
    return std::holds_alternative<chat::RawPrompts>(request.input)
               ? make_completion_stream(request, std::move(head))
               : make_chat_stream(request, std::move(head));
}

}  // namespace weir::api
