#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::policy {

// The text as a detector should see it, whatever was done to hide what it says: compatibility
// forms unified (NFKC: full-width digits, ligatures), digits of every script as ASCII digits,
// characters that show nothing removed (zero-width, bidirectional controls, tags, variation
// selectors, soft hyphens, combining marks, unassigned ones), look-alikes of Latin letters and of
// separators replaced by their ASCII form (UTS #39 skeletons, by character), dashes and spaces
// unified.
//
// Not for output: it only serves detection. Linear in the text.
//
// Errors: Internal if ICU cannot normalise; the text then counts as not looked at.
Result<std::string> fold(std::string_view text);

// Draws nothing by itself and is no mark on another character (Default_Ignorable_Code_Point).
bool is_invisible(char32_t c);

}  // namespace weir::policy
