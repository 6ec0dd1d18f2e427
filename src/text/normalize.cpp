#include "text/normalize.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/utf8.h"
#include "text/unicode.h"
#include "text/unicode_tables.h"

namespace weir::text {
namespace {

// Hangul syllables are composed by arithmetic (Unicode 3.12).
constexpr char32_t kHangulBase = 0xAC00;
constexpr char32_t kLeadBase = 0x1100;
constexpr char32_t kVowelBase = 0x1161;
constexpr char32_t kTrailBase = 0x11A7;
constexpr char32_t kLeads = 19;
constexpr char32_t kVowels = 21;
constexpr char32_t kTrails = 28;
constexpr char32_t kHangulCount = kLeads * kVowels * kTrails;

// Below them nothing decomposes or combines with anything.
constexpr char32_t kFirstCanonical = 0xC0;
constexpr char32_t kFirstCompatible = 0xA0;
// Below it everything that decomposes composes again, and nothing combines with what is before.
constexpr char32_t kFirstNotSurelyNfc = 0x300;

struct Character {
    char32_t code_point;
    uint8_t combining_class;
};

uint64_t pair_key(char32_t first, char32_t second) {
    return uint64_t{first} << 32 | second;
}

const std::unordered_map<uint64_t, char32_t>& compositions() {
    static const std::unordered_map<uint64_t, char32_t> table = [] {
        std::unordered_map<uint64_t, char32_t> pairs;
        for (const tables::Decomposition& row : tables::kDecompositions) {
            if (row.composes) {
                pairs.emplace(pair_key(row.first, row.second), row.code_point);
            }
        }
        return pairs;
    }();
    return table;
}

// Appends the full canonical decomposition. The tables' longest chain has four steps.
void decompose(char32_t code_point, std::vector<Character>& out) {
    if (code_point - kHangulBase < kHangulCount) {
        const char32_t index = code_point - kHangulBase;
        out.push_back({kLeadBase + index / (kVowels * kTrails), 0});
        out.push_back({kVowelBase + index % (kVowels * kTrails) / kTrails, 0});
        if (index % kTrails != 0) {
            out.push_back({kTrailBase + index % kTrails, 0});
        }
        return;
    }
    const auto rows = tables::kDecompositions;
    const auto row = std::lower_bound(rows.begin(), rows.end(), code_point,
                                      [](const tables::Decomposition& entry, char32_t wanted) {
                                          return entry.code_point < wanted;
                                      });
    if (row == rows.end() || row->code_point != code_point) {
        out.push_back({code_point, combining_class(code_point)});
        return;
    }
    decompose(row->first, out);  // only the first part can decompose further
    if (row->second != 0) {
        out.push_back({row->second, combining_class(row->second)});
    }
}

// Appends the full compatibility decomposition.
void decompose_compatibly(char32_t code_point, std::vector<Character>& out) {
    const auto rows = tables::kCompatibilities;
    const auto row =
        std::ranges::lower_bound(rows, code_point, {}, &tables::Compatibility::code_point);
    if (row == rows.end() || row->code_point != code_point) {
        decompose(code_point, out);
        return;
    }
    for (const char32_t part : tables::kCompatibilityText.subspan(row->offset, row->count)) {
        out.push_back({part, combining_class(part)});
    }
}

// Puts runs of combining marks into canonical order.
void reorder(std::vector<Character>& text) {
    for (auto at = text.begin(); at != text.end();) {
        if (at->combining_class == 0) {
            ++at;
            continue;
        }
        const auto end =
            std::find_if(at, text.end(), [](const Character& c) { return c.combining_class == 0; });
        std::stable_sort(at, end, [](const Character& a, const Character& b) {
            return a.combining_class < b.combining_class;
        });
        at = end;
    }
}

std::optional<char32_t> compose_pair(char32_t first, char32_t second) {
    if (first - kLeadBase < kLeads && second - kVowelBase < kVowels) {
        return kHangulBase + ((first - kLeadBase) * kVowels + (second - kVowelBase)) * kTrails;
    }
    if (first - kHangulBase < kHangulCount && (first - kHangulBase) % kTrails == 0 &&
        second - (kTrailBase + 1) < kTrails - 1) {
        return first + (second - kTrailBase);
    }
    const auto found = compositions().find(pair_key(first, second));
    return found == compositions().end() ? std::nullopt : std::optional(found->second);
}

// A character joins the last starter before it unless one with its class or a higher one (or, for a
// starter, any character at all) stands between them.
void compose(std::vector<Character>& text) {
    size_t out = 0;
    std::optional<size_t> starter;
    for (const Character character : text) {
        const bool adjacent = starter && out == *starter + 1;
        const bool blocked =
            !adjacent && (out == 0 || character.combining_class == 0 ||
                          text[out - 1].combining_class >= character.combining_class);
        if (starter && !blocked) {
            const auto composed = compose_pair(text[*starter].code_point, character.code_point);
            if (composed) {
                text[*starter].code_point = *composed;
                continue;
            }
        }
        if (character.combining_class == 0) {
            starter = out;
        }
        text[out++] = character;
    }
    text.resize(out);
}

enum class Form { Composed, Decomposed };
enum class Mapping { Canonical, Compatible };

// Normalises stretches of valid UTF-8 and copies the bytes between them.
std::string normalize(std::string_view text, Form form, Mapping mapping) {
    const char32_t first_that_matters =
        mapping == Mapping::Canonical ? kFirstCanonical : kFirstCompatible;
    std::string out;
    out.reserve(text.size());
    std::vector<Character> stretch;
    const auto flush = [&] {
        reorder(stretch);
        if (form == Form::Composed) {
            compose(stretch);
        }
        for (const Character& character : stretch) {
            utf8::append(out, character.code_point);
        }
        stretch.clear();
    };
    for (size_t at = 0; at < text.size();) {
        // Of a run of ASCII only the last character can be changed by what follows.
        if (const size_t end = utf8::ascii_end(text, at); end > at) {
            flush();
            out.append(text, at, end - 1 - at);
            stretch.push_back({static_cast<unsigned char>(text[end - 1]), 0});
            at = end;
            continue;
        }
        const utf8::Decoded next = utf8::decode(text, at);
        if (!next.valid) {
            flush();
            out.append(text.substr(at, next.bytes));
        } else if (next.code_point < first_that_matters) {
            flush();  // a starter that nothing before it combines with
            stretch.push_back({next.code_point, 0});
        } else if (mapping == Mapping::Canonical) {
            decompose(next.code_point, stretch);
        } else {
            decompose_compatibly(next.code_point, stretch);
        }
        at += next.bytes;
    }
    flush();
    return out;
}

}  // namespace

bool is_surely_nfc(std::string_view text) {
    // Lead bytes of U+0300 and above start at 0xCC.
    static_assert(kFirstNotSurelyNfc == (0xCC & 0x1F) << 6);
    return std::none_of(text.begin(), text.end(),
                        [](char byte) { return static_cast<unsigned char>(byte) >= 0xCC; });
}

std::string to_nfc(std::string_view text) {
    return is_surely_nfc(text) ? std::string(text)
                               : normalize(text, Form::Composed, Mapping::Canonical);
}

std::string to_nfd(std::string_view text) {
    return normalize(text, Form::Decomposed, Mapping::Canonical);
}

std::string to_nfkc(std::string_view text) {
    return normalize(text, Form::Composed, Mapping::Compatible);
}

std::string to_nfkd(std::string_view text) {
    return normalize(text, Form::Decomposed, Mapping::Compatible);
}

}  // namespace weir::text
