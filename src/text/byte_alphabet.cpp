#include "text/byte_alphabet.h"

#include <array>

#include "base/utf8.h"

namespace weir::text {
namespace {

// Printable Latin-1 stands for itself; the other bytes follow from U+0100 on, in order.
constexpr std::array<char32_t, 256> byte_alphabet() {
    std::array<char32_t, 256> alphabet{};
    char32_t next = 0x100;
    for (size_t byte = 0; byte < alphabet.size(); ++byte) {
        const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) ||
                               (byte >= 0xAE && byte <= 0xFF);
        alphabet[byte] = printable ? static_cast<char32_t>(byte) : next++;
    }
    return alphabet;
}

// Every character of the alphabet has one or two bytes: up to here two begin with 0xC2 to 0xC5.
constexpr size_t kTwoBytesEnd = 0x180;

// The inverse, by code point; -1 is no byte.
constexpr std::array<int16_t, kTwoBytesEnd> byte_of_character() {
    std::array<int16_t, kTwoBytesEnd> bytes{};
    bytes.fill(-1);
    const auto alphabet = byte_alphabet();
    for (size_t byte = 0; byte < alphabet.size(); ++byte) {
        bytes[alphabet[byte]] = static_cast<int16_t>(byte);
    }
    return bytes;
}

}  // namespace

bool append_bytes_of_byte_level(std::string_view token, std::string& out) {
    static constexpr auto kBytes = byte_of_character();
    const size_t before = out.size();
    out.resize(before + token.size());
    char* to = out.data() + before;
    for (size_t at = 0; at < token.size(); ++at) {
        size_t code_point = static_cast<unsigned char>(token[at]);
        if (code_point >= 0x80) {
            const size_t second =
                at + 1 < token.size() ? static_cast<unsigned char>(token[at + 1]) : 0;
            if (code_point < 0xC2 || code_point > 0xC5 || (second & 0xC0) != 0x80) {
                out.resize(before);
                return false;
            }
            code_point = (code_point & 0x1F) << 6 | (second & 0x3F);
            ++at;
        }
        if (kBytes[code_point] < 0) {
            out.resize(before);
            return false;
        }
        *to++ = static_cast<char>(kBytes[code_point]);
    }
    out.resize(static_cast<size_t>(to - out.data()));
    return true;
}

std::optional<std::string> bytes_of_byte_level(std::string_view token) {
    std::optional<std::string> out(std::in_place);
    if (!append_bytes_of_byte_level(token, *out)) {
        out.reset();
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
