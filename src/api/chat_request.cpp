#include <algorithm>
#include <array>

#include "api/message_fields.h"
#include "api/openai_chat.h"
#include "api/request_fields.h"
#include "api/tool_fields.h"
#include "json/write.h"

namespace weir::api {
namespace {

using json::in_range;

Result<void> read_tokens_max(json::Fields& body, const ApiLimits& limits,
                             chat::SamplingParams& sampling) {
    std::optional<uint32_t> deprecated;
    WEIR_TRY(
        body.read("max_completion_tokens", in_range(1u, limits.tokens_max), sampling.tokens_max));
    WEIR_TRY(body.read("max_tokens", in_range(1u, limits.tokens_max), deprecated));
    if (sampling.tokens_max && deprecated && *sampling.tokens_max != *deprecated) {
        return invalid_argument("max_tokens",
                                "max_tokens and max_completion_tokens are both given and differ");
    }
    if (deprecated) {
        sampling.tokens_max = deprecated;
    }
    return {};
}

Result<void> read_logprobs(json::Fields& body, const ApiLimits& limits,
                           chat::SamplingParams& sampling) {
    bool wanted = false;
    std::optional<uint32_t> top;
    WEIR_TRY(body.read("logprobs", wanted));
    WEIR_TRY(body.read("top_logprobs", in_range(0u, limits.logprobs_max), top));
    if (top && !wanted) {
        return invalid_argument("top_logprobs", "top_logprobs needs logprobs to be true");
    }
    if (wanted) {
        sampling.logprobs = top.value_or(0);
    }
    return {};
}

Result<void> read_reasoning_effort(json::Fields& body, chat::Conversation& conversation) {
    constexpr std::array<std::string_view, 7> kEfforts = {"none", "minimal", "low", "medium",
                                                          "high", "xhigh",   "max"};
    WEIR_TRY(body.read("reasoning_effort", conversation.reasoning_effort));
    const auto& effort = conversation.reasoning_effort;
    if (effort && std::ranges::find(kEfforts, *effort) == kEfforts.end()) {
        return invalid_argument("reasoning_effort", "reasoning_effort must be one of: {}",
                                fmt::join(kEfforts, ", "));
    }
    return {};
}

// TK6: a caller may set these variables of a chat template and no others; most names in a template
// are its own business, and some (messages, tools, add_generation_prompt) are its contract.
Result<void> read_template_variables(json::Fields& body, chat::Conversation& conversation) {
    constexpr int64_t kThinkingBudgetMax = 1 << 20;
    WEIR_TRY_ASSIGN(const json::Object* found, body.object("chat_template_kwargs"));
    if (found == nullptr) {
        return {};
    }
    json::Fields variables(*found, "chat_template_kwargs");
    std::optional<bool> flag;
    std::optional<int64_t> tokens;
    WEIR_TRY(variables.read("enable_thinking", flag));
    WEIR_TRY(variables.read("thinking", flag));
    WEIR_TRY(variables.read("thinking_budget", in_range<int64_t>(-1, kThinkingBudgetMax), tokens));
    for (const auto& [name, value] : *found) {
        if (name != "enable_thinking" && name != "thinking" && name != "thinking_budget") {
            return not_supported(variables.path_of(name),
                                 "only enable_thinking, thinking and thinking_budget are");
        }
        if (!value.is_null()) {
            conversation.template_variables.emplace_back(name, json::to_text(value));
        }
    }
    return {};
}

Result<chat::ChatRequest> read_chat(const json::Value& value, const ApiLimits& limits) {
    WEIR_TRY_ASSIGN(json::Fields body, json::Fields::of(value, ""));
    chat::ChatRequest request;
    chat::Conversation conversation;
    WEIR_TRY_ASSIGN(request.model, read_name(body, "model", limits.name_bytes_max));
    WEIR_TRY_ASSIGN(conversation.messages, read_messages(body, limits));
    WEIR_TRY(read_sampling(body, limits, request.sampling));
    WEIR_TRY(read_tokens_max(body, limits, request.sampling));
    WEIR_TRY(read_logprobs(body, limits, request.sampling));
    WEIR_TRY(read_tools(body, limits, conversation));
    WEIR_TRY_ASSIGN(request.response_format, read_response_format(body));
    WEIR_TRY(read_reasoning_effort(body, conversation));
    WEIR_TRY(read_template_variables(body, conversation));
    WEIR_TRY(read_stream(body, request));
    WEIR_TRY(read_user(body, limits, request));
    WEIR_TRY(read_harmless(body, limits, request));
    WEIR_TRY(refuse(body, {"audio", "function_call", "functions", "moderation", "prediction",
                           "verbosity", "web_search_options"}));
    WEIR_TRY(refuse_unknown(body));
    request.input = std::move(conversation);
    return request;
}

}  // namespace

Result<chat::ChatRequest> parse_chat_request(std::string_view body, const ApiLimits& limits) {
    return parse_body(body, limits, read_chat);
}

}  // namespace weir::api
