#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "chat/request.h"
#include "text/jinja/template.h"
#include "text/output/format.h"

namespace weir::text {

// Whether a client may set this variable of a chat template. Everything else (messages, tools, the
// special tokens, the engine's functions) is not theirs to override.
bool is_template_variable(std::string_view name);

// A model's chat template together with its special tokens: makes the prompt of a conversation.
//
// Threads: immutable; any number may render at once.
// Not here: finding the template in a model folder; tokenizing (control tokens are looked for in
// trusted segments only); parsing what the model answers (OutputParser).
class ChatTemplate {
  public:
    // The variable's name and the token's text: {"bos_token", "<s>"}.
    using SpecialTokens = std::vector<std::pair<std::string, std::string>>;

    // `source` absent: the model has no template, and there is no default: Unsupported with reason
    // "no_chat_template".
    static Result<ChatTemplate> create(std::optional<std::string_view> source,
                                       SpecialTokens special_tokens,
                                       const jinja::RenderLimits& limits = {});

    enum class GenerationPrompt : bool { No, Yes };

    // Errors: InvalidArgument naming the field: what the template refuses ("messages", reason
    // "template_raised"), a part that is no text, a variable that is not allowed.
    Result<jinja::Rendered> render(const chat::Conversation& conversation,
                                   GenerationPrompt generation_prompt,
                                   std::chrono::local_seconds now) const;

    // Some models have another template for conversations in which tools are offered.
    void set_for_tools(ChatTemplate other);
    // The one that render() takes for this conversation, and the one for tools; this or the other.
    const ChatTemplate& for_conversation(const chat::Conversation& conversation) const;
    const ChatTemplate& for_tools() const { return for_tools_ ? *for_tools_ : *this; }

    // How the model writes its answers to this template; never null.
    const std::shared_ptr<const OutputFormat>& output_format() const { return output_format_; }
    // Whether a model with this template (the one for tools, if it has one) reads of tools, and can
    // call them in a way that is known.
    bool can_call_tools() const;

  private:
    ChatTemplate(jinja::Template compiled, SpecialTokens special_tokens,
                 const jinja::RenderLimits& limits)
        : template_(std::move(compiled)),
          special_tokens_(std::move(special_tokens)),
          limits_(limits) {}

    Result<json::Value> context(const chat::Conversation& conversation,
                                GenerationPrompt generation_prompt) const;
    Result<json::Value> messages(const chat::Conversation& conversation) const;
    Result<jinja::Rendered> render_context(const json::Value& context,
                                           std::chrono::local_seconds now) const;
    Result<void> set_effort(const std::string& effort, json::Object& context) const;
    bool probe_parts() const;
    bool probe_tools() const;

    jinja::Template template_;
    SpecialTokens special_tokens_;
    jinja::RenderLimits limits_;
    bool knows_developer_ = false;  // has something to say about the role
    bool takes_parts_ = false;      // reads content that is a list of parts
    bool shows_tools_ = false;
    bool reads_effort_ = false;         // knows the word "reasoning_effort"
    std::string_view thinking_switch_;  // the variable that switches thinking on; empty: none
    bool wants_short_ids_ = false;      // refuses ids of calls that are not nine letters
    std::shared_ptr<const OutputFormat> output_format_;
    std::shared_ptr<const ChatTemplate> for_tools_;  // null: this one
};

}  // namespace weir::text
