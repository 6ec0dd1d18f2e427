#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weir::policy {

// What stands inside a text in another coding, one layer deep.
struct Unwrapped {
    std::vector<std::string> texts;  // decoded to readable text: look at these too
    bool unreadable = false;         // a long coded run that decodes to no text
};

// Looks for base64 (both alphabets), hexadecimal, percent and JSON \u escapes. Linear in `text`.
Unwrapped unwrap(std::string_view text);

}  // namespace weir::policy
