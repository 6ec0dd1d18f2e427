#include "text/byte_alphabet.h"

#include <array>

#include "base/utf8.h"

namespace weir::text {
namespace {

// Printable Latin-1 stands for itself; the other bytes follow from U+0100 on, in order.
std::array<char32_t, 256> byte_alphabet() {
    std::array<char32_t, 256> alphabet{};
    char32_t next = 0x100;
    for (size_t byte = 0; byte < alphabet.size(); ++byte) {
        const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) ||
                               (byte >= 0xAE && byte <= 0xFF);
        alphabet[byte] = printable ? static_cast<char32_t>(byte) : next++;
    }
    return alphabet;
}

constexpr char32_t kAlphabetEnd = 0x144;

// The inverse, by code point; -1 is no byte.
std::array<int16_t, kAlphabetEnd> byte_of_character() {
    std::array<int16_t, kAlphabetEnd> bytes{};
    bytes.fill(-1);
    const auto alphabet = byte_alphabet();
    for (size_t byte = 0; byte < alphabet.size(); ++byte) {
        bytes[alphabet[byte]] = static_cast<int16_t>(byte);
    }
    return bytes;
}

}  // namespace

std::optional<std::string> bytes_of_byte_level(std::string_view token) {
    static const auto bytes = byte_of_character();
    std::string out;
    out.reserve(token.size());
    for (size_t at = 0; at < token.size();) {
        const auto first = static_cast<unsigned char>(token[at]);
        char32_t code_point = first;
        size_t size = 1;
        if (first >= 0x80) {
            const utf8::Decoded next = utf8::decode(token, at);
            code_point = next.valid ? next.code_point : kAlphabetEnd;
            size = next.bytes;
        }
        if (code_point >= kAlphabetEnd || bytes[code_point] < 0) {
            return std::nullopt;
        }
        out.push_back(static_cast<char>(bytes[code_point]));
        at += size;
    }
    return out;
}

std::string_view byte_level_of(uint8_t byte) {
    static const auto spellings = [] {
        std::array<std::string, 256> all;
        const auto alphabet = byte_alphabet();
        for (size_t i = 0; i < all.size(); ++i) {
            utf8::append(all[i], alphabet[i]);
        }
        return all;
    }();
    return spellings[byte];
}

}  // namespace weir::text
