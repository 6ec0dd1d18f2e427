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
};

// The template of the first of them that has one, in the order above: a text, or of a list of named
// ones "default". Empty if there is none.
Result<std::string> find_chat_template(const TemplateFiles& files);

}  // namespace weir::text
