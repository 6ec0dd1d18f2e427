#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir::text {

// GPT-2's byte alphabet: token texts spell each byte as one printable character. Nothing if the
// text has a character outside of it.
std::optional<std::string> bytes_of_byte_level(std::string_view token);
// The same, appended to `out`; false, and nothing appended, if the text has such a character.
bool append_bytes_of_byte_level(std::string_view token, std::string& out);
// The way back: a byte as that alphabet spells it.
std::string_view byte_level_of(uint8_t byte);

}  // namespace weir::text
