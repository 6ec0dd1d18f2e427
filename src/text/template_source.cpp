#include "text/template_source.h"

#include "json/fields.h"
#include "json/parse.h"

namespace weir::text {

Result<std::string> chat_template_in_config(std::string_view config_json) {
    if (config_json.empty()) {
        return std::string();
    }
    WEIR_TRY_ASSIGN(const json::Value config, json::parse(config_json));
    WEIR_TRY_ASSIGN(json::Fields fields, json::Fields::of(config, "tokenizer_config.json"));
    const json::Value* found = fields.get("chat_template");
    if (found == nullptr) {
        return std::string();
    }
    if (const std::string* text = found->if_string()) {
        return *text;
    }
    WEIR_TRY_ASSIGN(const json::Array* named, fields.require_array("chat_template"));
    for (const json::Value& entry : *named) {
        WEIR_TRY_ASSIGN(json::Fields one, json::Fields::of(entry, "chat_template"));
        WEIR_TRY_ASSIGN(const std::string name, one.require_string("name"));
        if (name == "default") {
            return one.require_string("template");
        }
    }
    return std::string();
}

}  // namespace weir::text
