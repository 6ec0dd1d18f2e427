// What lays a text out without being part of it.

#include <algorithm>
#include <array>

#include "policy/ascii.h"
#include "policy/edited.h"
#include "policy/unwrap.h"

namespace weir::policy {
namespace {

constexpr size_t kTagBytesMax = 256;

// Tags that stand inside a word; all others part words, as a cell of a table does.
constexpr auto kInline = std::to_array<std::string_view>(
    {"a",   "abbr", "b", "bdi",   "bdo",  "big",    "code", "del", "em", "font", "i",   "ins",
     "kbd", "mark", "s", "small", "span", "strong", "sub",  "sup", "tt", "u",    "var", "wbr"});

struct Layout {
    size_t bytes = 0;  // of the text; 0: no layout stands here
    bool parts = false;
};

// "<td>", "</b>", "<!-- … -->"
Layout tag_at(std::string_view text) {
    if (text.size() < 3 || !(is_letter(text[1]) || text[1] == '/' || text[1] == '!')) {
        return {};
    }
    const size_t end = text.substr(0, kTagBytesMax).find('>');
    if (end == std::string_view::npos) {
        return {};
    }
    if (text[1] == '!') {
        return {end + 1, false};
    }
    const size_t begin = text[1] == '/' ? 2 : 1;
    std::string name;
    for (size_t at = begin; at < end && is_alnum(text[at]); ++at) {
        name.push_back(small(text[at]));
    }
    return {end + 1, std::ranges::find(kInline, name) == kInline.end()};
}

// A quote, perhaps a sign that joins strings, and a quote: two pieces of one string.
Layout joint_at(std::string_view text) {
    constexpr size_t kBytesMax = 16;
    bool joined = false;
    for (size_t at = 1; at < std::min(text.size(), kBytesMax); ++at) {
        if (text[at] == text[0]) {
            return {at > 1 ? at + 1 : 0, false};
        }
        const bool sign = text[at] == '+' || text[at] == '.' || text[at] == '&' || text[at] == '\\';
        if ((sign && joined) || (!sign && !is_blank(text[at]))) {
            return {};
        }
        joined = joined || sign;
    }
    return {};
}

// "**", "__", "~~", "`"
Layout emphasis_at(std::string_view text) {
    if (text[0] == '`') {
        return {1, false};
    }
    return {text.size() > 1 && text[1] == text[0] ? size_t{2} : size_t{0}, false};
}

// "\n> "
Layout margin_at(std::string_view text) {
    constexpr size_t kBytesMax = 12;
    size_t at = 1;
    bool any = false;
    while (at < std::min(text.size(), kBytesMax) && (text[at] == '>' || text[at] == ' ')) {
        any = any || text[at] == '>';
        ++at;
    }
    return {any ? at : 0, true};
}

Layout layout_at(std::string_view text) {
    switch (text[0]) {
        case '<':
            return tag_at(text);
        case '"':
        case '\'':
            return joint_at(text);
        case '*':
        case '~':
        case '`':
            return emphasis_at(text);
        case '\n':
            return margin_at(text);
        default:
            return {};
    }
}

}  // namespace

void unwrap_markup(std::string_view text, Unwrapped& out) {
    constexpr CharSet kSigns("<\"'*~`\n");
    Edited plain(text);
    bool any = false;
    for (size_t at = kSigns.find_in(text, 0); at < text.size(); at = kSigns.find_in(text, at)) {
        const Layout layout = layout_at(text.substr(at));
        if (layout.bytes == 0) {
            ++at;
            continue;
        }
        plain.replace(at, layout.bytes, layout.parts ? " " : "");
        at += layout.bytes;
        any = true;
    }
    if (any) {
        out.plain.push_back(plain.take());
    }
}

}  // namespace weir::policy
