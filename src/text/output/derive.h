#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/template.h"
#include "text/output/format.h"

namespace weir::text {

// How the model behind a chat template writes its answers.
//
// Found from the template itself where that is possible: it is rendered with conversations whose
// names, keys and values are known words, and what stands between them are the markers. What a
// template does not render is looked up by the markers that its source speaks of. A template that
// has neither gives a plain format.
//
// `special_tokens`: the template's variables and their texts ("eos_token", "</s>").
OutputFormat find_output_format(
    const jinja::Template& compiled, std::string_view source,
    const std::vector<std::pair<std::string, std::string>>& special_tokens,
    const jinja::RenderLimits& limits = {});

}  // namespace weir::text
