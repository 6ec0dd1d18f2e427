#pragma once

#include <string_view>

#include "text/output/format.h"

namespace weir::text {

// Formats that a template cannot show, because models write them and their templates do not render
// them, or only in part: found by what their templates' sources say.
//
// Complete ones: the template's own renders are not asked.
bool find_whole_format(std::string_view source, OutputFormat& format);
// How thoughts are marked. False: the source has none of the usual marks.
bool find_reasoning(std::string_view source, OutputFormat& format);
// How calls are written. False: not known.
bool find_calls(std::string_view source, CallFormat& calls);
// What models say beside what their templates render (Llama 3's optional <|python_tag|>).
void add_variants(std::string_view source, CallFormat& calls);

}  // namespace weir::text
