#include "base/utf8.h"

#include <algorithm>
#include <cstring>

namespace weir::utf8 {
namespace {

struct Lead {
    uint32_t length;  // 0: no lead byte
    uint8_t second_min;
    uint8_t second_max;
};

// Table 3-7 of the Unicode standard: the second byte's range rules out overlong forms, surrogates
// and what lies above U+10FFFF.
Lead lead_of(uint8_t byte) {
    if (byte >= 0xC2 && byte <= 0xDF) {
        return {2, 0x80, 0xBF};
    }
    if (byte >= 0xE0 && byte <= 0xEF) {
        const uint8_t low = byte == 0xE0 ? 0xA0 : 0x80;
        const uint8_t high = byte == 0xED ? 0x9F : 0xBF;
        return {3, low, high};
    }
    if (byte >= 0xF0 && byte <= 0xF4) {
        const uint8_t low = byte == 0xF0 ? 0x90 : 0x80;
        const uint8_t high = byte == 0xF4 ? 0x8F : 0xBF;
        return {4, low, high};
    }
    return {0, 0, 0};
}

// How many bytes from `at` form a beginning of (or a whole) multi-byte character.
uint32_t well_formed_bytes(std::string_view text, size_t at, const Lead& lead) {
    uint32_t count = 1;
    while (count < lead.length && at + count < text.size()) {
        const auto byte = static_cast<uint8_t>(text[at + count]);
        const uint8_t low = count == 1 ? lead.second_min : uint8_t{0x80};
        const uint8_t high = count == 1 ? lead.second_max : uint8_t{0xBF};
        if (byte < low || byte > high) {
            break;
        }
        ++count;
    }
    return count;
}

}  // namespace

Decoded decode_other(std::string_view text, size_t at) {
    if (at >= text.size()) {
        return {};
    }
    const auto first = static_cast<uint8_t>(text[at]);
    // Most of the world's letters, without the second bytes that need a closer look.
    if (first > 0xE0 && first < 0xF0 && first != 0xED && at + 2 < text.size()) {
        const auto second = static_cast<uint8_t>(text[at + 1]);
        const auto third = static_cast<uint8_t>(text[at + 2]);
        if ((second & 0xC0) == 0x80 && (third & 0xC0) == 0x80) {
            return {char32_t{first & 0x0Fu} << 12 | (second & 0x3Fu) << 6 | (third & 0x3Fu), 3,
                    true};
        }
    }
    const Lead lead = lead_of(first);
    if (lead.length == 0) {
        return {kReplacement, 1, false};
    }
    const uint32_t count = well_formed_bytes(text, at, lead);
    if (count < lead.length) {
        return {kReplacement, count, false};
    }
    char32_t code_point = first & (0xFFu >> (lead.length + 1));
    for (uint32_t i = 1; i < lead.length; ++i) {
        code_point = (code_point << 6) | (static_cast<uint8_t>(text[at + i]) & 0x3Fu);
    }
    return {code_point, lead.length, true};
}

size_t ascii_end(std::string_view text, size_t at) {
    constexpr uint64_t kHighBits = 0x8080808080808080;
    for (uint64_t word = 0; at + sizeof(word) <= text.size(); at += sizeof(word)) {
        std::memcpy(&word, text.data() + at, sizeof(word));
        if ((word & kHighBits) != 0) {
            break;
        }
    }
    while (at < text.size() && static_cast<uint8_t>(text[at]) < 0x80) {
        ++at;
    }
    return at;
}

void append(std::string& out, char32_t code_point) {
    const char32_t c = code_point > 0x10FFFF || (code_point >= 0xD800 && code_point <= 0xDFFF)
                           ? kReplacement
                           : code_point;
    if (c < 0x80) {
        out.push_back(static_cast<char>(c));
    } else if (c < 0x800) {
        out.push_back(static_cast<char>(0xC0 | (c >> 6)));
        out.push_back(static_cast<char>(0x80 | (c & 0x3F)));
    } else if (c < 0x10000) {
        out.push_back(static_cast<char>(0xE0 | (c >> 12)));
        out.push_back(static_cast<char>(0x80 | ((c >> 6) & 0x3F)));
        out.push_back(static_cast<char>(0x80 | (c & 0x3F)));
    } else {
        out.push_back(static_cast<char>(0xF0 | (c >> 18)));
        out.push_back(static_cast<char>(0x80 | ((c >> 12) & 0x3F)));
        out.push_back(static_cast<char>(0x80 | ((c >> 6) & 0x3F)));
        out.push_back(static_cast<char>(0x80 | (c & 0x3F)));
    }
}

bool is_valid(std::string_view text) {
    size_t at = 0;
    while (at < text.size()) {
        if (static_cast<uint8_t>(text[at]) < 0x80) {
            ++at;
            continue;
        }
        const Decoded next = decode(text, at);
        if (!next.valid) {
            return false;
        }
        at += next.bytes;
    }
    return true;
}

size_t incomplete_tail_bytes(std::string_view text) {
    const size_t look = std::min<size_t>(3, text.size());
    for (size_t back = 1; back <= look; ++back) {
        const size_t at = text.size() - back;
        const Lead lead = lead_of(static_cast<uint8_t>(text[at]));
        if (lead.length > back && well_formed_bytes(text, at, lead) == back) {
            return back;
        }
    }
    return 0;
}

std::string to_valid(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (size_t at = 0; at < text.size();) {
        const Decoded next = decode(text, at);
        if (next.valid) {
            out.append(text, at, next.bytes);
        } else {
            append(out, kReplacement);
        }
        at += next.bytes;
    }
    return out;
}

}  // namespace weir::utf8
