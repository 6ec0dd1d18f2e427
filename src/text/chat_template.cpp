#include "text/chat_template.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "json/parse.h"
#include "text/output/derive.h"

namespace weir::text {
namespace {

// What shipped templates ask for beyond the conversation itself.
constexpr std::string_view kVariables[] = {
    "add_vision_id",   "builtin_tools",         "citations",      "clear_thinking",
    "custom_tools",    "date_string",           "documents",      "enable_thinking",
    "generic_prompt",  "keep_past_thinking",    "model_identity", "preserve_thinking",
    "reasoning",       "reasoning_effort",      "system_message", "thinking",
    "thinking_budget", "tools_in_user_message", "xml_tools",
};

constexpr std::string_view kFieldOfVariables = "chat_template_kwargs";

std::string field_of(size_t message) {
    return fmt::format("messages[{}]", message);
}

// Arguments as an object where they are one, which is what templates expect; what a model wrote
// and is no JSON stays text.
json::Value arguments_of(const chat::ToolCall& call) {
    auto parsed = json::parse(call.arguments);
    return parsed && parsed->if_object() != nullptr ? *std::move(parsed)
                                                    : json::Value(call.arguments);
}

// Mistral's templates refuse every id but nine letters and digits. Ids from elsewhere (a
// conversation may have begun with another model) are shown as such, the same one each time.
std::string nine_letters(std::string_view id) {
    constexpr std::string_view kLetters =
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    if (id.size() == 9 && id.find_first_not_of(kLetters) == id.npos) {
        return std::string(id);
    }
    uint64_t hash = 0xCBF29CE484222325u;  // FNV-1a
    for (const char c : id) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
    }
    hash ^= hash >> 29;  // its low bits alone know little of the last byte's
    std::string made;
    for (int i = 0; i < 9; ++i) {
        made.push_back(kLetters[hash % kLetters.size()]);
        hash /= kLetters.size();
    }
    return made;
}

json::Value tool_calls_of(const chat::Message& message, bool short_ids) {
    json::Array calls;
    for (const chat::ToolCall& call : message.tool_calls) {
        json::Object function;
        function.set("name", call.name);
        function.set("arguments", arguments_of(call));
        json::Object entry;
        entry.set("id", short_ids ? nine_letters(call.id) : call.id);
        entry.set("type", "function");
        entry.set("function", std::move(function));
        calls.emplace_back(std::move(entry));
    }
    return calls;
}

Result<json::Value> content_of(const chat::Message& message, bool as_parts, size_t index) {
    json::Array parts;
    std::string joined;
    for (const chat::ContentPart& part : message.content) {
        if (part.kind != chat::ContentPart::Kind::Text &&
            part.kind != chat::ContentPart::Kind::Refusal) {
            return invalid_argument(field_of(index) + ".content",
                                    "this model reads text only, not images, audio or files");
        }
        json::Object entry;
        entry.set("type", "text");
        entry.set("text", part.text);
        parts.emplace_back(std::move(entry));
        joined += (joined.empty() ? "" : "\n") + part.text;
    }
    if (as_parts && message.content_was_array) {
        return parts;
    }
    return json::Value(std::move(joined));
}

// What must not be called is not shown: a model that reads of a function calls it, as plain text
// where nobody parses calls.
bool offers_tools(const chat::Conversation& conversation) {
    const bool may_call =
        !conversation.tool_choice || conversation.tool_choice->mode != chat::ToolChoice::Mode::None;
    return may_call && !conversation.tools.empty();
}

Result<json::Value> tools_of(const chat::Conversation& conversation) {
    if (!offers_tools(conversation)) {
        return json::Value();
    }
    json::Array tools;
    for (size_t i = 0; i < conversation.tools.size(); ++i) {
        const chat::Tool& tool = conversation.tools[i];
        auto parameters =
            json::parse(tool.parameters.value_or("{\"type\":\"object\",\"properties\":{}}"));
        if (!parameters) {
            return std::unexpected(
                std::move(parameters)
                    .error()
                    .with_field(fmt::format("tools[{}].function.parameters", i)));
        }
        json::Object function;
        function.set("name", tool.name);
        if (tool.description) {
            function.set("description", *tool.description);
        }
        function.set("parameters", *std::move(parameters));
        json::Object entry;
        entry.set("type", "function");
        entry.set("function", std::move(function));
        tools.emplace_back(std::move(entry));
    }
    return tools;
}

}  // namespace

