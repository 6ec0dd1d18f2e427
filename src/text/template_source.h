#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::text {

// The template in a tokenizer_config.json: its "chat_template" is a text, or a list of named ones,
// of which "default" counts. Empty if there is none.
Result<std::string> chat_template_in_config(std::string_view config_json);

}  // namespace weir::text
