#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::text {

// The files of a model folder that may have its chat template, each empty if absent.
struct TemplateFiles {
    std::string_view chat_template_jinja;    // the template itself
    std::string_view tokenizer_config_json;  // its "chat_template"
    std::string_view chat_template_json;     // the same, as processors of images save it
    std::string_view tool_use_jinja;         // additional_chat_templates/tool_use.jinja
};

enum class TemplateUse : bool { Chat, Tools };

// The template of the first of them that has one, in the order above: a text, or of a list of named
// ones "default". For Tools the one that a model has for conversations with tools beside it: the
// list's "tool_use", or its own file. Empty if there is none.
Result<std::string> find_chat_template(const TemplateFiles& files,
                                       TemplateUse use = TemplateUse::Chat);

}  // namespace weir::text
