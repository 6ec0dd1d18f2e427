#include "providers/openai/logprobs.h"

#include <charconv>
#include <limits>

#include "json/fields.h"

namespace weir::providers {
namespace {

using chat::TokenLogprob;
using chat::TopLogprob;

constexpr size_t kTokenBytesMax = 4096;
constexpr size_t kTopMax = 128;
constexpr double kFloatMax = std::numeric_limits<float>::max();

Result<std::string> read_bytes(json::Fields& fields, std::string token) {
    WEIR_TRY_ASSIGN(const json::Array* bytes, fields.array("bytes"));
    if (bytes == nullptr) {
        return token;
    }
    std::string out;
    for (const json::Value& value : *bytes) {
        const auto* byte = std::get_if<int64_t>(&value.storage());
        if (byte == nullptr || *byte < 0 || *byte > 255 || out.size() == kTokenBytesMax) {
            return invalid_argument(fields.path_of("bytes"), "{} are no bytes",
                                    fields.path_of("bytes"));
        }
        out.push_back(static_cast<char>(*byte));
    }
    return out;
}

Result<TopLogprob> read_token(json::Fields& fields) {
    WEIR_TRY_ASSIGN(std::string token, fields.require_string("token"));
    TopLogprob out;
    std::optional<double> logprob;
    WEIR_TRY(fields.read("logprob", json::in_range(-kFloatMax, kFloatMax), logprob));
    if (!logprob) {
        return invalid_argument(fields.path_of("logprob"), "{} is required",
                                fields.path_of("logprob"));
    }
    out.logprob = static_cast<float>(*logprob);
    WEIR_TRY_ASSIGN(out.bytes, read_bytes(fields, std::move(token)));
    return out;
}

Result<TokenLogprob> read_entry(const json::Value& value) {
    WEIR_TRY_ASSIGN(json::Fields fields, json::Fields::of(value, "logprobs.content"));
    WEIR_TRY_ASSIGN(TopLogprob chosen, read_token(fields));
    TokenLogprob out{.bytes = std::move(chosen.bytes), .logprob = chosen.logprob, .top = {}};
    WEIR_TRY_ASSIGN(const json::Array* tops, fields.array("top_logprobs"));
    for (size_t i = 0; tops != nullptr && i < tops->size() && i < kTopMax; ++i) {
        WEIR_TRY_ASSIGN(json::Fields top,
                        json::Fields::of((*tops)[i], "logprobs.content.top_logprobs"));
        WEIR_TRY_ASSIGN(TopLogprob alternative, read_token(top));
        out.top.push_back(std::move(alternative));
    }
    return out;
}

// Undoes "bytes:\xe2\x80", the way in which completions write what is no whole character.
std::string token_bytes(const std::string& token) {
    constexpr std::string_view kPrefix = "bytes:";
    const std::string_view escapes =
        std::string_view(token).substr(std::min(kPrefix.size(), token.size()));
    if (!token.starts_with(kPrefix) || escapes.empty() || escapes.size() % 4 != 0) {
        return token;
    }
    std::string bytes;
    for (size_t i = 0; i < escapes.size(); i += 4) {
        unsigned value = 0;
        const char* const digits = escapes.data() + i + 2;
        const auto [end, error] = std::from_chars(digits, digits + 2, value, 16);
        if (escapes.substr(i, 2) != "\\x" || error != std::errc() || end != digits + 2) {
            return token;
        }
        bytes.push_back(static_cast<char>(value));
    }
    return bytes;
}

Result<float> read_number(const json::Value& value, std::string_view field) {
    if (value.is_null()) {
        return std::numeric_limits<float>::quiet_NaN();  // nothing comes before the first token
    }
    if (const auto* real = std::get_if<double>(&value.storage());
        real != nullptr && *real >= -kFloatMax && *real <= kFloatMax) {
        return static_cast<float>(*real);
    }
    if (const auto* whole = std::get_if<int64_t>(&value.storage())) {
        return static_cast<float>(*whole);
    }
    return invalid_argument(field, "{} must be numbers", field);
}

Result<std::vector<TopLogprob>> read_top(const json::Value& value) {
    std::vector<TopLogprob> out;
    if (value.is_null()) {
        return out;
    }
    const json::Object* object = value.if_object();
    if (object == nullptr || object->size() > kTopMax) {
        return invalid_argument("logprobs.top_logprobs", "logprobs.top_logprobs must be objects");
    }
    for (const auto& [token, logprob] : *object) {
        WEIR_TRY_ASSIGN(const float number, read_number(logprob, "logprobs.top_logprobs"));
        out.push_back({.bytes = token_bytes(token), .logprob = number});
    }
    return out;
}

}  // namespace

Result<std::vector<TokenLogprob>> read_chat_logprobs(const json::Value* logprobs) {
    std::vector<TokenLogprob> out;
    if (logprobs == nullptr || logprobs->is_null()) {
        return out;
    }
    WEIR_TRY_ASSIGN(json::Fields fields, json::Fields::of(*logprobs, "logprobs"));
    WEIR_TRY_ASSIGN(const json::Array* content, fields.array("content"));
    for (size_t i = 0; content != nullptr && i < content->size(); ++i) {
        WEIR_TRY_ASSIGN(TokenLogprob token, read_entry((*content)[i]));
        out.push_back(std::move(token));
    }
    return out;
}

Result<std::vector<TokenLogprob>> read_completion_logprobs(const json::Value* logprobs) {
    std::vector<TokenLogprob> out;
    if (logprobs == nullptr || logprobs->is_null()) {
        return out;
    }
    WEIR_TRY_ASSIGN(json::Fields fields, json::Fields::of(*logprobs, "logprobs"));
    WEIR_TRY_ASSIGN(const json::Array* tokens, fields.require_array("tokens"));
    WEIR_TRY_ASSIGN(const json::Array* numbers, fields.require_array("token_logprobs"));
    WEIR_TRY_ASSIGN(const json::Array* tops, fields.array("top_logprobs"));
    if (numbers->size() != tokens->size() || (tops != nullptr && tops->size() != tokens->size())) {
        return invalid_argument("logprobs", "logprobs has arrays of different lengths");
    }
    for (size_t i = 0; i < tokens->size(); ++i) {
        const std::string* token = (*tokens)[i].if_string();
        if (token == nullptr) {
            return invalid_argument("logprobs.tokens", "logprobs.tokens must be strings");
        }
        WEIR_TRY_ASSIGN(const float number, read_number((*numbers)[i], "logprobs.token_logprobs"));
        TokenLogprob entry{.bytes = token_bytes(*token), .logprob = number, .top = {}};
        if (tops != nullptr) {
            WEIR_TRY_ASSIGN(entry.top, read_top((*tops)[i]));
        }
        out.push_back(std::move(entry));
    }
    return out;
}

}  // namespace weir::providers
