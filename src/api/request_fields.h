#pragma once

// Pieces of the request parsers that chat and completions share, and their refusals.
// Not here: what is only chat's (message_fields.h, tool_fields.h).

#include <initializer_list>
#include <string_view>

#include "api/limits.h"
#include "base/result.h"
#include "chat/request.h"
#include "json/fields.h"

namespace weir::api {

// Unsupported, naming the field: well formed, but this program does not offer it.
std::unexpected<Error> not_supported(std::string_view field);
std::unexpected<Error> not_supported(std::string_view field, std::string_view instead);

// Each of the members must be absent or null; otherwise `not_supported`.
Result<void> refuse(json::Fields& fields, std::initializer_list<std::string_view> names);

// Fields::refuse_unknown with the reason "unknown_parameter".
Result<void> refuse_unknown(const json::Fields& fields);

// Parses the JSON text and hands it to `read`. An error without a reason gets the one that says
// where it comes from: "invalid_json" or "invalid_value".
Result<json::Value> parse_json(std::string_view body);
Error with_default_reason(Error error);

template <typename T>
Result<T> parse_body(std::string_view body, const ApiLimits& limits,
                     Result<T> (*read)(const json::Value& body, const ApiLimits& limits)) {
    WEIR_TRY_ASSIGN(const json::Value value, parse_json(body));
    Result<T> request = read(value, limits);
    if (!request) {
        return std::unexpected(with_default_reason(std::move(request).error()));
    }
    return request;
}

// Required, not empty, at most `bytes_max`.
Result<std::string> read_name(json::Fields& fields, std::string_view name, size_t bytes_max);

// A function's, schema's or tool's name: 1 to 64 of [A-Za-z0-9_-].
Result<std::string> read_identifier(json::Fields& fields, std::string_view name);

// temperature, top_p, top_k, min_p, the three penalties, logit_bias, stop, stop_token_ids,
// ignore_eos, seed, n.
Result<void> read_sampling(json::Fields& fields, const ApiLimits& limits,
                           chat::SamplingParams& sampling);

// stream and stream_options.
Result<void> read_stream(json::Fields& fields, chat::ChatRequest& request);

// Token ids written as JSON numbers, appended to `out`.
Result<void> read_token_ids(const json::Array& items, std::string_view path,
                            std::vector<TokenId>& out);

// Keeps a harmless member for policy and remotes; nullptr is none.
void pass_on(std::string_view name, const json::Value* value, chat::ChatRequest& request);

// user: all that completions have of the harmless ones.
Result<void> read_user(json::Fields& fields, const ApiLimits& limits, chat::ChatRequest& request);

// metadata, modalities, prompt_cache_*, safety_identifier, service_tier, store.
Result<void> read_harmless(json::Fields& fields, const ApiLimits& limits,
                           chat::ChatRequest& request);

}  // namespace weir::api
