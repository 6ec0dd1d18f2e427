#include "api/request_fields.h"

#include <algorithm>

#include "json/parse.h"

namespace weir::api {
namespace {

constexpr size_t kIdentifierBytesMax = 64;

bool is_identifier(std::string_view text) {
    return !text.empty() && text.size() <= kIdentifierBytesMax &&
           std::ranges::all_of(text, [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '-';
           });
}

}  // namespace

std::unexpected<Error> not_supported(std::string_view field) {
    return std::unexpected(make_error(ErrorCode::Unsupported, "{} is not supported", field)
                               .with_field(field)
                               .with_reason("unsupported_parameter"));
}

std::unexpected<Error> not_supported(std::string_view field, std::string_view instead) {
    return std::unexpected(
        make_error(ErrorCode::Unsupported, "{} is not supported: {}", field, instead)
            .with_field(field)
            .with_reason("unsupported_parameter"));
}

Result<void> refuse(json::Fields& fields, std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names) {
        if (fields.get(name) != nullptr) {
            return not_supported(fields.path_of(name));
        }
    }
    return {};
}

Result<void> refuse_unknown(const json::Fields& fields) {
    Result<void> known = fields.refuse_unknown();
    if (!known) {
        return std::unexpected(std::move(known).error().with_reason("unknown_parameter"));
    }
    return known;
}

Result<json::Value> parse_json(std::string_view body) {
    Result<json::Value> value = json::parse(body);
    if (!value) {
        return std::unexpected(std::move(value).error().with_reason("invalid_json"));
    }
    return value;
}

Error with_default_reason(Error error) {
    if (error.code == ErrorCode::InvalidArgument && error.reason.empty()) {
        error.reason = "invalid_value";
    }
    return error;
}

Result<std::string> read_name(json::Fields& fields, std::string_view name, size_t bytes_max) {
    WEIR_TRY_ASSIGN(std::string text, fields.require_string(name));
    if (text.empty() || text.size() > bytes_max) {
        return invalid_argument(fields.path_of(name), "{} must have 1 to {} bytes",
                                fields.path_of(name), bytes_max);
    }
    return text;
}

Result<std::string> read_identifier(json::Fields& fields, std::string_view name) {
    WEIR_TRY_ASSIGN(std::string text, fields.require_string(name));
    if (!is_identifier(text)) {
        return invalid_argument(fields.path_of(name),
                                "{} must be 1 to {} letters, digits, underscores or hyphens",
                                fields.path_of(name), kIdentifierBytesMax);
    }
    return text;
}

Result<void> read_stream(json::Fields& fields, chat::ChatRequest& request) {
    WEIR_TRY(fields.read("stream", request.stream));
    WEIR_TRY_ASSIGN(const json::Object* found, fields.object("stream_options"));
    if (found == nullptr) {
        return {};
    }
    if (!request.stream) {
        return invalid_argument("stream_options", "stream_options needs stream to be true");
    }
    json::Fields options(*found, "stream_options");
    WEIR_TRY(options.read("include_usage", request.include_usage));
    bool obfuscation = false;  // padding against eavesdroppers, which clients must ignore
    WEIR_TRY(options.read("include_obfuscation", obfuscation));
    return refuse_unknown(options);
}

}  // namespace weir::api
