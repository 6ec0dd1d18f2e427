#include <algorithm>
#include <array>
#include <vector>

#include "base/utf8.h"
#include "text/jinja/builtins.h"
#include "text/jinja/data_model.h"
#include "text/unicode.h"

namespace weir::text::jinja {
namespace {

using Pair = std::pair<char32_t, char32_t>;  // lower, upper

// The inverse of to_lower, plus what has an upper case but is nothing's lower case.
std::vector<Pair> make_upper_table() {
    std::vector<Pair> table = {{0xB5, 0x39C},   {0x131, 0x49},  {0x17F, 0x53},  {0x3C2, 0x3A3},
                               {0x3D0, 0x392},  {0x3D1, 0x398}, {0x3D5, 0x3A6}, {0x3D6, 0x3A0},
                               {0x3F0, 0x39A},  {0x3F1, 0x3A1}, {0x3F5, 0x395}, {0x1E9B, 0x1E60},
                               {0x1FBE, 0x399}, {0x1C5, 0x1C4}, {0x1C8, 0x1C7}, {0x1CB, 0x1CA},
                               {0x1F2, 0x1F1}};
    constexpr char32_t kCasedEnd = 0x1F000;  // no cased letters beyond
    for (char32_t c = 0; c < kCasedEnd; ++c) {
        if (CharTable::get().of(c) != 0) {
            if (const char32_t lower = to_lower(c); lower != c) {
                table.emplace_back(lower, c);
            }
        }
    }
    std::stable_sort(table.begin(), table.end(),
                     [](const Pair& a, const Pair& b) { return a.first < b.first; });
    table.erase(std::unique(table.begin(), table.end(),
                            [](const Pair& a, const Pair& b) { return a.first == b.first; }),
                table.end());
    return table;
}

// One character of a text under a case map; letters after letters matter for titles.
std::string map_character(char32_t c, CaseMap map, bool& inside_word) {
    const CharClass char_class = CharTable::get().of(c);
    bool up = false;
    switch (map) {
        case CaseMap::Upper:
            up = true;
            break;
        case CaseMap::Lower:
            break;
        case CaseMap::Capitalize:
            up = !inside_word;
            inside_word = true;
            break;
        case CaseMap::Title:
            up = !inside_word;
            inside_word = (char_class & (kUpper | kLower)) != 0;
            break;
        case CaseMap::Swap:
            up = (char_class & kLower) != 0;
            if (!up && (char_class & kUpper) == 0) {
                std::string same;
                utf8::append(same, c);
                return same;
            }
            break;
    }
    constexpr char32_t kSharpS = 0xDF;  // the one common letter whose capital is two
    if (up && c == kSharpS) {
        return map == CaseMap::Title || map == CaseMap::Capitalize ? "Ss" : "SS";
    }
    std::string mapped;
    utf8::append(mapped, up ? to_upper(c) : to_lower(c));
    return mapped;
}

}  // namespace

char32_t to_upper(char32_t code_point) {
    if (code_point < 0x80) {
        return code_point >= 'a' && code_point <= 'z' ? code_point - 32 : code_point;
    }
    static const std::vector<Pair> table = make_upper_table();
    const auto found =
        std::lower_bound(table.begin(), table.end(), code_point,
                         [](const Pair& pair, char32_t wanted) { return pair.first < wanted; });
    return found != table.end() && found->first == code_point ? found->second : code_point;
}

bool is_space(char32_t code_point) {
    return (code_point >= 0x1C && code_point <= 0x1F) ||
           (CharTable::get().of(code_point) & kSpace) != 0;
}

bool is_printable(char32_t code_point) {
    return code_point == ' ' || (CharTable::get().of(code_point) & ~kSpace) != 0;
}

Outcome<Value> map_case(Runtime& rt, const Value& text, CaseMap map) {
    const std::string& bytes = text.bytes();
    WEIR_TRY(rt.charge(1 + bytes.size() / 16));
    TextBuilder out(rt);
    bool inside_word = false;
    for (size_t at = 0; at < bytes.size();) {
        const utf8::Decoded next = utf8::decode(bytes, at);
        out.append(map_character(next.code_point, map, inside_word), text.text().trust_at(at));
        at += next.bytes;
    }
    return out.finish(text.str().markup);
}

std::pair<size_t, size_t> strip_range(std::string_view text, Side side,
                                      std::optional<std::string_view> characters) {
    const auto goes = [&](size_t at, size_t bytes) {
        if (!characters) {
            return is_space(utf8::decode(text, at).code_point);
        }
        const std::string_view wanted = text.substr(at, bytes);
        for (size_t i = 0; i < characters->size();) {
            const size_t length = character_bytes(*characters, i);
            if (characters->substr(i, length) == wanted) {
                return true;
            }
            i += length;
        }
        return false;
    };
    size_t from = 0;
    size_t to = text.size();
    while (side != Side::Right && from < to) {
        const size_t bytes = character_bytes(text, from);
        if (!goes(from, bytes)) {
            break;
        }
        from += bytes;
    }
    while (side != Side::Left && to > from) {
        size_t last = to - 1;
        while (last > from && (static_cast<unsigned char>(text[last]) & 0xC0U) == 0x80U) {
            --last;
        }
        if (!goes(last, to - last)) {
            break;
        }
        to = last;
    }
    return {from, to};
}

}  // namespace weir::text::jinja
