#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weir::policy {

// What stands inside a text in another coding, one layer deep.
struct Unwrapped {
    std::vector<std::string> texts;  // decoded to readable text: look at these too
    bool unreadable = false;         // coded bytes that are compressed, or a long run of no text
};

// Looks for base64 (both alphabets, as it is and under rot13), hexadecimal, percent and JSON \u
// escapes. Linear in `text`.
Unwrapped unwrap(std::string_view text);

// What `text`, not yet folded, says by characters that draw nothing (tags, variation selectors),
// and what it shows where a bidirectional override turns it round. Unreadable: a long run of
// invisible characters, whatever it may mean. Linear in `text`.
Unwrapped unhide(std::string_view text);

// Every ASCII letter 13 places further.
std::string rot13(std::string_view text);

}  // namespace weir::policy
