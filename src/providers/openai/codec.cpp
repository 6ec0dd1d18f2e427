#include "providers/openai/codec.h"

#include <algorithm>

#include "json/parse.h"
#include "providers/openai/encode.h"

namespace weir::providers {
namespace {

constexpr size_t kRawTailBytesMax = 64 * 1024;
constexpr json::ParseLimits kPeerJson{.depth_max = 64};

// Templates, tool descriptions and hidden instructions add tokens to what we sent.
constexpr uint64_t kHiddenPromptTokens = 8192;
// Some count an end token, or the tokens of a last speculative step.
constexpr uint64_t kHiddenCompletionTokens = 64;

UsageBounds usage_bounds(const chat::ChatRequest& request) {
    UsageBounds bounds;
    const chat::SamplingParams& sampling = request.sampling;
    const uint64_t each = std::max(sampling.choices, sampling.best_of.value_or(1));
    const uint64_t prompts = chat::choice_count(request) / std::max(1u, sampling.choices);
    if (sampling.tokens_max) {
        bounds.completion_tokens_max = uint64_t{*sampling.tokens_max} + kHiddenCompletionTokens;
    }
    bounds.completion_tokens_max *= prompts * each;
    return bounds;
}

bool has_only_text(const chat::ChatRequest& request) {
    const auto* conversation = std::get_if<chat::Conversation>(&request.input);
    return conversation == nullptr ||
           std::ranges::all_of(conversation->messages, [](const chat::Message& message) {
               return std::ranges::all_of(message.content, [](const chat::ContentPart& part) {
                   return part.kind == chat::ContentPart::Kind::Text ||
                          part.kind == chat::ContentPart::Kind::Refusal;
               });
           });
}

AnswerExpectation expectation(const chat::ChatRequest& request, ErrorSource source) {
    return {.completion = std::holds_alternative<chat::RawPrompts>(request.input),
            .choices = chat::choice_count(request),
            .usage = usage_bounds(request),
            .source = source,
            .call_id_prefix = fmt::format("call_{}_", request.id)};
}

ErrorSource source_of(const OpenAiOptions& options) {
    return options.dialect.own_worker ? ErrorSource::Worker : ErrorSource::Provider;
}

Result<json::Value> parse(std::string_view text) {
    Result<json::Value> value = json::parse(text, kPeerJson);
    if (!value) {
        return std::unexpected(
            make_error(ErrorCode::UpstreamFailed, "the provider sent what is no JSON")
                .with_reason("upstream_malformed"));
    }
    return value;
}

void give(AnswerDecoder::Events events, chat::ChatSink& sink) {
    for (chat::ChatEvent& event : events) {
        sink.on_event(std::move(event));
    }
}

std::string_view trimmed(std::string_view text) {
    const size_t last = text.find_last_not_of(" \t\r\n");
    text = text.substr(0, last == std::string_view::npos ? 0 : last + 1);
    return text.substr(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
}

// Where a line begins that no event stream has: JSON without a field name. text.size() if nowhere.
size_t raw_json_at(std::string_view text, bool at_line_start) {
    for (size_t at = 0; at < text.size();) {
        if (at_line_start && (text[at] == '{' || text[at] == '[')) {
            return at;
        }
        const size_t end = text.find_first_of("\r\n", at);
        if (end == std::string_view::npos) {
            break;
        }
        at = end + 1;
        at_line_start = true;
    }
    return text.size();
}

}  // namespace

OpenAiCodec::OpenAiCodec(const chat::ChatRequest& request, OpenAiOptions options)
    : request_(request),
      options_(std::move(options)),
      answer_(expectation(request, source_of(options_))) {}

ErrorSource OpenAiCodec::source() const {
    return source_of(options_);
}

Result<Call> OpenAiCodec::encode() {
    WEIR_TRY_ASSIGN(Call call, encode_openai(request_, options_));
    if (has_only_text(request_)) {
        // No tokenizer makes more tokens than there are bytes.
        answer_.bound_prompt(call.body.size() + kHiddenPromptTokens);
    }
    return call;
}

Result<void> OpenAiCodec::take_event(const net::SseEvent& event, chat::ChatSink& sink) {
    const std::string_view data = trimmed(event.data);
    if (done_ || data.empty()) {
        return {};
    }
    if (data == "[DONE]") {
        WEIR_TRY_ASSIGN(AnswerDecoder::Events events, answer_.end());
        done_ = true;
        give(std::move(events), sink);
        return {};
    }
    WEIR_TRY_ASSIGN(const json::Value value, parse(data));
    const json::Object* object = value.if_object();
    if (event.type == "error" && (object == nullptr || object->find("error") == nullptr)) {
        return std::unexpected(decode_error_object(source(), value));
    }
    WEIR_TRY_ASSIGN(AnswerDecoder::Events events, answer_.chunk(value));
    give(std::move(events), sink);
    return {};
}

Result<void> OpenAiCodec::decode_chunk(std::string_view bytes, chat::ChatSink& sink) {
    if (done_ || bytes.empty()) {
        return {};
    }
    const size_t raw_at = raw_ ? 0 : raw_json_at(bytes, at_line_start_);
    const std::string_view events = bytes.substr(0, raw_at);
    const std::string_view raw = bytes.substr(raw_at);
    raw_ = raw_ || !raw.empty();
    at_line_start_ = bytes.ends_with('\n') || bytes.ends_with('\r');
    WEIR_TRY(
        events_.feed(events, [&](const net::SseEvent& event) { return take_event(event, sink); }));
    raw_tail_ += raw.substr(0, kRawTailBytesMax - raw_tail_.size());
    return {};
}

Result<void> OpenAiCodec::end_of_stream() const {
    if (done_) {
        return {};
    }
    const Error cut =
        make_error(ErrorCode::UpstreamFailed, "the provider's stream ended before the answer did")
            .with_reason("upstream_truncated");
    const Result<json::Value> tail = json::parse(trimmed(raw_tail_), kPeerJson);
    if (!tail) {
        return std::unexpected(cut);
    }
    const json::Array* array = tail->if_array();
    const json::Object* object =
        array != nullptr && !array->empty() ? array->front().if_object() : tail->if_object();
    const json::Value* error = object == nullptr ? nullptr : object->find("error");
    return std::unexpected(error == nullptr ? cut : decode_error_object(source(), *error));
}

Result<void> OpenAiCodec::decode_body(std::string_view body, chat::ChatSink& sink) {
    WEIR_TRY_ASSIGN(const json::Value value, parse(body));
    WEIR_TRY_ASSIGN(AnswerDecoder::Events events, answer_.whole(value));
    done_ = true;
    give(std::move(events), sink);
    return {};
}

Error OpenAiCodec::decode_error(int status, const net::Headers& headers, std::string_view body,
                                Clock::WallTime now) const {
    return decode_error_answer(source(), status, headers, body, now);
}

}  // namespace weir::providers
