// Characters written by their codes inside a text.

#include <algorithm>
#include <array>
#include <optional>
#include <span>

#include "base/utf8.h"
#include "policy/ascii.h"
#include "policy/edited.h"
#include "policy/unwrap.h"

namespace weir::policy {
namespace {

// One escape at the beginning of a text.
struct Escape {
    char32_t code_point = 0;
    bool is_byte = false;  // one byte of UTF-8, not a character
    size_t bytes = 0;      // of the text
};

// `digits_min` to `digits_max` digits in that base, or nothing.
struct Number {
    uint32_t value = 0;
    size_t digits = 0;
};
std::optional<Number> number_at(std::string_view text, size_t at, int base, size_t digits_min,
                                size_t digits_max) {
    Number number;
    while (number.digits < digits_max && at + number.digits < text.size()) {
        const int digit = hex_value(text[at + number.digits]);
        if (digit < 0 || digit >= base) {
            break;
        }
        number.value = number.value * static_cast<uint32_t>(base) + static_cast<uint32_t>(digit);
        ++number.digits;
    }
    return number.digits < digits_min ? std::nullopt : std::optional(number);
}

std::optional<Escape> braced(std::string_view text) {  // \u{41}
    const auto number = number_at(text, 3, 16, 1, 6);
    if (!number || text.size() <= 3 + number->digits || text[3 + number->digits] != '}') {
        return std::nullopt;
    }
    return Escape{number->value, false, 4 + number->digits};
}

std::optional<Escape> fixed(std::string_view text, size_t digits, bool is_byte) {
    const auto number = number_at(text, 2, 16, digits, digits);
    return number ? std::optional(Escape{number->value, is_byte, 2 + digits}) : std::nullopt;
}

// \u0041, and JSON's pairs for what lies above U+FFFF.
std::optional<Escape> unicode(std::string_view text) {
    const auto first = fixed(text, 4, false);
    if (!first || first->code_point < 0xD800 || first->code_point > 0xDBFF) {
        return first;
    }
    const std::string_view rest = text.substr(first->bytes);
    const auto second = rest.starts_with("\\u") ? fixed(rest, 4, false) : std::nullopt;
    if (!second || second->code_point < 0xDC00 || second->code_point > 0xDFFF) {
        return first;
    }
    const char32_t joined =
        0x10000 + ((first->code_point - 0xD800) << 10) + (second->code_point - 0xDC00);
    return Escape{joined, false, first->bytes + second->bytes};
}

// What stands behind a backslash in C, JavaScript and JSON.
std::optional<Escape> backslashed(std::string_view text) {
    constexpr std::string_view kNames = "abfnrtv0\"'\\/`";
    constexpr std::string_view kMeanings("\a\b\f\n\r\t\v\0\"'\\/`", 13);
    if (text.size() < 2) {
        return std::nullopt;
    }
    switch (text[1]) {
        case 'u':
            return text.size() > 2 && text[2] == '{' ? braced(text) : unicode(text);
        case 'U':
            return fixed(text, 8, false);
        case 'x':
            return fixed(text, 2, true);
        default:
            break;
    }
    if (const auto octal = number_at(text, 1, 8, 2, 3); octal && octal->value <= 0xFF) {
        return Escape{octal->value, true, 1 + octal->digits};
    }
    const size_t named = kNames.find(text[1]);
    if (named == std::string_view::npos) {
        return std::nullopt;
    }
    return Escape{static_cast<unsigned char>(kMeanings[named]), true, 2};
}

struct Entity {
    std::string_view name;
    char32_t code_point;
};
constexpr auto kEntities = std::to_array<Entity>({
    {"amp", '&'},    {"apos", '\''},    {"ast", '*'},    {"bsol", '\\'},  {"colon", ':'},
    {"comma", ','},  {"commat", '@'},   {"dash", '-'},   {"dollar", '$'}, {"emsp", ' '},
    {"ensp", ' '},   {"equals", '='},   {"excl", '!'},   {"grave", '`'},  {"gt", '>'},
    {"hyphen", '-'}, {"lbrack", '['},   {"lowbar", '_'}, {"lpar", '('},   {"lsqb", '['},
    {"lt", '<'},     {"mdash", '-'},    {"middot", '.'}, {"minus", '-'},  {"nbsp", ' '},
    {"ndash", '-'},  {"NewLine", '\n'}, {"num", '#'},    {"percnt", '%'}, {"period", '.'},
    {"plus", '+'},   {"quest", '?'},    {"quot", '"'},   {"rbrack", ']'}, {"rpar", ')'},
    {"rsqb", ']'},   {"semi", ';'},     {"shy", 0xAD},   {"sol", '/'},    {"Tab", '\t'},
    {"thinsp", ' '}, {"verbar", '|'},   {"vert", '|'},   {"zwj", 0x200D}, {"zwnj", 0x200C},
});

// "&#64;", "&#x40;", "&commat;"; browsers do without the semicolon of a number.
std::optional<Escape> entity(std::string_view text) {
    if (text.starts_with("&#")) {
        const bool hex = text.size() > 2 && small(text[2]) == 'x';
        const size_t begin = hex ? 3 : 2;
        const auto number = number_at(text, begin, hex ? 16 : 10, 1, 7);
        if (!number) {
            return std::nullopt;
        }
        const size_t end = begin + number->digits;
        return Escape{number->value, false, end < text.size() && text[end] == ';' ? end + 1 : end};
    }
    constexpr size_t kNameMax = 8;
    const size_t end = text.substr(0, kNameMax + 2).find(';');
    if (end == std::string_view::npos) {
        return std::nullopt;
    }
    const auto found = std::ranges::find(kEntities, text.substr(1, end - 1), &Entity::name);
    return found == kEntities.end() ? std::nullopt
                                    : std::optional(Escape{found->code_point, false, end + 1});
}

std::optional<Escape> escape_at(std::string_view text) {
    switch (text[0]) {
        case '%':
            if (const auto number = number_at(text, 1, 16, 2, 2)) {
                return Escape{number->value, true, 3};
            }
            return std::nullopt;
        case '\\':
            return backslashed(text);
        case '&':
            return entity(text);
        default:
            return std::nullopt;
    }
}

// "=34"
std::optional<Escape> quoted_at(std::string_view text) {
    const auto number = number_at(text, 1, 16, 2, 2);
    return number ? std::optional(Escape{number->value, true, 3}) : std::nullopt;
}

void append(std::string& out, const Escape& escape) {
    if (escape.is_byte) {
        out.push_back(static_cast<char>(escape.code_point));
    } else {
        utf8::append(out, escape.code_point);
    }
}

// Quoted-printable shares its sign with every sum and assignment: only where escapes touch.
std::string without_quoted_printable(std::string_view text) {
    std::string plain;
    bool any = false;
    for (size_t at = 0; at < text.size();) {
        if (text[at] != '=') {
            plain.push_back(text[at++]);
            continue;
        }
        std::string decoded;
        size_t end = at;
        while (end < text.size() && text[end] == '=') {
            const auto escape = quoted_at(text.substr(end));
            if (!escape) {
                break;
            }
            append(decoded, *escape);
            end += escape->bytes;
        }
        if (decoded.size() >= 2) {
            plain += decoded;
            at = end;
            any = true;
        } else if (at + 1 < text.size() && text[at + 1] == '\n') {  // the line goes on
            at += 2;
            any = true;
        } else {
            plain.push_back(text[at++]);
        }
    }
    return any ? plain : std::string();
}

constexpr CharSet kWord("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

// One number of a list of codes. The first that differs in kind ends the list.
enum class CodeKind : uint8_t { Hex, Prefixed, Unicode, Decimal, Binary };
struct Code {
    uint32_t value = 0;
    size_t bytes = 0;
};

std::optional<Code> code_at(std::string_view text, CodeKind kind) {
    size_t begin = 0;
    std::optional<Number> number;
    switch (kind) {
        case CodeKind::Hex:
            number = number_at(text, 0, 16, 2, 2);
            break;
        case CodeKind::Prefixed:
            begin = 2;
            number = text.starts_with("0x") || text.starts_with("0X")
                         ? number_at(text, begin, 16, 1, 6)
                         : std::nullopt;
            break;
        case CodeKind::Unicode:
            begin = 2;
            number = text.starts_with("U+") || text.starts_with("u+")
                         ? number_at(text, begin, 16, 4, 6)
                         : std::nullopt;
            break;
        case CodeKind::Decimal:
            number = number_at(text, 0, 10, 2, 3);
            break;
        case CodeKind::Binary:
            number = number_at(text, 0, 2, 7, 8);
            break;
    }
    if (!number) {
        return std::nullopt;
    }
    const size_t end = begin + number->digits;
    if (end < text.size() && is_alnum(text[end])) {
        return std::nullopt;
    }
    return Code{number->value, end};
}

// What may stand between two codes of a list.
size_t separator_bytes(std::string_view text) {
    constexpr size_t kBytesMax = 3;
    size_t bytes = 0;
    while (bytes < kBytesMax && bytes < text.size() && !is_alnum(text[bytes]) &&
           static_cast<unsigned char>(text[bytes]) < 0x80) {
        ++bytes;
    }
    return bytes;
}

// Reads a list of that kind from the beginning of `text`; how much of it that was.
size_t open_list(std::string_view text, CodeKind kind, Unwrapped& out) {
    constexpr size_t kCodesMin = 6;
    std::string said;
    size_t codes = 0;
    size_t at = 0;
    size_t end = 0;
    while (const auto code = at < text.size() ? code_at(text.substr(at), kind) : std::nullopt) {
        if (kind == CodeKind::Hex || kind == CodeKind::Binary) {
            said.push_back(static_cast<char>(code->value));
        } else {
            utf8::append(said, code->value);
        }
        ++codes;
        end = at + code->bytes;
        const size_t between = separator_bytes(text.substr(end));
        if (between == 0) {
            break;
        }
        at = end + between;
    }
    const auto controls = std::ranges::count_if(
        said, [](char c) { return static_cast<unsigned char>(c) < 0x20 && !is_blank(c); });
    if (codes >= kCodesMin && controls == 0) {
        out.coded = true;
        out.texts.push_back(utf8::to_valid(said));
    }
    return end;
}

// As what kind of code a word of that length is worth trying.
std::span<const CodeKind> kinds_of_length(size_t length) {
    static constexpr std::array kOne = {CodeKind::Unicode};
    static constexpr std::array kTwo = {CodeKind::Hex, CodeKind::Decimal};
    static constexpr std::array kMore = {CodeKind::Decimal, CodeKind::Prefixed, CodeKind::Binary};
    if (length <= 1) {
        return kOne;
    }
    return length == 2 ? std::span<const CodeKind>(kTwo) : std::span<const CodeKind>(kMore);
}

}  // namespace

void unwrap_escapes(std::string_view text, Unwrapped& out) {
    constexpr CharSet kSigns("%\\&");
    Edited plain(text);
    bool any = false;
    for (size_t at = kSigns.find_in(text, 0); at < text.size(); at = kSigns.find_in(text, at)) {
        const auto escape = escape_at(text.substr(at));
        if (!escape) {
            ++at;
            continue;
        }
        std::string meant;
        append(meant, *escape);
        plain.replace(at, escape->bytes, meant);
        at += escape->bytes;
        any = true;
    }
    if (any) {
        out.plain.push_back(plain.take());
    }
    if (text.find('=') != std::string_view::npos) {
        if (std::string quoted = without_quoted_printable(text); !quoted.empty()) {
            out.plain.push_back(std::move(quoted));
        }
    }
}

void unwrap_code_lists(std::string_view text, Unwrapped& out) {
    constexpr CharSet kBegins("0123456789abcdefABCDEFuU");
    constexpr size_t kWordMax = 8;  // of the longest code, but those with a sign in front
    for (size_t at = 0; at < text.size();) {
        const size_t begin = kWord.find_in(text, at);
        at = begin;
        while (at < text.size() && kWord.has(text[at])) {
            ++at;
        }
        if (begin == at || at - begin > kWordMax || !kBegins.has(text[begin])) {
            continue;
        }
        size_t end = at;
        for (const CodeKind kind : kinds_of_length(at - begin)) {
            end = std::max(end, begin + open_list(text.substr(begin), kind, out));
        }
        at = end;
    }
}

}  // namespace weir::policy
