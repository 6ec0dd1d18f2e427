#include "server/config_table.h"

namespace weir::server {
namespace {

// "backend[0].price" without the numbers: "backend.price".
std::string without_indices(std::string_view path) {
    std::string out;
    bool in_index = false;
    for (const char c : path) {
        in_index = c == '[' || (in_index && c != ']');
        if (!in_index && c != ']') {
            out += c;
        }
    }
    return out;
}

}  // namespace

Result<ConfigTable> ConfigTable::of(const json::Value& value, std::string path, KeysRead* keys) {
    if (value.if_object() == nullptr) {
        return invalid_argument(path, "{} must be a table, not {}", path, value.kind());
    }
    WEIR_TRY_ASSIGN(json::Fields fields, json::Fields::of(value, std::move(path)));
    return ConfigTable(std::move(fields), keys);
}

void ConfigTable::note(std::string_view key) {
    if (keys_ != nullptr) {
        keys_->insert(without_indices(path_of(key)));
    }
}

Result<std::string> ConfigTable::require_string(std::string_view key) {
    note(key);
    return fields_.require_string(key);
}

Result<const json::Array*> ConfigTable::require_array(std::string_view key) {
    note(key);
    return fields_.require_array(key);
}

Result<const json::Array*> ConfigTable::array(std::string_view key) {
    note(key);
    return fields_.array(key);
}

Result<std::optional<ConfigTable>> ConfigTable::table(std::string_view key) {
    note(key);
    const json::Value* value = fields_.get(key);
    if (value == nullptr) {
        return std::nullopt;
    }
    WEIR_TRY_ASSIGN(auto found, of(*value, path_of(key), keys_));
    return found;
}

Result<const json::Array*> ConfigTable::tables_of(std::string_view key) {
    const json::Value* value = fields_.get(key);
    if (value == nullptr) {
        return nullptr;
    }
    if (value->if_array() == nullptr) {
        return refuse(key, "must be written [[{}]]: there may be several", key);
    }
    return value->if_array();
}

Result<void> ConfigTable::refuse_unknown() const {
    const Result<void> known = fields_.refuse_unknown();
    if (!known) {
        const std::string& path = known.error().field;
        return invalid_argument(path, "{} is no key that Weir knows", path);
    }
    return {};
}

std::unexpected<Error> ConfigTable::refuse_text(std::string_view key,
                                                const std::string& why) const {
    return invalid_argument(path_of(key), "{} {}", path_of(key), why);
}

}  // namespace weir::server
