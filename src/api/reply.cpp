#include "api/reply.h"

#include <algorithm>

namespace weir::api {
namespace {

// What a log probability costs besides its bytes; near enough for a limit.
constexpr size_t kLogprobBytes = sizeof(chat::TokenLogprob);

size_t bytes_of(const std::vector<chat::TokenLogprob>& logprobs) {
    size_t bytes = 0;
    for (const chat::TokenLogprob& token : logprobs) {
        bytes += kLogprobBytes + token.bytes.size() + token.top.size() * kLogprobBytes;
    }
    return bytes;
}

}  // namespace

ReplyCollector::ReplyCollector(uint32_t choice_count, ReplyLimits limits) : limits_(limits) {
    reply_.choices.resize(choice_count);
}

Result<ChoiceReply*> ReplyCollector::choice(uint32_t index, size_t more_bytes) {
    if (index >= reply_.choices.size() || complete_) {
        return fail(ErrorCode::Internal, "the answer has a piece that belongs to no choice");
    }
    if (more_bytes > limits_.bytes_max - bytes_) {
        return fail(ErrorCode::TooLarge, "the answer is over {} bytes", limits_.bytes_max);
    }
    bytes_ += more_bytes;
    return &reply_.choices[index];
}

Result<void> ReplyCollector::add(chat::ChatEvent event) {
    return std::visit([this](auto& kind) { return take(kind); }, event);
}

Result<void> ReplyCollector::take(chat::Started& event) {
    reply_.started = std::move(event);
    return {};
}

Result<void> ReplyCollector::take(chat::TextDelta& event) {
    WEIR_TRY_ASSIGN(ChoiceReply * to,
                    choice(event.choice, event.text.size() + bytes_of(event.logprobs)));
    to->text += event.text;
    std::ranges::move(event.logprobs, std::back_inserter(to->logprobs));
    return {};
}

Result<void> ReplyCollector::take(chat::ReasoningDelta& event) {
    WEIR_TRY_ASSIGN(ChoiceReply * to, choice(event.choice, event.text.size()));
    to->reasoning += event.text;
    return {};
}

Result<void> ReplyCollector::take(chat::RefusalDelta& event) {
    WEIR_TRY_ASSIGN(ChoiceReply * to, choice(event.choice, event.text.size()));
    to->refusal += event.text;
    return {};
}

Result<void> ReplyCollector::take(chat::ToolCallDelta& event) {
    WEIR_TRY_ASSIGN(ChoiceReply * to, choice(event.choice, event.id.size() + event.name.size() +
                                                               event.arguments.size()));
    if (event.index > to->tool_calls.size() || event.index >= limits_.tool_calls_max) {
        return fail(ErrorCode::Internal, "the answer's tool calls are out of order");
    }
    if (event.index == to->tool_calls.size()) {
        to->tool_calls.emplace_back();
    }
    chat::ToolCall& call = to->tool_calls[event.index];
    call.id += event.id;
    call.name += event.name;
    call.arguments += event.arguments;
    return {};
}

Result<void> ReplyCollector::take(chat::ChoiceFinished& event) {
    WEIR_TRY_ASSIGN(ChoiceReply * to, choice(event.choice, 0));
    to->finish = event.reason;
    return {};
}

Result<void> ReplyCollector::take(chat::Finished& event) {
    if (!std::ranges::all_of(reply_.choices,
                             [](const ChoiceReply& choice) { return choice.finish.has_value(); })) {
        return fail(ErrorCode::Internal, "the answer ended before each of its choices did");
    }
    reply_.usage = event.usage;
    complete_ = true;
    return {};
}

Result<void> ReplyCollector::take(Error& event) {
    return std::unexpected(std::move(event));
}

}  // namespace weir::api
