#include "text/normalizer.h"

#include <algorithm>
#include <array>

#include "base/utf8.h"
#include "text/byte_alphabet.h"
#include "text/normalize.h"
#include "text/unicode.h"

namespace weir::text {
namespace {

std::string lowercase(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (size_t at = 0; at < text.size();) {
        for (const size_t end = utf8::ascii_end(text, at); at < end; ++at) {
            const char letter = text[at];
            out.push_back(letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter | 0x20)
                                                         : letter);
        }
        const utf8::Decoded next = utf8::decode(text, at);
        if (!next.valid || next.bytes == 0) {
            out.append(text.substr(at, next.bytes));
        } else if (next.code_point == 0x130) {
            out += "i\xCC\x87";  // the one character whose full lower case is two
        } else {
            utf8::append(out, to_lower(next.code_point));
        }
        at += next.bytes;
    }
    return out;
}

std::string replace(std::string_view text, std::string_view from, std::string_view to) {
    std::string out;
    out.reserve(text.size());
    for (size_t at = 0;;) {
        const size_t found = text.find(from, at);
        out.append(text.substr(at, found - at));
        if (found == std::string_view::npos) {
            return out;
        }
        out.append(to);
        at = found + from.size();
    }
}

std::string spell_bytes(std::string_view text) {
    std::string out;
    out.reserve(text.size() * 2);
    for (const char byte : text) {
        out += byte_level_of(static_cast<uint8_t>(byte));
    }
    return out;
}

std::string squeeze(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (const char character : text) {
        if (character != ' ' || (!out.empty() && out.back() != ' ')) {
            out.push_back(character);
        }
    }
    if (!out.empty() && out.back() == ' ') {
        out.pop_back();
    }
    return out;
}

// What becomes of a character in a step that looks at one at a time.
enum class Fate { Keep, Remove, Space };

// Bytes that are no UTF-8 are kept.
template <typename Judge>
std::string judge_characters(std::string_view text, const Judge& judge) {
    std::array<bool, 0x80> keeps{};  // of ASCII, which is kept in runs
    for (char32_t character = 0; character < keeps.size(); ++character) {
        keeps[character] = judge(character) == Fate::Keep;
    }
    std::string out;
    out.reserve(text.size());
    for (size_t at = 0; at < text.size();) {
        size_t end = at;
        while (end < text.size() && static_cast<unsigned char>(text[end]) < keeps.size() &&
               keeps[static_cast<unsigned char>(text[end])]) {
            ++end;
        }
        if (end > at) {
            out.append(text, at, end - at);
            at = end;
            continue;
        }
        const utf8::Decoded next = utf8::decode(text, at);
        const Fate fate = next.valid ? judge(next.code_point) : Fate::Keep;
        if (fate == Fate::Keep) {
            out += text.substr(at, next.bytes);
        } else if (fate == Fate::Space) {
            out.push_back(' ');
        }
        at += next.bytes;
    }
    return out;
}

std::string without(std::string_view text, CharSet set) {
    return judge_characters(text, [set](char32_t character) {
        return is_in(set, character) ? Fate::Remove : Fate::Keep;
    });
}

bool is_space(char32_t character) {
    return (CharTable::get().of(character) & kSpace) != 0;
}

Fate clean(char32_t character) {
    if (character == U'\t' || character == U'\n' || character == U'\r') {
        return Fate::Space;
    }
    if (character == 0xFFFD || is_in(CharSet::ReferenceOther, character)) {
        return Fate::Remove;
    }
    return is_space(character) ? Fate::Space : Fate::Keep;
}

Fate nmt(char32_t character) {
    if ((character >= 1 && character <= 8) || character == 0xB ||
        (character >= 0xE && character <= 0x1F) || character == 0x7F || character == 0x8F ||
        character == 0x9F) {
        return Fate::Remove;
    }
    const bool space = character == 9 || character == 0xA || character == 0xC || character == 0xD ||
                       character == 0x1680 || (character >= 0x200B && character <= 0x200F) ||
                       character == 0x2028 || character == 0x2029 || character == 0x2581 ||
                       character == 0xFEFF || character == 0xFFFD;
    return space ? Fate::Space : Fate::Keep;
}

// The blocks of Chinese characters that BERT was given in 2018; its last range is a slip of the
// original that everybody kept.
bool is_ideograph(char32_t character) {
    constexpr char32_t kRanges[][2] = {{0x4E00, 0x9FFF},   {0x3400, 0x4DBF},   {0x20000, 0x2A6DF},
                                       {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF},
                                       {0xF900, 0xFAFF},   {0x2F800, 0x2FA1F}};
    return std::ranges::any_of(kRanges, [character](const auto& range) {
        return range[0] <= character && character <= range[1];
    });
}

std::string space_ideographs(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (size_t at = 0; at < text.size();) {
        const size_t end = utf8::ascii_end(text, at);
        out.append(text, at, end - at);
        at = end;
        const utf8::Decoded next = utf8::decode(text, at);
        const bool apart = next.valid && is_ideograph(next.code_point);
        out += apart ? " " : "";
        out += text.substr(at, next.bytes);
        out += apart ? " " : "";
        at += next.bytes;
    }
    return out;
}

std::string strip(std::string_view text, bool left, bool right) {
    size_t begin = 0;
    while (left && begin < text.size()) {
        const utf8::Decoded next = utf8::decode(text, begin);
        if (!is_space(next.code_point)) {
            break;
        }
        begin += next.bytes;
    }
    size_t end = begin;  // behind the last character that is no space
    for (size_t at = begin; at < text.size();) {
        const utf8::Decoded next = utf8::decode(text, at);
        at += next.bytes;
        end = is_space(next.code_point) ? end : at;
    }
    return std::string(text.substr(begin, right ? end - begin : std::string_view::npos));
}

// The patterns that get here are runs of one class, which a match looks at once.
std::string replace_matches(std::string_view text, const Pattern& pattern, std::string_view to) {
    std::string out;
    out.reserve(text.size());
    uint64_t steps = 0;
    for (size_t at = 0; at < text.size();) {
        size_t next = at;
        while (next < text.size() && !pattern.may_begin(text[next])) {
            ++next;
        }
        out.append(text, at, next - at);
        at = next;
        if (const auto end = pattern.match_at(text, at, steps)) {
            out += to;
            at = *end;
            continue;
        }
        const uint32_t bytes = utf8::decode(text, at).bytes;
        out += text.substr(at, bytes);
        at += bytes;
    }
    return out;
}

}  // namespace

