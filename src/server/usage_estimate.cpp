#include "server/usage_estimate.h"

#include <algorithm>

namespace weir::server {
namespace {

constexpr uint64_t kTokenBytes = 4;
constexpr uint64_t kMessageTokens = 4;  // what a template puts around a message

uint64_t tokens_in(uint64_t bytes) {
    return (bytes + kTokenBytes - 1) / kTokenBytes;
}

uint64_t tokens_of(const chat::Conversation& conversation) {
    uint64_t bytes = 0;
    for (const chat::Message& message : conversation.messages) {
        for (const chat::ContentPart& part : message.content) {
            bytes += part.text.size();
        }
        for (const chat::ToolCall& call : message.tool_calls) {
            bytes += call.name.size() + call.arguments.size();
        }
        bytes += message.reasoning ? message.reasoning->size() : 0;
    }
    for (const chat::Tool& tool : conversation.tools) {
        bytes += tool.name.size() + (tool.description ? tool.description->size() : 0) +
                 (tool.parameters ? tool.parameters->size() : 0);
    }
    return tokens_in(bytes) + kMessageTokens * conversation.messages.size();
}

uint64_t tokens_of(const chat::RawPrompts& raw) {
    uint64_t tokens = 0;
    for (const auto& prompt : raw.prompts) {
        const auto* const ids = std::get_if<std::vector<TokenId>>(&prompt);
        tokens += ids != nullptr ? ids->size() : tokens_in(std::get<std::string>(prompt).size());
    }
    return tokens;
}

}  // namespace

void UsageEstimate::saw(const chat::ChatEvent& event) {
    const uint64_t before = answer_bytes_;
    if (const auto* text = std::get_if<chat::TextDelta>(&event)) {
        answer_bytes_ += text->text.size();
    } else if (const auto* reasoning = std::get_if<chat::ReasoningDelta>(&event)) {
        answer_bytes_ += reasoning->text.size();
    } else if (const auto* refusal = std::get_if<chat::RefusalDelta>(&event)) {
        answer_bytes_ += refusal->text.size();
    } else if (const auto* call = std::get_if<chat::ToolCallDelta>(&event)) {
        answer_bytes_ += call->name.size() + call->arguments.size();
    }
    deltas_ += answer_bytes_ > before ? 1 : 0;
}

chat::Usage UsageEstimate::usage(const chat::ChatRequest& request) const {
    const auto* const conversation = std::get_if<chat::Conversation>(&request.input);
    return {.prompt_tokens = conversation != nullptr
                                 ? tokens_of(*conversation)
                                 : tokens_of(std::get<chat::RawPrompts>(request.input)),
            .completion_tokens = std::max(deltas_, tokens_in(answer_bytes_))};
}

}  // namespace weir::server
