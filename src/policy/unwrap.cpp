#include "policy/unwrap.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <optional>

#include "base/utf8.h"

namespace weir::policy {
namespace {

constexpr size_t kBase64CharsMin = 16;  // 12 bytes: the shortest thing worth hiding
constexpr size_t kHexCharsMin = 20;
constexpr size_t kUnreadableCharsMin = 200;  // below, an unreadable run is an id or a hash

std::optional<uint32_t> base64_digit(char c) {
    if (c >= 'A' && c <= 'Z') {
        return static_cast<uint32_t>(c - 'A');
    }
    if (c >= 'a' && c <= 'z') {
        return static_cast<uint32_t>(c - 'a') + 26;
    }
    if (c >= '0' && c <= '9') {
        return static_cast<uint32_t>(c - '0') + 52;
    }
    if (c == '+' || c == '-') {
        return 62;
    }
    if (c == '/' || c == '_') {
        return 63;
    }
    return std::nullopt;
}

std::optional<uint32_t> hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return static_cast<uint32_t>(c - '0');
    }
    const char lower = static_cast<char>(c | 0x20);
    if (lower >= 'a' && lower <= 'f') {
        return static_cast<uint32_t>(lower - 'a') + 10;
    }
    return std::nullopt;
}

std::string decode_base64(std::string_view run) {
    std::string out;
    uint32_t bits = 0;
    int count = 0;
    for (const char c : run) {
        bits = (bits << 6) | *base64_digit(c);
        count += 6;
        if (count >= 8) {
            count -= 8;
            out.push_back(static_cast<char>((bits >> count) & 0xFF));
        }
    }
    return out;
}

std::string decode_hex(std::string_view run) {
    std::string out;
    for (size_t i = 0; i + 1 < run.size(); i += 2) {
        out.push_back(static_cast<char>((*hex_digit(run[i]) << 4) | *hex_digit(run[i + 1])));
    }
    return out;
}

// Text is UTF-8 (but for a character cut off at the end) with hardly a control character.
bool is_readable(std::string_view bytes) {
    const std::string_view whole =
        bytes.substr(0, bytes.size() - utf8::incomplete_tail_bytes(bytes));
    const auto controls = std::count_if(whole.begin(), whole.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\r' && c != '\t';
    });
    return !whole.empty() && utf8::is_valid(whole) &&
           static_cast<size_t>(controls) * 20 <= whole.size();
}

// What begins like a compressed file is never text, however short it is.
bool is_compressed(std::string_view bytes) {
    using namespace std::string_view_literals;
    constexpr std::array kMagics = {"\x1f\x8b\x08"sv,      // gzip
                                    "\x78\x01"sv,          // zlib, from its fastest …
                                    "\x78\x5e"sv,          //
                                    "\x78\x9c"sv,          //
                                    "\x78\xda"sv,          // … to its best
                                    "\x28\xb5\x2f\xfd"sv,  // zstd
                                    "\xfd"
                                    "7zXZ"sv,
                                    "BZh"sv,
                                    "PK\x03\x04"sv};
    return std::ranges::any_of(
        kMagics, [bytes](std::string_view magic) { return bytes.starts_with(magic); });
}

// A long word of letters ("internationalisation…") is no code: real base64 mixes kinds.
bool looks_coded(std::string_view run) {
    const auto any = [&](auto test) {
        return std::any_of(run.begin(), run.end(), test);
    };
    const bool digits = any([](char c) { return c >= '0' && c <= '9'; });
    const bool upper = any([](char c) { return c >= 'A' && c <= 'Z'; });
    const bool lower = any([](char c) { return c >= 'a' && c <= 'z'; });
    return (digits ? 1 : 0) + (upper ? 1 : 0) + (lower ? 1 : 0) >= 2;
}

// Calls `use` with every maximal run of characters for which `belongs`, line breaks left out.
template <typename Belongs, typename Use>
void for_each_run(std::string_view text, Belongs belongs, Use use) {
    std::string run;
    for (size_t i = 0; i <= text.size(); ++i) {
        const char c = i < text.size() ? text[i] : '\0';
        if (belongs(c)) {
            run.push_back(c);
        } else if ((c != '\n' && c != '\r') || run.empty()) {
            if (!run.empty()) {
                use(std::string_view(run));
                run.clear();
            }
        }
    }
}

void unwrap_base64(std::string_view text, Unwrapped& out) {
    for_each_run(
        text, [](char c) { return base64_digit(c).has_value(); },
        [&](std::string_view run) {
            if (run.size() < kBase64CharsMin || !looks_coded(run)) {
                return;
            }
            // The run may begin with letters that belong to the text before it.
            bool readable = false;
            bool compressed = false;
            for (size_t skip = 0; skip < 4 && !readable; ++skip) {
                std::string decoded = decode_base64(run.substr(skip));
                readable = is_readable(decoded);
                if (readable) {
                    out.texts.push_back(std::move(decoded));
                } else {
                    compressed = compressed || is_compressed(decoded);
                }
            }
            out.unreadable =
                out.unreadable || (!readable && (compressed || run.size() >= kUnreadableCharsMin));
        });
}

void unwrap_hex(std::string_view text, Unwrapped& out) {
    for_each_run(
        text, [](char c) { return hex_digit(c).has_value(); },
        [&](std::string_view run) {
            if (run.size() < kHexCharsMin) {
                return;
            }
            for (const size_t skip : {size_t{0}, size_t{1}}) {
                std::string decoded = decode_hex(run.substr(skip));
                if (is_readable(decoded)) {
                    out.texts.push_back(std::move(decoded));
                } else {
                    out.unreadable = out.unreadable || is_compressed(decoded);
                }
            }
        });
}

// %40 and \u0040 alike: the whole text with its escapes replaced, if it has any.
void unwrap_escapes(std::string_view text, Unwrapped& out) {
    std::string plain;
    bool any = false;
    const auto hex_number = [&](size_t at, size_t digits) -> std::optional<uint32_t> {
        uint32_t number = 0;
        for (size_t i = 0; i < digits; ++i) {
            const auto digit = at + i < text.size() ? hex_digit(text[at + i]) : std::nullopt;
            if (!digit) {
                return std::nullopt;
            }
            number = number * 16 + *digit;
        }
        return number;
    };
    for (size_t i = 0; i < text.size();) {
        const bool percent = text[i] == '%';
        const bool unicode = text[i] == '\\' && i + 1 < text.size() && text[i + 1] == 'u';
        const auto number = percent   ? hex_number(i + 1, 2)
                            : unicode ? hex_number(i + 2, 4)
                                      : std::nullopt;
        if (!number) {
            plain.push_back(text[i++]);
            continue;
        }
        any = true;
        if (percent) {
            plain.push_back(static_cast<char>(*number));
        } else {
            utf8::append(plain, *number);
        }
        i += percent ? 3 : 6;
    }
    if (any) {
        out.texts.push_back(std::move(plain));
    }
}

}  // namespace

std::string rot13(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        const char lower = static_cast<char>(c | 0x20);
        if (lower >= 'a' && lower <= 'z') {
            c = static_cast<char>(lower <= 'm' ? c + 13 : c - 13);
        }
    }
    return out;
}

Unwrapped unwrap(std::string_view text) {
    Unwrapped out;
    unwrap_base64(text, out);
    Unwrapped rotated;  // what is unreadable this way round may well be readable the other way
    unwrap_base64(rot13(text), rotated);
    std::ranges::move(rotated.texts, std::back_inserter(out.texts));
    unwrap_hex(text, out);
    unwrap_escapes(text, out);
    return out;
}

}  // namespace weir::policy
