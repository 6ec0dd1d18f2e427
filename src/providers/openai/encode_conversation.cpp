#include <algorithm>

#include "providers/openai/encode.h"

namespace weir::providers {
namespace {

using chat::ContentPart;
using chat::Message;
using chat::Role;

void encode_part(json::Writer& writer, const ContentPart& part) {
    switch (part.kind) {
        case ContentPart::Kind::Text:
            writer.begin_object().member("type", "text");
            write_text_member(writer, "text", part.text);
            writer.end_object();
            return;
        case ContentPart::Kind::Refusal:
            writer.begin_object().member("type", "refusal");
            write_text_member(writer, "refusal", part.text);
            writer.end_object();
            return;
        case ContentPart::Kind::Image:
        case ContentPart::Kind::Audio:
        case ContentPart::Kind::File:
            writer.raw(part.text);  // is JSON text in this shape already
            return;
    }
}

bool needs_array(const Message& message) {
    const auto& content = message.content;
    return message.content_was_array ||
           std::ranges::count(content, ContentPart::Kind::Text, &ContentPart::kind) > 1 ||
           std::ranges::count(content, ContentPart::Kind::Refusal, &ContentPart::kind) > 1 ||
           std::ranges::any_of(content, [](const ContentPart& part) {
               return part.kind != ContentPart::Kind::Text &&
                      part.kind != ContentPart::Kind::Refusal;
           });
}

// As the client sent it: an array of parts, or a string with the refusal beside it.
void encode_content(json::Writer& writer, const Message& message) {
    writer.key("content");
    if (needs_array(message)) {
        writer.begin_array();
        for (const ContentPart& part : message.content) {
            encode_part(writer, part);
        }
        writer.end_array();
        return;
    }
    const auto text =
        std::ranges::find(message.content, ContentPart::Kind::Text, &ContentPart::kind);
    if (text == message.content.end()) {
        writer.null();
    } else {
        writer.value(std::string_view(text->text));
    }
    const auto refusal =
        std::ranges::find(message.content, ContentPart::Kind::Refusal, &ContentPart::kind);
    if (refusal != message.content.end()) {
        write_text_member(writer, "refusal", refusal->text);
    }
}

void encode_tool_calls(json::Writer& writer, const std::vector<chat::ToolCall>& calls) {
    if (calls.empty()) {
        return;
    }
    writer.key("tool_calls").begin_array();
    for (const chat::ToolCall& call : calls) {
        writer.begin_object();
        write_text_member(writer, "id", call.id);
        writer.member("type", "function").key("function").begin_object();
        write_text_member(writer, "name", call.name);
        write_text_member(writer, "arguments", call.arguments);
        writer.end_object().end_object();
    }
    writer.end_array();
}

Result<void> encode_messages(json::Writer& writer, const std::vector<Message>& messages,
                             const OpenAiDialect& dialect) {
    writer.key("messages").begin_array();
    for (size_t i = 0; i < messages.size(); ++i) {
        const Message& message = messages[i];
        if (message.reasoning && !dialect.reasoning_history) {
            return inexpressible(fmt::format("messages[{}].reasoning_content", i));
        }
        writer.begin_object().member("role", chat::name(message.role));
        if (message.name) {
            write_text_member(writer, "name", *message.name);
        }
        encode_content(writer, message);
        if (message.reasoning) {
            write_text_member(writer, "reasoning_content", *message.reasoning);
        }
        encode_tool_calls(writer, message.tool_calls);
        if (message.tool_call_id) {
            write_text_member(writer, "tool_call_id", *message.tool_call_id);
        }
        writer.end_object();
    }
    writer.end_array();
    return {};
}

void encode_tools(json::Writer& writer, const std::vector<chat::Tool>& tools) {
    if (tools.empty()) {
        return;
    }
    writer.key("tools").begin_array();
    for (const chat::Tool& tool : tools) {
        writer.begin_object().member("type", "function").key("function").begin_object();
        write_text_member(writer, "name", tool.name);
        if (tool.description) {
            write_text_member(writer, "description", *tool.description);
        }
        if (tool.parameters) {
            writer.key("parameters").raw(*tool.parameters);
        }
        if (tool.strict) {
            writer.member("strict", *tool.strict);
        }
        writer.end_object().end_object();
    }
    writer.end_array();
}

void encode_tool_choice(json::Writer& writer, const chat::ToolChoice& choice) {
    writer.key("tool_choice");
    switch (choice.mode) {
        case chat::ToolChoice::Mode::Auto:
            writer.value("auto");
            return;
        case chat::ToolChoice::Mode::None:
            writer.value("none");
            return;
        case chat::ToolChoice::Mode::Required:
            writer.value("required");
            return;
        case chat::ToolChoice::Mode::Named:
            writer.begin_object().member("type", "function").key("function").begin_object();
            write_text_member(writer, "name", choice.name);
            writer.end_object().end_object();
            return;
    }
}

}  // namespace

Result<void> encode_conversation(json::Writer& writer, const chat::Conversation& conversation,
                                 const OpenAiDialect& dialect) {
    WEIR_TRY(encode_messages(writer, conversation.messages, dialect));
    encode_tools(writer, conversation.tools);
    // Without tools these two mean nothing, and OpenAI refuses them.
    const bool about_tools = !conversation.tools.empty() || dialect.own_worker;
    if (conversation.tool_choice && about_tools) {
        encode_tool_choice(writer, *conversation.tool_choice);
    }
    if (conversation.parallel_tool_calls && about_tools) {
        writer.member("parallel_tool_calls", *conversation.parallel_tool_calls);
    }
    if (conversation.reasoning_effort) {
        write_text_member(writer, "reasoning_effort", *conversation.reasoning_effort);
    }
    if (conversation.template_variables.empty()) {
        return {};
    }
    if (!dialect.template_variables) {
        return inexpressible("chat_template_kwargs");
    }
    writer.key("chat_template_kwargs").begin_object();
    for (const auto& [name, value] : conversation.template_variables) {
        writer.key(name).raw(value);
    }
    writer.end_object();
    return {};
}

}  // namespace weir::providers