bool is_template_variable(std::string_view name) {
    return std::find(std::begin(kVariables), std::end(kVariables), name) != std::end(kVariables);
}

Result<ChatTemplate> ChatTemplate::create(std::optional<std::string_view> source,
                                          SpecialTokens special_tokens,
                                          const jinja::RenderLimits& limits) {
    if (!source) {
        return std::unexpected(
            make_error(ErrorCode::Unsupported,
                       "the model has no chat template: it completes text, but cannot chat")
                .with_reason("no_chat_template"));
    }
    WEIR_TRY_ASSIGN(jinja::Template compiled,
                    jinja::Template::parse(*source, jinja::Mode::Lenient));
    ChatTemplate chat(std::move(compiled), std::move(special_tokens), limits);
    chat.knows_developer_ = source->find("developer") != source->npos;
    chat.reads_effort_ = source->find("reasoning_effort") != source->npos;
    for (const std::string_view name : {"enable_thinking", "thinking"}) {
        if (source->find(fmt::format("{} is defined", name)) != source->npos) {
            chat.thinking_switch_ = name;
            break;
        }
    }
    chat.wants_short_ids_ =
        source->find("length 9") != source->npos || source->find("length != 9") != source->npos;
    chat.takes_parts_ = chat.probe_parts();
    chat.output_format_ = std::make_shared<const OutputFormat>(
        find_output_format(chat.template_, *source, chat.special_tokens_, limits));
    chat.shows_tools_ = chat.probe_tools();
    return chat;
}

void ChatTemplate::set_for_tools(ChatTemplate other) {
    for_tools_ = std::make_shared<const ChatTemplate>(std::move(other));
}

const ChatTemplate& ChatTemplate::for_conversation(const chat::Conversation& conversation) const {
    return offers_tools(conversation) ? for_tools() : *this;
}

bool ChatTemplate::can_call_tools() const {
    if (for_tools_) {
        return for_tools_->can_call_tools();
    }
    const bool can_call = output_format_->is_harmony || output_format_->calls.can_call();
    return shows_tools_ && can_call;
}

bool ChatTemplate::probe_tools() const {
    constexpr const char* kProbe = "weir-probe";
    chat::Conversation conversation;
    chat::Message message;
    message.content = {{chat::ContentPart::Kind::Text, "x"}};
    conversation.messages = {std::move(message)};
    chat::Tool tool;
    tool.name = kProbe;
    tool.description = "x";
    conversation.tools = {std::move(tool)};
    const auto rendered = render(conversation, GenerationPrompt::Yes, {});
    return rendered && rendered->text().find(kProbe) != std::string::npos;
}

// Templates that were not written for parts fail on a list, leave it out or print its repr.
bool ChatTemplate::probe_parts() const {
    constexpr const char* kProbe = "weir-probe";
    chat::Conversation conversation;
    chat::Message message;
    message.content = {{chat::ContentPart::Kind::Text, kProbe}};
    message.content_was_array = true;
    json::Array messages;
    json::Object entry;
    entry.set("role", "user");
    entry.set("content", *content_of(message, true, 0));
    messages.emplace_back(std::move(entry));
    json::Object context;
    context.set("messages", std::move(messages));
    context.set("add_generation_prompt", true);
    for (const auto& [name, text] : special_tokens_) {
        context.set(name, text);
    }
    const auto rendered = render_context(json::Value(std::move(context)), {});
    if (!rendered) {
        return false;
    }
    const std::string text = rendered->text();
    return text.find(kProbe) != text.npos && text.find("'text': 'weir-probe'") == text.npos &&
           text.find("\"text\": \"weir-probe\"") == text.npos;
}

