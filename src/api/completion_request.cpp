#include <algorithm>

#include "api/openai_chat.h"
#include "api/request_fields.h"

namespace weir::api {
namespace {

using json::in_range;

constexpr uint32_t kTokensMaxDefault = 16;  // OpenAI's, for this endpoint only

Result<void> add_token_prompt(const json::Array& items, std::string_view path,
                              chat::RawPrompts& raw) {
    if (items.empty()) {
        return invalid_argument(path, "{} must have at least one token id", path);
    }
    std::vector<TokenId> ids;
    WEIR_TRY(read_token_ids(items, path, ids));
    raw.prompts.emplace_back(std::move(ids));
    return {};
}

// The first item says what an array is: numbers are one prompt, strings and arrays are one each.
Result<void> read_prompt_array(const json::Array& items, const ApiLimits& limits,
                               chat::RawPrompts& raw) {
    if (!items.empty() && items[0].is_number()) {
        return add_token_prompt(items, "prompt", raw);
    }
    if (items.empty() || items.size() > limits.prompts_max) {
        return invalid_argument("prompt", "prompt must have 1 to {} prompts", limits.prompts_max);
    }
    const bool texts = items[0].if_string() != nullptr;
    for (size_t i = 0; i < items.size(); ++i) {
        const std::string path = fmt::format("prompt[{}]", i);
        const std::string* text = items[i].if_string();
        const json::Array* ids = items[i].if_array();
        if (texts ? text == nullptr : ids == nullptr) {
            return invalid_argument(path, "{} must be {}, like the first", path,
                                    texts ? "a string" : "an array of token ids");
        }
        if (texts) {
            raw.prompts.emplace_back(*text);
            continue;
        }
        WEIR_TRY(add_token_prompt(*ids, path, raw));
    }
    return {};
}

Result<void> read_prompt(json::Fields& body, const ApiLimits& limits, chat::RawPrompts& raw) {
    const json::Value* prompt = body.get("prompt");
    if (prompt == nullptr) {
        return invalid_argument("prompt", "prompt is required");
    }
    if (const std::string* text = prompt->if_string()) {
        raw.prompts.emplace_back(*text);
        return {};
    }
    if (const json::Array* items = prompt->if_array()) {
        return read_prompt_array(*items, limits, raw);
    }
    return invalid_argument("prompt", "prompt must be a string or an array, not {}",
                            prompt->kind());
}

Result<void> read_best_of(json::Fields& body, const ApiLimits& limits, chat::ChatRequest& request) {
    chat::SamplingParams& sampling = request.sampling;
    WEIR_TRY(body.read("best_of", in_range(0u, limits.best_of_max), sampling.best_of));
    if (sampling.best_of == 0u) {  // OpenAI allows it; it asks for nothing
        sampling.best_of.reset();
    }
    if (sampling.best_of && *sampling.best_of < sampling.choices) {
        return invalid_argument("best_of", "best_of must be at least n");
    }
    if (sampling.best_of && *sampling.best_of > sampling.choices && request.stream) {
        return invalid_argument("best_of", "best_of above n cannot be streamed");
    }
    return {};
}

Result<void> check_total(const chat::RawPrompts& raw, const chat::SamplingParams& sampling,
                         const ApiLimits& limits) {
    const uint64_t each = std::max(sampling.choices, sampling.best_of.value_or(1));
    if (raw.prompts.size() * each > limits.choices_total_max) {
        return invalid_argument("n", "{} prompts with {} choices each: the limit is {} in all",
                                raw.prompts.size(), each, limits.choices_total_max);
    }
    return {};
}

Result<chat::ChatRequest> read_completion(const json::Value& value, const ApiLimits& limits) {
    WEIR_TRY_ASSIGN(json::Fields body, json::Fields::of(value, ""));
    chat::ChatRequest request;
    chat::RawPrompts raw;
    WEIR_TRY_ASSIGN(request.model, read_name(body, "model", limits.name_bytes_max));
    WEIR_TRY(read_prompt(body, limits, raw));
    WEIR_TRY(body.read("echo", raw.echo));
    WEIR_TRY(read_sampling(body, limits, request.sampling));
    request.sampling.tokens_max = kTokensMaxDefault;
    WEIR_TRY(body.read("max_tokens", in_range(raw.echo ? 0u : 1u, limits.tokens_max),
                       request.sampling.tokens_max));
    WEIR_TRY(body.read("logprobs", in_range(0u, limits.logprobs_max), request.sampling.logprobs));
    WEIR_TRY(read_stream(body, request));
    WEIR_TRY(read_best_of(body, limits, request));
    WEIR_TRY(read_user(body, limits, request));
    WEIR_TRY(refuse(body, {"suffix"}));
    WEIR_TRY(refuse_unknown(body));
    WEIR_TRY(check_total(raw, request.sampling, limits));
    request.input = std::move(raw);
    return request;
}

}  // namespace

Result<chat::ChatRequest> parse_completion_request(std::string_view body, const ApiLimits& limits) {
    return parse_body(body, limits, read_completion);
}

}  // namespace weir::api
