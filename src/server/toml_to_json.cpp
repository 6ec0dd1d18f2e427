#include "server/toml_to_json.h"

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace weir::server {
namespace {

Result<json::Value> convert(const toml::node& node);

Result<json::Value> convert_table(const toml::table& table) {
    json::Object object;
    for (const auto& [key, child] : table) {
        WEIR_TRY_ASSIGN(json::Value value, convert(child));
        object.set(std::string(key.str()), std::move(value));
    }
    return json::Value(std::move(object));
}

Result<json::Value> convert_array(const toml::array& array) {
    json::Array items;
    for (const toml::node& child : array) {
        WEIR_TRY_ASSIGN(json::Value value, convert(child));
        items.push_back(std::move(value));
    }
    return json::Value(std::move(items));
}

// Recursion is bounded: toml++ refuses nesting deeper than 256.
Result<json::Value> convert(const toml::node& node) {
    if (const auto* table = node.as_table()) {
        return convert_table(*table);
    }
    if (const auto* array = node.as_array()) {
        return convert_array(*array);
    }
    if (const auto* text = node.as_string()) {
        return json::Value(text->get());
    }
    if (const auto* whole = node.as_integer()) {
        return json::Value(int64_t{whole->get()});
    }
    if (const auto* real = node.as_floating_point()) {
        return json::Value(real->get());
    }
    if (const auto* flag = node.as_boolean()) {
        return json::Value(flag->get());
    }
    return fail(ErrorCode::InvalidArgument, "line {}: dates and times have no use here",
                node.source().begin.line);
}

}  // namespace

Result<json::Value> toml_to_json(std::string_view text) {
    const toml::parse_result parsed = toml::parse(text);
    if (!parsed) {
        return fail(ErrorCode::InvalidArgument, "line {}: {}", parsed.error().source().begin.line,
                    parsed.error().description());
    }
    return convert_table(parsed.table());
}

}  // namespace weir::server
