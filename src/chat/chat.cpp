#include "base/check.h"
#include "chat/event.h"
#include "chat/label.h"
#include "chat/request.h"

namespace weir::chat {

std::string_view name(Label label) {
    switch (label) {
        case Label::Public:
            return "public";
        case Label::Internal:
            return "internal";
        case Label::Confidential:
            return "confidential";
        case Label::Restricted:
            return "restricted";
    }
    WEIR_ASSERT(false);
}

std::optional<Label> label_from(std::string_view text) {
    for (const Label label :
         {Label::Public, Label::Internal, Label::Confidential, Label::Restricted}) {
        if (name(label) == text) {
            return label;
        }
    }
    return std::nullopt;
}

std::string_view name(Role role) {
    switch (role) {
        case Role::System:
            return "system";
        case Role::Developer:
            return "developer";
        case Role::User:
            return "user";
        case Role::Assistant:
            return "assistant";
        case Role::Tool:
            return "tool";
    }
    WEIR_ASSERT(false);
}

std::string_view name(FinishReason reason) {
    switch (reason) {
        case FinishReason::Stop:
            return "stop";
        case FinishReason::Length:
            return "length";
        case FinishReason::ToolCalls:
            return "tool_calls";
        case FinishReason::ContentFilter:
            return "content_filter";
    }
    WEIR_ASSERT(false);
}

uint32_t choice_count(const ChatRequest& request) {
    const auto* raw = std::get_if<RawPrompts>(&request.input);
    const auto prompts = raw == nullptr ? 1u : static_cast<uint32_t>(raw->prompts.size());
    return prompts * request.sampling.choices;
}

bool is_last(const ChatEvent& event) {
    return std::holds_alternative<Finished>(event) || std::holds_alternative<Error>(event);
}

}  // namespace weir::chat
