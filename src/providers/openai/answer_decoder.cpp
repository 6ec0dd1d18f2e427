#include "providers/openai/answer_decoder.h"

#include <algorithm>

#include "base/utf8.h"
#include "providers/openai/logprobs.h"

namespace weir::providers {
namespace {

constexpr size_t kModelBytesMax = 256;

// Says about the peer's bytes what Fields says about a client's.
Error malformed(Error error) {
    if (error.code != ErrorCode::InvalidArgument || !error.reason.empty()) {
        return error;
    }
    return make_error(ErrorCode::UpstreamFailed, "the provider's answer is malformed: {}",
                      error.message)
        .with_reason("upstream_malformed");
}

template <typename T>
Result<T> or_malformed(Result<T> result) {
    if (!result) {
        return std::unexpected(malformed(std::move(result).error()));
    }
    return result;
}

std::string bounded(std::string text) {
    if (text.size() > kModelBytesMax) {
        text = utf8::to_valid(text.substr(0, kModelBytesMax));
    }
    return text;
}

std::optional<chat::FinishReason> finish_reason_from(std::string_view text) {
    if (text == "stop" || text == "eos" || text == "stop_sequence") {
        return chat::FinishReason::Stop;
    }
    if (text == "length" || text == "model_length") {
        return chat::FinishReason::Length;
    }
    if (text == "tool_calls") {
        return chat::FinishReason::ToolCalls;
    }
    return text == "content_filter" ? std::optional(chat::FinishReason::ContentFilter)
                                    : std::nullopt;
}

}  // namespace

AnswerDecoder::AnswerDecoder(AnswerExpectation expected) : expected_(std::move(expected)) {
    expected_.choices = std::max(1u, expected_.choices);
    choices_.resize(expected_.choices);
}

Result<AnswerDecoder::Events> AnswerDecoder::chunk(const json::Value& chunk) {
    Events events;
    WEIR_TRY_ASSIGN(json::Fields fields, or_malformed(json::Fields::of(chunk, "")));
    WEIR_TRY(or_malformed(begin(fields, events)));
    WEIR_TRY(or_malformed(read_choices(fields, "delta", events)));
    take_usage(fields);
    return events;
}

Result<AnswerDecoder::Events> AnswerDecoder::whole(const json::Value& body) {
    Events events;
    WEIR_TRY_ASSIGN(json::Fields fields, or_malformed(json::Fields::of(body, "")));
    WEIR_TRY(or_malformed(begin(fields, events)));
    WEIR_TRY(or_malformed(read_choices(fields, "message", events)));
    take_usage(fields);
    WEIR_TRY_ASSIGN(Events last, end());
    std::ranges::move(last, std::back_inserter(events));
    return events;
}

Result<AnswerDecoder::Events> AnswerDecoder::end() const {
    if (!std::ranges::all_of(choices_, &ChoiceState::finished)) {
        return std::unexpected(make_error(ErrorCode::UpstreamFailed,
                                          "the provider's answer ended before it was complete")
                                   .with_reason("upstream_truncated"));
    }
    return Events{chat::Finished{usage_}};
}

Result<void> AnswerDecoder::begin(json::Fields& fields, Events& events) {
    if (const json::Value* error = fields.get("error")) {
        return std::unexpected(decode_error_object(expected_.source, *error));
    }
    if (started_) {
        return {};
    }
    chat::Started started;
    WEIR_TRY(fields.read("model", started.model));
    WEIR_TRY(fields.read("system_fingerprint", started.system_fingerprint));
    started.model = bounded(std::move(started.model));
    if (started.system_fingerprint) {
        started.system_fingerprint = bounded(*std::move(started.system_fingerprint));
    }
    events.emplace_back(std::move(started));
    started_ = true;
    return {};
}

Result<void> AnswerDecoder::read_choices(json::Fields& fields, std::string_view pieces_member,
                                         Events& events) {
    WEIR_TRY_ASSIGN(const json::Array* choices, fields.array("choices"));
    for (size_t i = 0; choices != nullptr && i < choices->size(); ++i) {
        WEIR_TRY_ASSIGN(json::Fields choice,
                        json::Fields::of((*choices)[i], fmt::format("choices[{}]", i)));
        WEIR_TRY(read_choice(choice, pieces_member, events));
    }
    return {};
}

Result<void> AnswerDecoder::read_choice(json::Fields& choice, std::string_view pieces_member,
                                        Events& events) {
    std::optional<uint32_t> index;
    WEIR_TRY(choice.read("index", json::in_range(0u, expected_.choices - 1), index));
    if (!index && expected_.choices > 1) {
        return invalid_argument(choice.path_of("index"), "{} is required", choice.path_of("index"));
    }
    const size_t before = events.size();
    const bool was_finished = choices_[index.value_or(0)].finished;
    if (expected_.completion) {
        WEIR_TRY(read_text_choice(choice, index.value_or(0), events));
    } else {
        WEIR_TRY_ASSIGN(const json::Object* object, choice.object(pieces_member));
        if (object != nullptr) {
            json::Fields pieces(*object, choice.path_of(pieces_member));
            WEIR_TRY(read_pieces(choice, pieces, index.value_or(0), events));
        }
    }
    if (was_finished && events.size() > before) {
        return invalid_argument(choice.path_of("finish_reason"),
                                "{} was said before the choice's last piece",
                                choice.path_of("finish_reason"));
    }
    return read_finish(choice, index.value_or(0), events);
}

Result<void> AnswerDecoder::read_text_choice(json::Fields& choice, uint32_t index, Events& events) {
    chat::TextDelta delta{.choice = index, .text = {}, .logprobs = {}};
    WEIR_TRY(choice.read("text", delta.text));
    WEIR_TRY_ASSIGN(delta.logprobs, read_completion_logprobs(choice.get("logprobs")));
    if (!delta.text.empty() || !delta.logprobs.empty()) {
        events.emplace_back(std::move(delta));
    }
    return {};
}

Result<void> AnswerDecoder::read_pieces(json::Fields& choice, json::Fields& pieces, uint32_t index,
                                        Events& events) {
    std::string reasoning;  // DeepSeek and SGLang name it so; vLLM's newer name is `reasoning`
    WEIR_TRY(pieces.read("reasoning_content", reasoning));
    if (reasoning.empty()) {
        WEIR_TRY(pieces.read("reasoning", reasoning));
    }
    if (!reasoning.empty()) {
        events.emplace_back(chat::ReasoningDelta{index, std::move(reasoning)});
    }
    chat::TextDelta delta{.choice = index, .text = {}, .logprobs = {}};
    WEIR_TRY(pieces.read("content", delta.text));
    WEIR_TRY_ASSIGN(delta.logprobs, read_chat_logprobs(choice.get("logprobs")));
    if (!delta.text.empty() || !delta.logprobs.empty()) {
        events.emplace_back(std::move(delta));
    }
    std::string refusal;
    WEIR_TRY(pieces.read("refusal", refusal));
    if (!refusal.empty()) {
        events.emplace_back(chat::RefusalDelta{index, std::move(refusal)});
    }
    if (pieces.get("function_call") != nullptr) {
        return invalid_argument(pieces.path_of("function_call"), "{} was never asked for",
                                pieces.path_of("function_call"));
    }
    return read_tool_calls(pieces, index, events);
}

Result<void> AnswerDecoder::read_finish(json::Fields& choice, uint32_t index, Events& events) {
    std::string text;
    WEIR_TRY(choice.read("finish_reason", text));
    if (text.empty() || choices_[index].finished) {  // some repeat it in the usage chunk
        return {};
    }
    const std::optional<chat::FinishReason> reason = finish_reason_from(text);
    if (!reason) {
        return std::unexpected(make_error(ErrorCode::UpstreamFailed,
                                          "the provider ended the answer for a reason that is "
                                          "none of OpenAI's")
                                   .with_reason("upstream_truncated"));
    }
    choices_[index].finished = true;
    events.emplace_back(chat::ChoiceFinished{index, *reason});
    return {};
}

void AnswerDecoder::take_usage(json::Fields& fields) {
    const json::Value* found = fields.get("usage");
    if (found == nullptr) {
        return;
    }
    usage_ = read_usage(*found, expected_.usage);
    usage_was_suspect_ = !usage_.has_value();
}

}  // namespace weir::providers
