#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace weir::utf8 {

inline constexpr char32_t kReplacement = 0xFFFD;

// One decoded character. Bytes that are no UTF-8 (overlong forms, surrogates, above U+10FFFF, cut
// sequences) decode to U+FFFD with valid = false; `bytes` is then the length of the maximal
// subpart, as Unicode 3.9 and WHATWG prescribe. bytes is 0 only at the end of the text.
struct Decoded {
    char32_t code_point = 0;
    uint32_t bytes = 0;
    bool valid = true;
};

Decoded decode_other(std::string_view text, size_t at);  // decode, for what is not ASCII
inline Decoded decode(std::string_view text, size_t at) {
    const auto first = at < text.size() ? static_cast<uint8_t>(text[at]) : uint8_t{0xFF};
    return first < 0x80 ? Decoded{first, 1, true} : decode_other(text, at);
}
// The end of the run of ASCII characters that begins at `at`.
size_t ascii_end(std::string_view text, size_t at);
void append(std::string& out, char32_t code_point);  // a surrogate or > U+10FFFF becomes U+FFFD

bool is_valid(std::string_view text);

// How many bytes at the end of `text` are a proper beginning of a character that is not yet whole
// (0 to 3): what a stream must hold back.
size_t incomplete_tail_bytes(std::string_view text);

// Replaces what is no UTF-8 by U+FFFD.
std::string to_valid(std::string_view text);

}  // namespace weir::utf8
