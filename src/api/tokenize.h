#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "api/limits.h"
#include "base/result.h"
#include "chat/request.h"

namespace weir::api {

// POST /tokenize in vLLM's shape: a text, or a conversation through the model's template.
struct TokenizeRequest {
    std::optional<std::string> model;
    std::variant<std::string, chat::Conversation> input;
    bool add_special_tokens = true;     // vLLM's defaults: true for text, false for conversations
    bool add_generation_prompt = true;  // conversations only
    bool return_token_strs = false;
};

// POST /detokenize.
struct DetokenizeRequest {
    std::optional<std::string> model;
    std::vector<TokenId> tokens;
};

// Errors: as of parse_chat_request.
Result<TokenizeRequest> parse_tokenize_request(std::string_view body, const ApiLimits& limits);
Result<DetokenizeRequest> parse_detokenize_request(std::string_view body, const ApiLimits& limits);

// {"count":…,"max_model_len":…,"tokens":[…],"token_strs":null or […]}. `texts` is empty, or has one
// entry a token.
std::string tokenize_reply_json(std::span<const TokenId> tokens, uint64_t context_tokens_max,
                                std::span<const std::string> texts);
// {"prompt":"…"}
std::string detokenize_reply_json(std::string_view text);

}  // namespace weir::api
