#include "api/tokenize.h"

#include <fmt/ranges.h>

#include "api/message_fields.h"
#include "api/request_fields.h"
#include "api/tool_fields.h"
#include "json/write.h"

namespace weir::api {
namespace {

Result<void> read_model(json::Fields& body, const ApiLimits& limits,
                        std::optional<std::string>& model) {
    if (body.get("model") == nullptr) {
        return {};
    }
    WEIR_TRY_ASSIGN(model, read_name(body, "model", limits.name_bytes_max));
    return {};
}

Result<TokenizeRequest> read_tokenize(const json::Value& value, const ApiLimits& limits) {
    WEIR_TRY_ASSIGN(json::Fields body, json::Fields::of(value, ""));
    TokenizeRequest request;
    WEIR_TRY(read_model(body, limits, request.model));
    if (body.get("messages") != nullptr) {
        chat::Conversation conversation;
        WEIR_TRY_ASSIGN(conversation.messages, read_messages(body, limits));
        WEIR_TRY(read_tools(body, limits, conversation));
        WEIR_TRY(body.read("add_generation_prompt", request.add_generation_prompt));
        request.input = std::move(conversation);
        request.add_special_tokens = false;
    } else {
        WEIR_TRY_ASSIGN(request.input, body.require_string("prompt"));
    }
    WEIR_TRY(body.read("add_special_tokens", request.add_special_tokens));
    WEIR_TRY(body.read("return_token_strs", request.return_token_strs));
    WEIR_TRY(refuse_unknown(body));
    return request;
}

Result<DetokenizeRequest> read_detokenize(const json::Value& value, const ApiLimits& limits) {
    WEIR_TRY_ASSIGN(json::Fields body, json::Fields::of(value, ""));
    DetokenizeRequest request;
    WEIR_TRY(read_model(body, limits, request.model));
    WEIR_TRY_ASSIGN(const json::Array* tokens, body.require_array("tokens"));
    WEIR_TRY(read_token_ids(*tokens, "tokens", request.tokens));
    WEIR_TRY(refuse_unknown(body));
    return request;
}

}  // namespace

Result<TokenizeRequest> parse_tokenize_request(std::string_view body, const ApiLimits& limits) {
    return parse_body(body, limits, read_tokenize);
}

Result<DetokenizeRequest> parse_detokenize_request(std::string_view body, const ApiLimits& limits) {
    return parse_body(body, limits, read_detokenize);
}

std::string tokenize_reply_json(std::span<const TokenId> tokens, uint64_t context_tokens_max,
                                std::span<const std::string> texts) {
    std::string out;
    json::Writer writer(out);
    writer.begin_object().member("count", uint64_t{tokens.size()});
    writer.member("max_model_len", context_tokens_max);
    writer.key("tokens").raw(fmt::format("[{}]", fmt::join(tokens, ","))).key("token_strs");
    if (texts.empty()) {
        writer.null();
    } else {
        writer.begin_array();
        for (const std::string& text : texts) {
            writer.value(std::string_view(text));
        }
        writer.end_array();
    }
    writer.end_object();
    return out;
}

std::string detokenize_reply_json(std::string_view text) {
    std::string out;
    json::Writer writer(out);
    writer.begin_object().member("prompt", text).end_object();
    return out;
}

}  // namespace weir::api
