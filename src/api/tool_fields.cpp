#include "api/tool_fields.h"

#include <algorithm>

#include "api/request_fields.h"
#include "json/write.h"

namespace weir::api {
namespace {

using chat::ToolChoice;

Result<void> read_schema(json::Fields& fields, std::string_view name,
                         std::optional<std::string>& out) {
    WEIR_TRY_ASSIGN(const json::Object* schema, fields.object(name));
    if (schema != nullptr) {
        out = json::to_text(*fields.get(name));
    }
    return {};
}

Result<json::Fields> require_object(json::Fields& fields, std::string_view name) {
    WEIR_TRY_ASSIGN(const json::Object* found, fields.object(name));
    if (found == nullptr) {
        return invalid_argument(fields.path_of(name), "{} is required", fields.path_of(name));
    }
    return json::Fields(*found, fields.path_of(name));
}

Result<chat::Tool> read_tool(const json::Value& value, std::string path) {
    WEIR_TRY_ASSIGN(json::Fields fields, json::Fields::of(value, std::move(path)));
    WEIR_TRY_ASSIGN(const std::string type, fields.require_string("type"));
    if (type != "function") {
        return not_supported(fields.path_of("type"), "only function is");
    }
    WEIR_TRY_ASSIGN(json::Fields function, require_object(fields, "function"));
    chat::Tool tool;
    WEIR_TRY_ASSIGN(tool.name, read_identifier(function, "name"));
    WEIR_TRY(function.read("description", tool.description));
    WEIR_TRY(read_schema(function, "parameters", tool.parameters));
    WEIR_TRY(function.read("strict", tool.strict));
    WEIR_TRY(refuse_unknown(function));
    WEIR_TRY(refuse_unknown(fields));
    return tool;
}

bool has_tool(const chat::Conversation& conversation, std::string_view name) {
    return std::ranges::any_of(conversation.tools,
                               [&](const chat::Tool& tool) { return tool.name == name; });
}

Result<ToolChoice> read_choice_object(const json::Value& value,
                                      const chat::Conversation& conversation) {
    WEIR_TRY_ASSIGN(json::Fields fields, json::Fields::of(value, "tool_choice"));
    WEIR_TRY_ASSIGN(const std::string type, fields.require_string("type"));
    if (type != "function") {
        return not_supported("tool_choice.type", "only function is");
    }
    WEIR_TRY_ASSIGN(json::Fields function, require_object(fields, "function"));
    ToolChoice choice{.mode = ToolChoice::Mode::Named, .name = {}};
    WEIR_TRY_ASSIGN(choice.name, function.require_string("name"));
    WEIR_TRY(refuse_unknown(function));
    WEIR_TRY(refuse_unknown(fields));
    if (!has_tool(conversation, choice.name)) {
        return invalid_argument("tool_choice.function.name",
                                "tool_choice.function.name is none of the tools");
    }
    return choice;
}

Result<ToolChoice> read_choice(const json::Value& value, const chat::Conversation& conversation) {
    const std::string* text = value.if_string();
    if (text == nullptr) {
        return read_choice_object(value, conversation);
    }
    ToolChoice choice;
    if (*text == "none") {
        choice.mode = ToolChoice::Mode::None;
    } else if (*text == "required") {
        choice.mode = ToolChoice::Mode::Required;
    } else if (*text != "auto") {
        return invalid_argument("tool_choice",
                                "tool_choice must be none, auto, required or a "
                                "function's name in an object");
    }
    if (conversation.tools.empty() && choice.mode == ToolChoice::Mode::Required) {
        return invalid_argument("tool_choice", "tool_choice needs tools");
    }
    return choice;
}

}  // namespace

Result<void> read_tools(json::Fields& body, const ApiLimits& limits,
                        chat::Conversation& conversation) {
    WEIR_TRY_ASSIGN(const json::Array* tools, body.array("tools"));
    if (tools != nullptr && tools->size() > limits.tools_max) {
        return invalid_argument("tools", "tools has {} tools, the limit is {}", tools->size(),
                                limits.tools_max);
    }
    for (size_t i = 0; tools != nullptr && i < tools->size(); ++i) {
        WEIR_TRY_ASSIGN(chat::Tool tool, read_tool((*tools)[i], fmt::format("tools[{}]", i)));
        if (has_tool(conversation, tool.name)) {
            const std::string path = fmt::format("tools[{}].function.name", i);
            return invalid_argument(path, "{} is the name of another tool", path);
        }
        conversation.tools.push_back(std::move(tool));
    }
    if (const json::Value* choice = body.get("tool_choice")) {
        WEIR_TRY_ASSIGN(conversation.tool_choice, read_choice(*choice, conversation));
    }
    return body.read("parallel_tool_calls", conversation.parallel_tool_calls);
}

Result<std::optional<chat::ResponseFormat>> read_response_format(json::Fields& body) {
    WEIR_TRY_ASSIGN(const json::Object* found, body.object("response_format"));
    if (found == nullptr) {
        return std::nullopt;
    }
    json::Fields fields(*found, "response_format");
    WEIR_TRY_ASSIGN(const std::string type, fields.require_string("type"));
    chat::ResponseFormat format;
    if (type == "json_object") {
        format.kind = chat::ResponseFormat::Kind::JsonObject;
    } else if (type == "json_schema") {
        format.kind = chat::ResponseFormat::Kind::JsonSchema;
        WEIR_TRY_ASSIGN(json::Fields schema, require_object(fields, "json_schema"));
        WEIR_TRY_ASSIGN(format.name, read_identifier(schema, "name"));
        WEIR_TRY(schema.read("description", format.description));
        WEIR_TRY(read_schema(schema, "schema", format.schema));
        WEIR_TRY(schema.read("strict", format.strict));
        WEIR_TRY(refuse_unknown(schema));
    } else if (type != "text") {
        return invalid_argument("response_format.type",
                                "response_format.type must be text, json_object or json_schema");
    }
    WEIR_TRY(refuse_unknown(fields));
    return format;
}

}  // namespace weir::api
