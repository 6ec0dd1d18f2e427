#include "text/template_source.h"

#include <utility>

#include "json/fields.h"
#include "json/parse.h"
#include "text/tokenizer_parts.h"

namespace weir::text {

namespace {

// "chat_template" of a JSON file; empty if it has none.
Result<std::string> template_in(std::string_view text, TemplateUse use) {
    if (text.empty()) {
        return std::string();
    }
    WEIR_TRY_ASSIGN(const json::Value config, json::parse(text, json::kModelFile));
    WEIR_TRY_ASSIGN(json::Fields fields, json::Fields::of(config, ""));
    const json::Value* found = fields.get("chat_template");
    if (found == nullptr) {
        return std::string();
    }
    if (const std::string* alone = found->if_string()) {
        return use == TemplateUse::Chat ? *alone : std::string();
    }
    WEIR_TRY_ASSIGN(const json::Array* named, fields.require_array("chat_template"));
    for (const json::Value& entry : *named) {
        WEIR_TRY_ASSIGN(json::Fields one, json::Fields::of(entry, "chat_template"));
        WEIR_TRY_ASSIGN(const std::string name, one.require_string("name"));
        if (name == (use == TemplateUse::Chat ? "default" : "tool_use")) {
            return one.require_string("template");
        }
    }
    return std::string();
}

}  // namespace

Result<std::string> find_chat_template(const TemplateFiles& files, TemplateUse use) {
    const std::string_view alone =
        use == TemplateUse::Chat ? files.chat_template_jinja : files.tool_use_jinja;
    if (!alone.empty()) {
        return std::string(alone);
    }
    if (!files.chat_template_jinja.empty()) {
        return std::string();  // it is there instead of what the other files say, for either use
    }
    const std::pair<std::string_view, std::string_view> places[] = {
        {"tokenizer_config.json", files.tokenizer_config_json},
        {"chat_template.json", files.chat_template_json}};
    for (const auto& [name, text] : places) {
        auto found = template_in(text, use);
        if (!found) {
            return std::unexpected(as_corrupt(std::move(found).error(), name));
        }
        if (!found->empty()) {
            return found;
        }
    }
    return std::string();
}

}  // namespace weir::text
