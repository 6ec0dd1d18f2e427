#include "api/message_fields.h"

#include "api/part_fields.h"
#include "api/request_fields.h"

namespace weir::api {
namespace {

using chat::ContentPart;
using chat::Message;
using chat::Role;

Result<Role> read_role(json::Fields& fields) {
    WEIR_TRY_ASSIGN(const std::string text, fields.require_string("role"));
    for (const Role role :
         {Role::System, Role::Developer, Role::User, Role::Assistant, Role::Tool}) {
        if (chat::name(role) == text) {
            return role;
        }
    }
    if (text == "function") {
        return not_supported(fields.path_of("role"), "use the role tool");
    }
    return invalid_argument(fields.path_of("role"),
                            "{} must be one of: system, developer, user, assistant, tool",
                            fields.path_of("role"));
}

// A participant's name goes into templates: no white space and nothing that looks like markup.
Result<void> read_participant(json::Fields& fields, const ApiLimits& limits, Message& message) {
    WEIR_TRY(fields.read("name", message.name));
    if (!message.name) {
        return {};
    }
    constexpr std::string_view kRefused = " \t\r\n\v\f<|\\/>";
    if (message.name->empty() || message.name->size() > limits.name_bytes_max ||
        message.name->find_first_of(kRefused) != std::string::npos) {
        return invalid_argument(fields.path_of("name"),
                                "{} must have 1 to {} bytes, without white space and <|\\/>",
                                fields.path_of("name"), limits.name_bytes_max);
    }
    return {};
}

Result<void> read_content(json::Fields& fields, const ApiLimits& limits, Message& message) {
    const json::Value* value = fields.get("content");
    if (value == nullptr) {
        return {};
    }
    if (const std::string* text = value->if_string()) {
        message.content.push_back({ContentPart::Kind::Text, *text});
        return {};
    }
    const std::string path = fields.path_of("content");
    const json::Array* parts = value->if_array();
    if (parts == nullptr) {
        return invalid_argument(path, "{} must be a string or an array, not {}", path,
                                value->kind());
    }
    if (parts->empty() || parts->size() > limits.parts_max) {
        return invalid_argument(path, "{} must have 1 to {} parts", path, limits.parts_max);
    }
    message.content_was_array = true;
    message.content.reserve(parts->size());
    for (size_t i = 0; i < parts->size(); ++i) {
        WEIR_TRY_ASSIGN(ContentPart part,
                        read_part((*parts)[i], fmt::format("{}[{}]", path, i), message.role));
        message.content.push_back(std::move(part));
    }
    return {};
}

Result<chat::ToolCall> read_tool_call(const json::Value& value, std::string path,
                                      const ApiLimits& limits) {
    WEIR_TRY_ASSIGN(json::Fields fields, json::Fields::of(value, std::move(path)));
    WEIR_TRY_ASSIGN(const std::string type, fields.require_string("type"));
    if (type != "function") {
        return not_supported(fields.path_of("type"), "only function is");
    }
    chat::ToolCall call;
    WEIR_TRY_ASSIGN(call.id, read_name(fields, "id", limits.name_bytes_max));
    WEIR_TRY_ASSIGN(const json::Object* found, fields.object("function"));
    if (found == nullptr) {
        return invalid_argument(fields.path_of("function"), "{} is required",
                                fields.path_of("function"));
    }
    json::Fields function(*found, fields.path_of("function"));
    WEIR_TRY_ASSIGN(call.name, read_identifier(function, "name"));
    WEIR_TRY_ASSIGN(call.arguments, function.require_string("arguments"));
    WEIR_TRY(refuse_unknown(function));
    WEIR_TRY(refuse_unknown(fields));
    return call;
}

Result<void> read_tool_calls(json::Fields& fields, const ApiLimits& limits, Message& message) {
    WEIR_TRY_ASSIGN(const json::Array* calls, fields.array("tool_calls"));
    if (calls == nullptr) {
        return {};
    }
    const std::string path = fields.path_of("tool_calls");
    if (calls->size() > limits.tool_calls_max) {
        return invalid_argument(path, "{} has {} calls, the limit is {}", path, calls->size(),
                                limits.tool_calls_max);
    }
    for (size_t i = 0; i < calls->size(); ++i) {
        WEIR_TRY_ASSIGN(chat::ToolCall call,
                        read_tool_call((*calls)[i], fmt::format("{}[{}]", path, i), limits));
        message.tool_calls.push_back(std::move(call));
    }
    return {};
}

// Servers call it `reasoning_content` or, newer, `reasoning`; some send both, equal.
Result<void> read_reasoning(json::Fields& fields, Message& message) {
    std::optional<std::string> other;
    WEIR_TRY(fields.read("reasoning_content", message.reasoning));
    WEIR_TRY(fields.read("reasoning", other));
    if (message.reasoning && other && *message.reasoning != *other) {
        return invalid_argument(fields.path_of("reasoning"), "{} and {} are both given and differ",
                                fields.path_of("reasoning"), fields.path_of("reasoning_content"));
    }
    if (other) {
        message.reasoning = std::move(other);
    }
    return {};
}

Result<void> read_assistant(json::Fields& fields, const ApiLimits& limits, Message& message) {
    std::optional<std::string> refusal;
    WEIR_TRY(fields.read("refusal", refusal));
    if (refusal) {
        message.content.push_back({ContentPart::Kind::Refusal, *std::move(refusal)});
    }
    WEIR_TRY(read_tool_calls(fields, limits, message));
    WEIR_TRY(read_reasoning(fields, message));
    WEIR_TRY(refuse(fields, {"audio", "function_call"}));
    // What an answer says about its sources; OpenAI does not read it back either.
    WEIR_TRY(fields.array("annotations"));
    return {};
}

Result<Message> read_message(const json::Value& value, std::string path, const ApiLimits& limits) {
    WEIR_TRY_ASSIGN(json::Fields fields, json::Fields::of(value, std::move(path)));
    Message message;
    WEIR_TRY_ASSIGN(message.role, read_role(fields));
    WEIR_TRY(read_participant(fields, limits, message));
    WEIR_TRY(read_content(fields, limits, message));
    if (message.role == Role::Assistant) {
        WEIR_TRY(read_assistant(fields, limits, message));
    }
    if (message.role == Role::Tool) {
        WEIR_TRY_ASSIGN(message.tool_call_id,
                        read_name(fields, "tool_call_id", limits.name_bytes_max));
    }
    if (message.content.empty() && message.tool_calls.empty()) {
        return invalid_argument(fields.path_of("content"), "{} is required",
                                fields.path_of("content"));
    }
    WEIR_TRY(refuse_unknown(fields));
    return message;
}

}  // namespace

Result<std::vector<Message>> read_messages(json::Fields& body, const ApiLimits& limits) {
    WEIR_TRY_ASSIGN(const json::Array* found, body.require_array("messages"));
    if (found->empty() || found->size() > limits.messages_max) {
        return invalid_argument("messages", "messages must have 1 to {} messages",
                                limits.messages_max);
    }
    std::vector<Message> messages;
    messages.reserve(found->size());
    for (size_t i = 0; i < found->size(); ++i) {
        WEIR_TRY_ASSIGN(Message message,
                        read_message((*found)[i], fmt::format("messages[{}]", i), limits));
        messages.push_back(std::move(message));
    }
    return messages;
}

}  // namespace weir::api
