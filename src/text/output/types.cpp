#include "text/output/types.h"

#include <optional>

#include "json/parse.h"
#include "text/output/json_text.h"
#include "text/output/literal.h"
#include "text/output/marker.h"

namespace weir::text {
namespace {

JsonType type_named(std::string_view name) {
    constexpr std::pair<std::string_view, JsonType> kNames[] = {
        {"string", JsonType::String},   {"number", JsonType::Number},
        {"integer", JsonType::Integer}, {"boolean", JsonType::Boolean},
        {"null", JsonType::Null},       {"array", JsonType::Array},
        {"object", JsonType::Object}};
    for (const auto& [known, type] : kNames) {
        if (known == name) {
            return type;
        }
    }
    return JsonType::Any;
}

JsonType type_of_value(const json::Value& value) {
    const std::string_view kind = value.kind();
    return kind == "number" ? JsonType::Number | JsonType::Integer : type_named(kind);
}

// "#/$defs/a~1b": only what the same document has.
const json::Value* follow(const json::Value& root, std::string_view reference) {
    if (!reference.starts_with("#/")) {
        return reference == "#" ? &root : nullptr;
    }
    reference.remove_prefix(2);
    const json::Value* at = &root;
    while (at != nullptr) {
        const size_t end = reference.find('/');
        std::string key;
        const std::string_view written = reference.substr(0, end);
        for (size_t i = 0; i < written.size(); ++i) {
            const bool escaped = written[i] == '~' && i + 1 < written.size();
            key.push_back(!escaped ? written[i] : written[i + 1] == '1' ? '/' : '~');
            i += escaped ? 1 : 0;
        }
        const json::Object* object = at->if_object();
        at = object == nullptr ? nullptr : object->find(key);
        if (end == reference.npos) {
            return at;
        }
        reference.remove_prefix(end + 1);
    }
    return nullptr;
}

constexpr JsonType intersect(JsonType a, JsonType b) {
    return static_cast<JsonType>(static_cast<uint8_t>(a) & static_cast<uint8_t>(b));
}

// The types that the schemas of one tool's parameters allow, walked within budgets: they come from
// the client. One parameter's schema leaves the others what they need, and all together cannot
// visit the same values much more often than there are values.
class SchemaTypes {
  public:
    explicit SchemaTypes(const json::Value& root) : root_(root) {}

    JsonType of_parameter(const json::Value& schema) {
        visited_ = 0;
        return of(schema, 0);
    }

  private:
    static constexpr size_t kVisitedMax = 256;           // schemas, of one parameter
    static constexpr size_t kWorkMax = size_t{1} << 13;  // values met below parameters

    JsonType of(const json::Value& schema, int depth) {
        const json::Object* object = schema.if_object();
        if (object == nullptr || depth > ToolTypes::kDepthMax || ++visited_ > kVisitedMax ||
            !spend(depth, 1)) {
            return JsonType::Any;
        }
        JsonType types = JsonType::Any;
        if (const json::Value* type = object->find("type")) {
            types = named(*type);
        } else if (const json::Value* constant = object->find("const")) {
            types = type_of_value(*constant);
        } else if (const json::Value* values = object->find("enum"); values && values->if_array()) {
            if (!spend(depth, values->if_array()->size())) {
                return JsonType::Any;
            }
            types = JsonType::None;
            for (const json::Value& value : *values->if_array()) {
                types = types | type_of_value(value);
            }
        }
        if (const json::Value* reference = object->find("$ref"); reference) {
            const std::string* text = reference->if_string();
            const json::Value* found = text == nullptr ? nullptr : follow(root_, *text);
            types = intersect(types, found == nullptr ? JsonType::Any : of(*found, depth + 1));
        }
        for (const char* keyword : {"anyOf", "oneOf"}) {
            types = intersect(types, any_of(object->find(keyword), depth));
        }
        if (const json::Value* all = object->find("allOf"); all && all->if_array()) {
            for (const json::Value& branch : *all->if_array()) {
                types = intersect(types, of(branch, depth + 1));
            }
        }
        return types;
    }

