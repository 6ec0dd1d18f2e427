#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace weir::policy {

// Characters as the codings and the numbers of this room know them: ASCII only, no locale.

constexpr bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
constexpr bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}
constexpr bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}
constexpr bool is_letter(char c) {
    return is_upper(c) || is_lower(c);
}
constexpr bool is_alnum(char c) {
    return is_digit(c) || is_letter(c);
}
constexpr bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
constexpr char capital(char c) {
    return is_lower(c) ? static_cast<char>(c - 'a' + 'A') : c;
}
constexpr char small(char c) {
    return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c;
}
constexpr char rotated(char c) {
    if (!is_letter(c)) {
        return c;
    }
    return static_cast<char>(small(c) <= 'm' ? c + 13 : c - 13);
}
constexpr int hex_value(char c) {  // -1: none
    if (is_digit(c)) {
        return c - '0';
    }
    const char lower = small(c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// A few characters, to be looked for at once.
class CharSet {
  public:
    constexpr explicit CharSet(std::string_view characters) {
        for (const char c : characters) {
            has_[static_cast<unsigned char>(c)] = true;
        }
    }
    constexpr bool has(char c) const { return has_[static_cast<unsigned char>(c)]; }
    // The first of them at or after `at`; the text's size if there is none.
    size_t find_in(std::string_view text, size_t at) const {
        while (at < text.size() && !has(text[at])) {
            ++at;
        }
        return at;
    }
    bool has_any(std::string_view text) const { return find_in(text, 0) < text.size(); }

  private:
    std::array<bool, 256> has_{};
};

}  // namespace weir::policy
