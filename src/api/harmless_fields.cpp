// Fields that change no answer. Their values are checked all the same: they reach remotes.

#include "api/request_fields.h"
#include "json/write.h"

namespace weir::api {
namespace {

constexpr size_t kSafetyIdentifierBytesMax = 128;  // as OpenAI documents it
constexpr size_t kMetadataNameBytesMax = 64;
constexpr size_t kMetadataValueBytesMax = 512;

Result<void> pass_string(json::Fields& fields, std::string_view name, size_t bytes_max,
                         chat::ChatRequest& request) {
    std::optional<std::string> text;
    WEIR_TRY(fields.read(name, text));
    if (text && text->size() > bytes_max) {
        return invalid_argument(fields.path_of(name), "{} has {} bytes, the limit is {}", name,
                                text->size(), bytes_max);
    }
    pass_on(name, fields.get(name), request);
    return {};
}

Result<void> expect_one_of(json::Fields& fields, std::string_view name,
                           std::initializer_list<std::string_view> allowed) {
    std::optional<std::string> text;
    WEIR_TRY(fields.read(name, text));
    if (!text) {
        return {};
    }
    for (const std::string_view value : allowed) {
        if (*text == value) {
            return {};
        }
    }
    return invalid_argument(fields.path_of(name), "{} must be one of: {}", fields.path_of(name),
                            fmt::join(allowed, ", "));
}

Result<void> read_metadata(json::Fields& fields, const ApiLimits& limits,
                           chat::ChatRequest& request) {
    WEIR_TRY_ASSIGN(const json::Object* found, fields.object("metadata"));
    if (found == nullptr) {
        return {};
    }
    if (found->size() > limits.metadata_max) {
        return invalid_argument("metadata", "metadata has {} pairs, the limit is {}", found->size(),
                                limits.metadata_max);
    }
    for (const auto& [name, value] : *found) {
        const std::string* text = value.if_string();
        if (text == nullptr || text->size() > kMetadataValueBytesMax ||
            name.size() > kMetadataNameBytesMax) {
            return invalid_argument("metadata",
                                    "metadata needs names of at most {} bytes and strings of at "
                                    "most {} bytes as values",
                                    kMetadataNameBytesMax, kMetadataValueBytesMax);
        }
    }
    pass_on("metadata", fields.get("metadata"), request);
    return {};
}

Result<void> read_modalities(json::Fields& fields, chat::ChatRequest& request) {
    WEIR_TRY_ASSIGN(const json::Array* found, fields.array("modalities"));
    if (found == nullptr) {
        return {};
    }
    if (*found != json::Array{json::Value("text")}) {
        return not_supported("modalities", "only [\"text\"] is");
    }
    pass_on("modalities", fields.get("modalities"), request);
    return {};
}

Result<void> read_cache_hints(json::Fields& fields, const ApiLimits& limits,
                              chat::ChatRequest& request) {
    WEIR_TRY(pass_string(fields, "prompt_cache_key", limits.label_bytes_max, request));
    WEIR_TRY(expect_one_of(fields, "prompt_cache_retention", {"in_memory", "in-memory", "24h"}));
    pass_on("prompt_cache_retention", fields.get("prompt_cache_retention"), request);
    WEIR_TRY_ASSIGN(const json::Object* found, fields.object("prompt_cache_options"));
    if (found == nullptr) {
        return {};
    }
    json::Fields options(*found, "prompt_cache_options");
    WEIR_TRY(expect_one_of(options, "mode", {"implicit", "explicit"}));
    WEIR_TRY(expect_one_of(options, "ttl", {"30m"}));
    WEIR_TRY(refuse_unknown(options));
    pass_on("prompt_cache_options", fields.get("prompt_cache_options"), request);
    return {};
}

Result<void> read_service(json::Fields& fields, chat::ChatRequest& request) {
    std::optional<std::string> tier;
    WEIR_TRY(fields.read("service_tier", tier));
    if (tier && *tier != "auto" && *tier != "default") {
        return not_supported("service_tier", "only auto and default are");
    }
    pass_on("service_tier", fields.get("service_tier"), request);
    bool store = false;
    WEIR_TRY(fields.read("store", store));
    if (store) {
        return not_supported("store", "answers are not kept");
    }
    pass_on("store", fields.get("store"), request);
    return {};
}

}  // namespace

void pass_on(std::string_view name, const json::Value* value, chat::ChatRequest& request) {
    if (value != nullptr) {
        request.passed_on.emplace_back(name, json::to_text(*value));
    }
}

Result<void> read_user(json::Fields& fields, const ApiLimits& limits, chat::ChatRequest& request) {
    return pass_string(fields, "user", limits.label_bytes_max, request);
}

Result<void> read_harmless(json::Fields& fields, const ApiLimits& limits,
                           chat::ChatRequest& request) {
    WEIR_TRY(read_metadata(fields, limits, request));
    WEIR_TRY(read_modalities(fields, request));
    WEIR_TRY(read_cache_hints(fields, limits, request));
    WEIR_TRY(pass_string(fields, "safety_identifier", kSafetyIdentifierBytesMax, request));
    return read_service(fields, request);
}

}  // namespace weir::api
