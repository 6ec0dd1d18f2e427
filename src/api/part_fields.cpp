#include "api/part_fields.h"

#include "api/request_fields.h"
#include "json/write.h"

namespace weir::api {
namespace {

using chat::ContentPart;
using chat::Role;
using Kind = chat::ContentPart::Kind;

struct PartType {
    std::string_view type;
    std::string_view member;  // where its content is
    Kind kind;
};

constexpr PartType kPartTypes[] = {
    {"text", "text", Kind::Text},
    {"refusal", "refusal", Kind::Refusal},
    {"image_url", "image_url", Kind::Image},
    {"input_audio", "input_audio", Kind::Audio},
    {"file", "file", Kind::File},
};

bool may_send(Role role, Kind kind) {
    switch (kind) {
        case Kind::Text:
            return true;
        case Kind::Refusal:
            return role == Role::Assistant;
        case Kind::Image:
        case Kind::Audio:
        case Kind::File:
            return role == Role::User;
    }
    return false;
}

Result<const PartType*> read_type(json::Fields& fields, Role role) {
    WEIR_TRY_ASSIGN(const std::string text, fields.require_string("type"));
    for (const PartType& type : kPartTypes) {
        if (type.type == text && may_send(role, type.kind)) {
            return &type;
        }
    }
    return invalid_argument(fields.path_of("type"),
                            "{} is none that a message with the role {} can have",
                            fields.path_of("type"), chat::name(role));
}

// A mark for provider-side caches: it changes the price at most, so it is checked and dropped.
Result<void> read_cache_mark(json::Fields& fields) {
    WEIR_TRY_ASSIGN(const json::Object* found, fields.object("prompt_cache_breakpoint"));
    if (found == nullptr) {
        return {};
    }
    json::Fields mark(*found, fields.path_of("prompt_cache_breakpoint"));
    std::string unused;
    WEIR_TRY(mark.read("mode", unused));
    WEIR_TRY(mark.read("ttl", unused));
    return refuse_unknown(mark);
}

Result<void> check_image(json::Fields& image) {
    WEIR_TRY(image.require_string("url"));
    std::string detail = "auto";
    WEIR_TRY(image.read("detail", detail));
    if (detail != "auto" && detail != "low" && detail != "high" && detail != "original") {
        return invalid_argument(image.path_of("detail"),
                                "{} must be one of: auto, low, high, original",
                                image.path_of("detail"));
    }
    return {};
}

Result<void> check_audio(json::Fields& audio) {
    WEIR_TRY(audio.require_string("data"));
    WEIR_TRY_ASSIGN(const std::string format, audio.require_string("format"));
    if (format != "wav" && format != "mp3") {
        return invalid_argument(audio.path_of("format"), "{} must be one of: wav, mp3",
                                audio.path_of("format"));
    }
    return {};
}

Result<void> check_file(json::Fields& file) {
    std::optional<std::string> unused;
    WEIR_TRY(file.read("filename", unused));
    WEIR_TRY(file.read("file_data", unused));
    return file.read("file_id", unused);
}

Result<void> check_shape(json::Fields& fields, const PartType& type) {
    WEIR_TRY_ASSIGN(const json::Object* found, fields.object(type.member));
    if (found == nullptr) {
        return invalid_argument(fields.path_of(type.member), "{} is required",
                                fields.path_of(type.member));
    }
    json::Fields content(*found, fields.path_of(type.member));
    if (type.kind == Kind::Image) {
        WEIR_TRY(check_image(content));
    } else if (type.kind == Kind::Audio) {
        WEIR_TRY(check_audio(content));
    } else {
        WEIR_TRY(check_file(content));
    }
    return refuse_unknown(content);
}

}  // namespace

Result<ContentPart> read_part(const json::Value& value, std::string path, Role role) {
    WEIR_TRY_ASSIGN(json::Fields fields, json::Fields::of(value, std::move(path)));
    WEIR_TRY_ASSIGN(const PartType* type, read_type(fields, role));
    ContentPart part{.kind = type->kind, .text = {}};
    if (type->kind == Kind::Text || type->kind == Kind::Refusal) {
        WEIR_TRY_ASSIGN(part.text, fields.require_string(type->member));
    } else {
        WEIR_TRY(check_shape(fields, *type));
        part.text = json::to_text(value);
    }
    WEIR_TRY(read_cache_mark(fields));
    WEIR_TRY(refuse_unknown(fields));
    return part;
}

}  // namespace weir::api