Result<json::Value> ChatTemplate::messages(const chat::Conversation& conversation) const {
    json::Array messages;
    std::map<std::string_view, std::string_view> called;  // tool call id to function name
    for (size_t i = 0; i < conversation.messages.size(); ++i) {
        const chat::Message& message = conversation.messages[i];
        const bool as_system = message.role == chat::Role::Developer && !knows_developer_;
        json::Object entry;
        entry.set("role", name(as_system ? chat::Role::System : message.role));
        WEIR_TRY_ASSIGN(json::Value content, content_of(message, takes_parts_, i));
        entry.set("content", std::move(content));
        if (message.reasoning) {
            entry.set("reasoning_content", *message.reasoning);
            // gpt-oss's name for it; its template takes no text beside it where there are calls.
            const bool has_text = !message.content.empty() && !message.tool_calls.empty();
            if (output_format_ != nullptr && output_format_->is_harmony && !has_text) {
                entry.set("thinking", *message.reasoning);
            }
        }
        if (!message.tool_calls.empty()) {
            entry.set("tool_calls", tool_calls_of(message, wants_short_ids_));
            for (const chat::ToolCall& call : message.tool_calls) {
                called.insert_or_assign(call.id, call.name);
            }
        }
        if (message.tool_call_id) {
            entry.set("tool_call_id", wants_short_ids_ ? nine_letters(*message.tool_call_id)
                                                       : *message.tool_call_id);
            if (const auto found = called.find(*message.tool_call_id); found != called.end()) {
                entry.set("name", found->second);
            }
        }
        if (message.name) {
            entry.set("name", *message.name);
        }
        messages.emplace_back(std::move(entry));
    }
    return messages;
}

// As the template's own word, or as the switch that most models have which think.
Result<void> ChatTemplate::set_effort(const std::string& effort, json::Object& context) const {
    const bool thinks = effort != "none";
    if (reads_effort_) {
        context.set("reasoning_effort", effort);
    } else if (!thinking_switch_.empty()) {
        context.set(std::string(thinking_switch_), thinks);
    } else if (thinks || !output_format_->reasoning_end.empty()) {
        return std::unexpected(make_error(ErrorCode::Unsupported,
                                          "this model's chat template cannot be told how much to "
                                          "reason")
                                   .with_field("reasoning_effort"));
    }
    return {};
}

Result<json::Value> ChatTemplate::context(const chat::Conversation& conversation,
                                          GenerationPrompt generation_prompt) const {
    json::Object context;
    for (const auto& [name, text] : special_tokens_) {
        context.set(name, text);
    }
    // Defined, though none: templates are written against a caller that always passes both.
    context.set("documents", nullptr);
    WEIR_TRY_ASSIGN(json::Value tools, tools_of(conversation));
    context.set("tools", std::move(tools));
    if (conversation.reasoning_effort) {
        WEIR_TRY(set_effort(*conversation.reasoning_effort, context));
    }
    for (const auto& [name, text] : conversation.template_variables) {
        const std::string field = fmt::format("{}.{}", kFieldOfVariables, name);
        if (!is_template_variable(name)) {
            return invalid_argument(field, "this template variable cannot be set");
        }
        auto value = json::parse(text);
        if (!value) {
            return std::unexpected(std::move(value).error().with_field(field));
        }
        context.set(name, *std::move(value));
    }
    WEIR_TRY_ASSIGN(json::Value all, messages(conversation));
    context.set("messages", std::move(all));
    context.set("add_generation_prompt", generation_prompt == GenerationPrompt::Yes);
    return json::Value(std::move(context));
}

Result<jinja::Rendered> ChatTemplate::render_context(const json::Value& context,
                                                     std::chrono::local_seconds now) const {
    jinja::RenderOptions options;
    options.limits = limits_;
    options.now = now;
    for (const auto& special : special_tokens_) {
        options.trusted.push_back({special.first, {}});
    }
    options.trusted.push_back({"messages.*.role", {}});  // ours: made from chat::Role
    return template_.render(context, options);
}

Result<jinja::Rendered> ChatTemplate::render(const chat::Conversation& conversation,
                                             GenerationPrompt generation_prompt,
                                             std::chrono::local_seconds now) const {
    if (const ChatTemplate& used = for_conversation(conversation); &used != this) {
        return used.render(conversation, generation_prompt, now);
    }
    WEIR_TRY_ASSIGN(const json::Value variables, context(conversation, generation_prompt));
    auto rendered = render_context(variables, now);
    if (!rendered) {
        return std::unexpected(std::move(rendered).error().with_field("messages"));
    }
    return rendered;
}

}  // namespace weir::text
