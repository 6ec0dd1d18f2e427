#pragma once

#include <string>
#include <string_view>

namespace weir::text {

// Canonical composition (NFC, UAX #15). Bytes that are no UTF-8 are kept as they are and nothing
// combines across them. Linear, up to sorting runs of combining marks.
std::string to_nfc(std::string_view text);

// True only if to_nfc(text) == text; cheap, and may be false for text that is normal.
bool is_surely_nfc(std::string_view text);

// The other three forms, same policy for bytes that are no UTF-8.
std::string to_nfd(std::string_view text);
std::string to_nfkc(std::string_view text);
std::string to_nfkd(std::string_view text);

}  // namespace weir::text