double Normalizer::growth() const {
    double growth = 1;
    for (const Step& step : steps_) {
        switch (step.kind) {
            case Kind::Nfc:
            case Kind::Nfd:
                growth *= 3;  // U+0390
                break;
            case Kind::Nfkc:
            case Kind::Nfkd:
                growth *= 11;  // U+FDFA
                break;
            case Kind::Lowercase:
            case Kind::SpaceIdeographs:
            case Kind::SpellBytes:
                growth *= 2;
                break;
            case Kind::CharsmapLongest:
            case Kind::CharsmapGraphemes:
                growth *= static_cast<double>(step.charsmap->replacement_bytes_max());
                break;
            case Kind::ReplaceMatches:
                growth *= std::max(1.0, static_cast<double>(step.to.size()));
                break;
            case Kind::Replace:
                growth *= std::max(1.0, static_cast<double>(step.to.size()) /
                                            static_cast<double>(step.from.size()));
                break;
            case Kind::Strip:
            case Kind::StripMarks:
            case Kind::StripNonspacing:
            case Kind::CleanText:
            case Kind::Nmt:
            case Kind::Prepend:
            case Kind::PrependIfMissing:
            case Kind::Squeeze:
            case Kind::TrimEnd:
                break;
        }
    }
    return growth;
}

std::string Normalizer::apply(std::string_view text, Place place) const {
    std::string out(text);
    for (const Step& step : steps_) {
        if (out.empty()) {
            return out;
        }
        switch (step.kind) {
            case Kind::Nfc:
                if (!is_surely_nfc(out)) {
                    out = to_nfc(out);
                }
                break;
            case Kind::Nfd:
                out = to_nfd(out);
                break;
            case Kind::Nfkc:
                out = to_nfkc(out);
                break;
            case Kind::Nfkd:
                out = to_nfkd(out);
                break;
            case Kind::Lowercase:
                out = lowercase(out);
                break;
            case Kind::Strip:
                out = strip(out, step.left, step.right);
                break;
            case Kind::StripMarks:
                out = without(out, CharSet::ReferenceMarks);
                break;
            case Kind::StripNonspacing:
                out = without(out, CharSet::ReferenceNonspacing);
                break;
            case Kind::CleanText:
                out = judge_characters(out, clean);
                break;
            case Kind::SpaceIdeographs:
                out = space_ideographs(out);
                break;
            case Kind::Nmt:
                out = judge_characters(out, nmt);
                break;
            case Kind::CharsmapLongest:
                out = step.charsmap->apply_longest(out);
                break;
            case Kind::CharsmapGraphemes:
                out = step.charsmap->apply_to_graphemes(out);
                break;
            case Kind::ReplaceMatches:
                out = replace_matches(out, *step.pattern, step.to);
                break;
            case Kind::TrimEnd:
                while (!step.to.empty() && out.ends_with(step.to)) {
                    out.resize(out.size() - step.to.size());
                }
                break;
            case Kind::Prepend:
                if (place != Place::Inside) {
                    out.insert(0, step.to);
                }
                break;
            case Kind::PrependIfMissing:
                if (!out.starts_with(step.to) && place != Place::Inside &&
                    (place == Place::TextStart || !step.first_only)) {
                    out.insert(0, step.to);
                }
                break;
            case Kind::Replace:
                out = replace(out, step.from, step.to);
                break;
            case Kind::SpellBytes:
                out = spell_bytes(out);
                break;
            case Kind::Squeeze:
                out = squeeze(out);
                break;
        }
    }
    return out;
}

void add_bert_normalizer(const BertNormalization& wanted, Normalizer& out) {
    using Kind = Normalizer::Kind;
    if (wanted.clean_text) {
        out.add({.kind = Kind::CleanText});
    }
    if (wanted.space_ideographs) {
        out.add({.kind = Kind::SpaceIdeographs});
    }
    if (wanted.strip_accents) {
        out.add({.kind = Kind::Nfd});
        out.add({.kind = Kind::StripNonspacing});
    }
    if (wanted.lowercase) {
        out.add({.kind = Kind::Lowercase});
    }
}

}  // namespace weir::text