    // A parameter's own schema is met once; what it refers to may be met from everywhere.
    bool spend(int depth, size_t values) {
        work_ += depth == 0 ? 0 : values;
        return work_ <= kWorkMax;
    }

    static JsonType named(const json::Value& type) {
        if (const std::string* name = type.if_string()) {
            return type_named(*name);
        }
        const json::Array* names = type.if_array();
        if (names == nullptr) {
            return JsonType::Any;
        }
        JsonType types = JsonType::None;
        for (const json::Value& one : *names) {
            types = types | (one.if_string() ? type_named(*one.if_string()) : JsonType::Any);
        }
        return types;
    }

    JsonType any_of(const json::Value* branches, int depth) {
        if (branches == nullptr || branches->if_array() == nullptr) {
            return JsonType::Any;
        }
        JsonType types = JsonType::None;
        for (const json::Value& branch : *branches->if_array()) {
            types = types | of(branch, depth + 1);
        }
        return types;
    }

    const json::Value& root_;
    size_t visited_ = 0;
    size_t work_ = 0;
};

// `text` as JSON of one of these types, written as it is where it is JSON.
std::optional<std::string> as_json(std::string_view text, JsonType types) {
    const bool number = allows(types, JsonType::Number) || allows(types, JsonType::Integer);
    if (is_json_number(text)) {  // of any length: nothing is rounded
        return number ? std::optional<std::string>(text) : std::nullopt;
    }
    if (const auto parsed = json::parse(text)) {
        const bool fits = parsed->if_string() == nullptr && allows(types, type_of_value(*parsed));
        return fits ? std::optional<std::string>(text) : std::nullopt;
    }
    LiteralToJson literal(LiteralToJson::Style::Value);
    std::string out;
    for (const char c : text) {
        if (literal.feed(c, out) == LiteralToJson::Status::Fail) {
            return std::nullopt;
        }
    }
    if (!literal.finish(out) || out.empty() || out.front() == '"') {
        return std::nullopt;
    }
    if (is_json_number(out)) {
        return number ? std::optional(std::move(out)) : std::nullopt;
    }
    const JsonType type = out.front() == '{'   ? JsonType::Object
                          : out.front() == '[' ? JsonType::Array
                          : out == "null"      ? JsonType::Null
                                               : JsonType::Boolean;
    return allows(types, type) ? std::optional(std::move(out)) : std::nullopt;
}

}  // namespace

ToolTypes::ToolTypes(const std::vector<chat::Tool>& tools) {
    for (const chat::Tool& tool : tools) {
        Tool& made = tools_[tool.name];
        const auto schema = json::parse(tool.parameters.value_or("{}"));
        if (!schema || schema->if_object() == nullptr) {
            continue;
        }
        SchemaTypes types(*schema);
        const json::Value* properties = schema->if_object()->find("properties");
        if (properties != nullptr && properties->if_object() != nullptr) {
            for (const auto& [name, property] : *properties->if_object()) {
                made.parameters.insert_or_assign(name, types.of_parameter(property));
            }
        }
        if (const json::Value* others = schema->if_object()->find("additionalProperties")) {
            made.others = types.of_parameter(*others);
        }
    }
}

JsonType ToolTypes::type_of(std::string_view tool, std::string_view parameter) const {
    const auto found = tools_.find(tool);
    if (found == tools_.end()) {
        return JsonType::Any;
    }
    const auto known = found->second.parameters.find(parameter);
    return known == found->second.parameters.end() ? found->second.others : known->second;
}

std::string coerce(std::string_view raw, JsonType types) {
    const std::string_view text = trim(raw);
    const bool may_be_string = types != JsonType::Any && allows(types, JsonType::String);
    const JsonType others =
        !may_be_string ? types
                       : intersect(types, JsonType::Null | JsonType::Array | JsonType::Object);
    if (!text.empty()) {
        const bool is_case = text.size() <= 5 && allows(others, JsonType::Boolean);
        if (is_case && (text == "TRUE" || text == "FALSE")) {
            return text == "TRUE" ? "true" : "false";
        }
        if (auto value = as_json(text, others)) {
            return *std::move(value);
        }
    }
    return json_string(raw);
}

}  // namespace weir::text
