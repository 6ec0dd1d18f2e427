#include "text/pretokenizer.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "base/utf8.h"
#include "text/byte_alphabet.h"
#include "text/scan.h"

// Every tokenizer publishes its cut as a regular expression, an ordered choice that is tried where
// the last match ended. The scanners below make the same choices by looking at the classes of
// characters; a backtracking engine would be quadratic on long runs, and a worker must not be
// slowed down by a text. What is read ahead (a run of spaces, a run of capitals) is read again at
// most twice: each time either the piece ends with the run, or the rest of the run is one piece.

namespace weir::text {
namespace {

using Char = ClassedText::Char;

// ---- The pieces that the whole-text patterns share ----

// \s*[\r\n]+ | \s+(?!\S) | \s+     from a space character on.
// The last newline of the run ends the first alternative; the second leaves one character of the
// run to what follows, unless nothing does.
size_t space_end(const ClassedText& text, size_t at, bool newlines_first) {
    size_t end = at;
    size_t last = at;           // where the last character of the run begins
    size_t after_newline = at;  // behind the last newline of the run
    while (end < text.size()) {
        const Char next = text.at(end);
        if (!next.is(kSpace)) {
            break;
        }
        last = end;
        end += next.bytes;
        if (next.is_newline()) {
            after_newline = end;
        }
    }
    if (newlines_first && after_newline > at) {
        return after_newline;
    }
    return end == text.size() || last == at ? end : last;
}

enum class ContractionCase { Lower, Any };

// 's|'t|'re|'ve|'m|'ll|'d at an apostrophe, or `at` if there is none. In any case, U+017F (long s)
// is an s, as it is for the regex engines.
size_t contraction_end(const ClassedText& text, size_t at, ContractionCase letter_case) {
    const auto letter = [&](size_t offset) -> unsigned char {
        if (offset >= text.size()) {
            return 0;
        }
        const unsigned char byte = text.byte(offset);
        const bool upper = byte >= 'A' && byte <= 'Z' && letter_case == ContractionCase::Any;
        return upper ? static_cast<unsigned char>(byte | 0x20) : byte;
    };
    switch (letter(at + 1)) {
        case 's':
        case 't':
        case 'm':
        case 'd':
            return at + 2;
        case 'r':
        case 'v':
            return letter(at + 2) == 'e' ? at + 3 : at;
        case 'l':
            return letter(at + 2) == 'l' ? at + 3 : at;
        case 0xC5:
            return letter_case == ContractionCase::Any && letter(at + 2) == 0xBF ? at + 3 : at;
        default:
            return at;
    }
}

size_t digits_end(const ClassedText& text, size_t at, unsigned digits_max) {
    size_t end = at;
    for (unsigned digits = 0; digits < digits_max && end < text.size(); ++digits) {
        const Char next = text.at(end);
        if (!next.is(kNumber)) {
            break;
        }
        end += next.bytes;
    }
    return end;
}

//  ?[^\s…]+[tail]*   where `first` is the character at `at`; `at` if there is no match.
size_t symbols_end(const ClassedText& text, size_t at, Char first, CharClass outside,
                   std::string_view tail) {
    size_t begin = at;
    if (first.code_point == U' ' && at + 1 < text.size() && !text.at(at + 1).is(outside)) {
        begin = at + 1;
    } else if (first.is(outside)) {
        return at;
    }
    return text.run_bytes(text.run_not(begin, outside), tail);
}

// ---- The whole-text patterns ----

size_t gpt2_end(const ClassedText& text, size_t at) {
    Char first = text.at(at);
    if (first.code_point == U'\'') {
        const size_t end = contraction_end(text, at, ContractionCase::Lower);
        if (end > at) {
            return end;
        }
    }
    size_t begin = at;
    if (first.code_point == U' ' && at + 1 < text.size()) {
        const Char second = text.at(at + 1);
        if (!second.is(kSpace)) {
            begin = at + 1;
            first = second;
        }
    }
    if (first.is(kLetter)) {
        return text.run(begin, kLetter);
    }
    if (first.is(kNumber)) {
        return text.run(begin, kNumber);
    }
    if (!first.is(kSpace)) {
        return text.run_not(begin, kSpace | kLetter | kNumber);
    }
    return space_end(text, at, false);
}

// [^\r\n\p{L}\p{N}]?[word]+ and the rest of the family that began with cl100k.
template <CharClass kWord, unsigned kDigitsMax>
size_t cl100k_end(const ClassedText& text, size_t at) {
    const Char first = text.at(at);
    if (first.code_point == U'\'') {
        const size_t end = contraction_end(text, at, ContractionCase::Any);
        if (end > at) {
            return end;
        }
    }
    if (first.is(kWord)) {
        return text.run(at + first.bytes, kWord);
    }
    if (first.is(kNumber)) {
        return digits_end(text, at, kDigitsMax);
    }
    if (!first.is_newline() && text.is_at(at + first.bytes, kWord)) {
        return text.run(at + first.bytes, kWord);
    }
    constexpr CharClass kOutside = kSpace | kNumber | kWord;
    const size_t end = symbols_end(text, at, first, kOutside, "\r\n");
    return end > at ? end : space_end(text, at, true);
}

constexpr CharClass kBothCases = kCaseless | kMark;
constexpr CharClass kUpperSide = kUpper | kBothCases;
constexpr CharClass kLowerSide = kLower | kBothCases;

// [upper side]*[lower side]+ from `at` on, or `at`. The first loop takes all it can; if no lower
// side follows, it gives back down to its last caseless character, which then ends the match.
size_t capitalised_end(const ClassedText& text, size_t at) {
    size_t end = at;
    size_t after_caseless = at;
    while (end < text.size()) {
        const Char next = text.at(end);
        if (!next.is(kUpperSide)) {
            break;
        }
        end += next.bytes;
        if (next.is(kBothCases)) {
            after_caseless = end;
        }
    }
    const size_t lower_end = text.run(end, kLowerSide);
    return lower_end > end ? lower_end : after_caseless;
}

// [upper side]+[lower side]* from `at` on, or `at`.
size_t capitals_end(const ClassedText& text, size_t at) {
    const size_t end = text.run(at, kUpperSide);
    return end == at ? at : text.run(end, kLowerSide);
}

// The two word alternatives, each with and without the character before the word.
size_t cased_word_end(const ClassedText& text, size_t at, Char first) {
    const bool may_precede = !first.is_newline() && !first.is(kLetter | kNumber);
    const size_t behind = at + first.bytes;
    for (const auto alternative : {capitalised_end, capitals_end}) {
        if (may_precede) {
            const size_t end = alternative(text, behind);
            if (end > behind) {
                return end;
            }
        }
        const size_t end = alternative(text, at);
        if (end > at) {
            return end;
        }
    }
    return at;
}

enum class WordTail { None, Contraction };

template <WordTail kTail, unsigned kDigitsMax>
size_t cased_end(const ClassedText& text, size_t at) {
    const Char first = text.at(at);
    const size_t word_end = cased_word_end(text, at, first);
    if (word_end > at) {
        if (kTail == WordTail::Contraction && word_end < text.size() &&
            text.byte(word_end) == '\'') {
            return contraction_end(text, word_end, ContractionCase::Any);
        }
        return word_end;
    }
    if (first.is(kNumber)) {
        return digits_end(text, at, kDigitsMax);
    }
    const size_t end = symbols_end(text, at, first, kSpace | kLetter | kNumber, "\r\n/");
    return end > at ? end : space_end(text, at, true);
}

bool is_ascii_letter(char32_t code_point) {
    const char32_t lower = code_point | 0x20;
    return lower >= U'a' && lower <= U'z';
}

bool is_ascii_punctuation(char32_t code_point) {
    return code_point > U' ' && code_point < 0x7F && !is_ascii_letter(code_point) &&
           !(code_point >= U'0' && code_point <= U'9');
}

// [!-/:-~]…[A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|spaces
// It leaves gaps (numbers, controls), which are pieces of their own.
size_t deepseek_v3_end(const ClassedText& text, size_t at) {
    constexpr CharClass kWord = kLetter | kMark;
    constexpr CharClass kSigns = kPunctuation | kSymbol;
    const Char first = text.at(at);
    size_t end = at + first.bytes;
    if (is_ascii_punctuation(first.code_point)) {
        while (end < text.size() && is_ascii_letter(text.byte(end))) {
            ++end;
        }
        if (end > at + 1) {
            return end;
        }
    }
    if (first.is(kWord) || (!first.is_newline() && !first.is(kSigns) && text.is_at(end, kWord))) {
        return text.run(end, kWord);
    }
    if (first.is(kSigns) || (first.code_point == U' ' && text.is_at(end, kSigns))) {
        return text.run_bytes(text.run(end, kSigns), "\r\n");
    }
    if (first.is(kSpace)) {
        return space_end(text, at, true);
    }
    return at;  // no match here
}

using WholeScanner = size_t (*)(const ClassedText&, size_t);

// The scanner of a splitter that covers the text, or nullptr.
WholeScanner whole_scanner(Splitter splitter) {
    switch (splitter) {
        case Splitter::Gpt2:
            return gpt2_end;
        case Splitter::Cl100k:
            return cl100k_end<kLetter, 3>;
        case Splitter::Qwen2:
            return cl100k_end<kLetter, 1>;
        case Splitter::Qwen35:
            return cl100k_end < kLetter | kMark, 1 > ;
        case Splitter::O200k:
            return cased_end<WordTail::Contraction, 3>;
        case Splitter::Tekken:
            return cased_end<WordTail::None, 1>;
        default:
            return nullptr;
    }
}

// ---- The splitters that cut out what they match ----

struct CodePointRange {
    char32_t first;
    char32_t last;
};

// DeepSeek LLM's list: the letters of scripts with case, of Unicode 11 or so, less some.
constexpr CodePointRange kCasedWordRanges[] = {
    {0x41, 0x5A},       {0x61, 0x7A},       {0xB5, 0xB5},       {0xC0, 0xD6},
    {0xD8, 0xF6},       {0xF8, 0x1BA},      {0x1BC, 0x1BF},     {0x1C4, 0x293},
    {0x295, 0x2AF},     {0x370, 0x373},     {0x376, 0x377},     {0x37B, 0x37D},
    {0x37F, 0x37F},     {0x386, 0x386},     {0x388, 0x38A},     {0x38C, 0x38C},
    {0x38E, 0x3A1},     {0x3A3, 0x3F5},     {0x3F7, 0x481},     {0x48A, 0x52F},
    {0x531, 0x556},     {0x10A0, 0x10C5},   {0x13A0, 0x13F5},   {0x13F8, 0x13FD},
    {0x1C90, 0x1CBA},   {0x1CBD, 0x1CBF},   {0x1D00, 0x1D2B},   {0x1D6B, 0x1D77},
    {0x1D79, 0x1D9A},   {0x1E00, 0x1F15},   {0x1F18, 0x1F1D},   {0x1F20, 0x1F45},
    {0x1F48, 0x1F4D},   {0x1F50, 0x1F57},   {0x1F59, 0x1F59},   {0x1F5B, 0x1F5B},
    {0x1F5D, 0x1F5D},   {0x1F5F, 0x1F7D},   {0x1F80, 0x1FB4},   {0x1FB6, 0x1FBC},
    {0x1FBE, 0x1FBE},   {0x1FC2, 0x1FC4},   {0x1FC6, 0x1FCC},   {0x1FD0, 0x1FD3},
    {0x1FD6, 0x1FDB},   {0x1FE0, 0x1FEC},   {0x1FF2, 0x1FF4},   {0x1FF6, 0x1FFC},
    {0x2102, 0x2102},   {0x2107, 0x2107},   {0x210A, 0x2113},   {0x2115, 0x2115},
    {0x2119, 0x211D},   {0x2124, 0x2124},   {0x2126, 0x2126},   {0x2128, 0x2128},
    {0x212A, 0x212D},   {0x212F, 0x2134},   {0x2139, 0x2139},   {0x213C, 0x213F},
    {0x2145, 0x2149},   {0x214E, 0x214E},   {0x2183, 0x2184},   {0x2C00, 0x2C7B},
    {0x2C7E, 0x2CE4},   {0x2CEB, 0x2CEE},   {0x2CF2, 0x2CF3},   {0xA640, 0xA66D},
    {0xA680, 0xA69B},   {0xA722, 0xA76F},   {0xA771, 0xA787},   {0xA78B, 0xA78E},
    {0xAB70, 0xABBF},   {0xFB00, 0xFB06},   {0xFB13, 0xFB17},   {0xFF21, 0xFF3A},
    {0xFF41, 0xFF5A},   {0x10400, 0x1044F}, {0x104B0, 0x104D3}, {0x104D8, 0x104FB},
    {0x10C80, 0x10CB2}, {0x10CC0, 0x10CF2}, {0x118A0, 0x118DF}, {0x1E900, 0x1E943}};
constexpr CodePointRange kAsciiWideRanges[] = {{0x21, 0x2F},     {0x3A, 0x7E},
                                               {0x2018, 0x201F}, {0x3000, 0x3002},
                                               {0xFF01, 0xFF0F}, {0xFF1A, 0xFF5E}};
constexpr CodePointRange kCjkHangulRanges[] = {{0x800, 0x9FA5}, {0xAC00, 0xD7FF}};
constexpr CodePointRange kCjkKanaRanges[] = {{0x3040, 0x30FF}, {0x4E00, 0x9FA5}};

bool is_in(std::span<const CodePointRange> sorted, const Char& character) {
    if (character.code_point < sorted.front().first) {
        return false;
    }
    const auto range = std::lower_bound(
        sorted.begin(), sorted.end(), character.code_point,
        [](const CodePointRange& entry, char32_t wanted) { return entry.last < wanted; });
    return range != sorted.end() && range->first <= character.code_point;
}

bool is_word(Splitter splitter, const Char& character) {
    switch (splitter) {
        case Splitter::CasedWords:
            if (character.code_point < 0x80) {
                return is_ascii_letter(character.code_point);
            }
            return is_in(kCasedWordRanges, character);
        case Splitter::AnyWords:
            return character.is(kLetter);
        case Splitter::AsciiWidePunctuation:
            return is_in(kAsciiWideRanges, character);
        case Splitter::AnyPunctuation:
            return character.is(kPunctuation);
        case Splitter::CjkHangul:
            return is_in(kCjkHangulRanges, character);
        case Splitter::CjkKana:
            return is_in(kCjkKanaRanges, character);
        case Splitter::DigitRuns:
            return character.is(kNumber);
        default:  // PunctuationRuns
            return character.is(kPunctuation) ||
                   (character.code_point < 0x80 &&
                    std::string_view("$+<=>^~|`").find(static_cast<char>(character.code_point)) !=
                        std::string_view::npos);
    }
}

bool takes_a_space_along(Splitter splitter) {
    return splitter == Splitter::CasedWords || splitter == Splitter::AnyWords ||
           splitter == Splitter::AsciiWidePunctuation || splitter == Splitter::AnyPunctuation;
}

// Whether something can hold for a character that begins with a byte: for ASCII it does or not.
using ByteSet = std::array<bool, 256>;
using ByteSets = std::array<ByteSet, kSplitters>;

void add_first_bytes(std::span<const CodePointRange> ranges, ByteSet& set) {
    const auto first_byte = [](char32_t code_point) {
        std::string text;
        utf8::append(text, code_point);
        return static_cast<unsigned char>(text[0]);
    };
    for (const CodePointRange& range : ranges) {
        for (unsigned byte = first_byte(range.first); byte <= first_byte(range.last); ++byte) {
            set[byte] = true;
        }
    }
}

// \s beyond ASCII
constexpr CodePointRange kWideSpaces[] = {{0x85, 0x85},     {0xA0, 0xA0},     {0x1680, 0x1680},
                                          {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F},
                                          {0x205F, 0x205F}, {0x3000, 0x3000}};

// The first bytes beyond ASCII: those of a splitter's list where it has one; else all. Bytes that
// are no UTF-8 are in no list.
void add_wide_first_bytes(Splitter splitter, ByteSet& set) {
    switch (splitter) {
        case Splitter::CasedWords:
            add_first_bytes(kCasedWordRanges, set);
            break;
        case Splitter::AsciiWidePunctuation:
            add_first_bytes(kAsciiWideRanges, set);
            break;
        case Splitter::CjkHangul:
            add_first_bytes(kCjkHangulRanges, set);
            break;
        case Splitter::CjkKana:
            add_first_bytes(kCjkKanaRanges, set);
            break;
        case Splitter::NewlineCharacters:
        case Splitter::AsciiDigitTriples:
        case Splitter::TrailingSpace:
        case Splitter::Spaces:
            break;
        default:
            std::fill(set.begin() + 0x80, set.end(), true);
    }
    if (takes_a_space_along(splitter) || splitter == Splitter::TrailingSpace ||
        splitter == Splitter::Spaces) {
        add_first_bytes(kWideSpaces, set);
    }
}

ByteSets byte_sets(bool (*holds)(Splitter, const Char&)) {
    ByteSets sets{};
    for (size_t splitter = 0; splitter < sets.size(); ++splitter) {
        add_wide_first_bytes(static_cast<Splitter>(splitter), sets[splitter]);
        for (unsigned byte = 0; byte < 0x80; ++byte) {
            const char character = static_cast<char>(byte);
            sets[splitter][byte] =
                holds(static_cast<Splitter>(splitter), ClassedText({&character, 1}).at(0));
        }
    }
    return sets;
}

size_t word_run(Splitter splitter, const ClassedText& text, size_t at) {
    static const ByteSets sets = byte_sets(is_word);
    const ByteSet& words = sets[static_cast<size_t>(splitter)];
    while (at < text.size()) {
        const unsigned char byte = text.byte(at);
        if (!words[byte]) {
            break;
        }
        if (byte < 0x80) {
            ++at;
            continue;
        }
        const Char next = text.at(at);
        if (!is_word(splitter, next)) {
            break;
        }
        at += next.bytes;
    }
    return at;
}

// \w+|[^\w\s]+
size_t words_end(const ClassedText& text, size_t at, Char first) {
    const bool word = is_word_character(first);
    if (!word && first.is(kSpace)) {
        return at;
    }
    size_t end = at;
    while (end < text.size()) {
        const Char next = text.at(end);
        if (is_word_character(next) != word || (!word && next.is(kSpace))) {
            break;
        }
        end += next.bytes;
    }
    return end;
}

size_t line_run_end(const ClassedText& text, size_t at) {
    const bool newline = text.byte(at) == '\n';
    while (at < text.size() && (text.byte(at) == '\n') == newline) {
        ++at;
    }
    return at;
}

// The end of the match that begins at `at`, or `at` if none does.
size_t match_end(Splitter splitter, const ClassedText& text, size_t at) {
    const Char first = text.at(at);
    switch (splitter) {
        case Splitter::DeepSeekV3:
            return deepseek_v3_end(text, at);
        case Splitter::NewlineCharacters:
            return first.is_newline() ? at + 1 : at;
        case Splitter::TrailingSpace: {
            const size_t end = text.run(at, kSpace);
            return end == text.size() ? end : at;
        }
        case Splitter::Digits:
            return digits_end(text, at, 1);
        case Splitter::DigitTriples:
            return digits_end(text, at, 3);
        case Splitter::Spaces:
            return first.is(kSpace) ? at + first.bytes : at;
        case Splitter::ReferencePunctuation:
            return is_in(CharSet::ReferencePunctuation, first.code_point) ? at + first.bytes : at;
        case Splitter::Words:
            return words_end(text, at, first);
        case Splitter::LineRuns:
            return line_run_end(text, at);
        case Splitter::AsciiDigitTriples:
            for (size_t digit = at; digit < at + 3; ++digit) {
                if (digit >= text.size() || text.byte(digit) < '0' || text.byte(digit) > '9') {
                    return at;
                }
            }
            return at + 3;
        default: {
            const size_t end = word_run(splitter, text, at);
            if (end > at || !takes_a_space_along(splitter) || !first.is(kSpace)) {
                return end;
            }
            const size_t behind = at + first.bytes;
            const size_t spaced_end = word_run(splitter, text, behind);
            return spaced_end > behind ? spaced_end : at;
        }
    }
}

// Collects pieces under one of the behaviours, from matches and what stands between them, in order.
class PieceSink {
  public:
    PieceSink(const CutStep& step, uint32_t offset, std::vector<Piece>& out)
        : behavior_(step.behavior),
          inverted_(step.inverted),
          offset_(offset),
          out_(out),
          first_(out.size()) {}

    void add(size_t begin, size_t end, bool matched) {
        if (begin == end) {
            return;
        }
        const bool is_match = matched != inverted_;
        const bool has_previous = out_.size() > first_;
        bool join = false;
        switch (behavior_) {
            case SplitBehavior::Isolated:
                break;
            case SplitBehavior::Removed:
                if (is_match) {
                    return;
                }
                break;
            case SplitBehavior::MergedWithPrevious:
                join = is_match && !previous_is_match_;
                break;
            case SplitBehavior::MergedWithNext:
                join = !is_match && previous_is_match_;
                break;
            case SplitBehavior::Contiguous:
                join = is_match == previous_is_match_;
                break;
        }
        previous_is_match_ = is_match;
        if (join && has_previous) {
            out_.back().end = offset_ + static_cast<uint32_t>(end);
        } else {
            out_.push_back(
                {offset_ + static_cast<uint32_t>(begin), offset_ + static_cast<uint32_t>(end)});
        }
    }

  private:
    SplitBehavior behavior_;
    bool inverted_;
    bool previous_is_match_ = false;
    uint32_t offset_;
    std::vector<Piece>& out_;
    size_t first_;
};

bool may_begin(Splitter splitter, const Char& character) {
    switch (splitter) {
        case Splitter::DeepSeekV3:
        case Splitter::LineRuns:
            return true;
        case Splitter::NewlineCharacters:
            return character.is_newline();
        case Splitter::TrailingSpace:
        case Splitter::Spaces:
            return character.is(kSpace);
        case Splitter::Digits:
        case Splitter::DigitTriples:
        case Splitter::AsciiDigitTriples:
            return character.is(kNumber);
        case Splitter::ReferencePunctuation:
            return is_in(CharSet::ReferencePunctuation, character.code_point);
        case Splitter::Words:
            return !character.is(kSpace);
        default:
            return is_word(splitter, character) ||
                   (takes_a_space_along(splitter) && character.is(kSpace));
    }
}

const ByteSet& first_bytes(Splitter splitter) {
    static const ByteSets sets = byte_sets(may_begin);
    return sets[static_cast<size_t>(splitter)];
}

bool is_found_by_scanner(Splitter splitter) {
    return whole_scanner(splitter) == nullptr && splitter != Splitter::Literal &&
           splitter != Splitter::Pattern && splitter != Splitter::GroupsOfThree &&
           splitter != Splitter::GroupsOfThreeAtBoundary;
}

// Calls found(begin, end) for each match, in order; a scanner for one character after the other.
template <typename Found>
void find_by_scanner(Splitter splitter, const ClassedText& text, const Found& found) {
    const ByteSet& firsts = first_bytes(splitter);
    for (size_t at = 0; at < text.size();) {
        if (!firsts[text.byte(at)]) {
            ++at;
            continue;
        }
        const Char first = text.at(at);
        if (first.bytes > 1 && !may_begin(splitter, first)) {
            at += first.bytes;
            continue;
        }
        const size_t end = match_end(splitter, text, at);
        if (end > at) {
            found(at, end);
            at = end;
        } else if (splitter == Splitter::TrailingSpace) {
            at = std::max(text.run(at, kSpace), at + first.bytes);  // the whole run failed
        } else {
            at += first.bytes;
        }
    }
}

// Digits in groups of three from the right. Each run is counted once, before its first group.
template <typename Found>
void find_groups_of_three(bool at_boundary, const ClassedText& text, const Found& found) {
    const auto is_digit = [at_boundary](const Char& character) {
        return at_boundary ? is_in(CharSet::DecimalDigits, character.code_point)
                           : character.is(kNumber);
    };
    for (size_t at = 0; at < text.size();) {
        size_t digits = 0;
        size_t end = at;
        for (; end < text.size() && is_digit(text.at(end)); ++digits) {
            end += text.at(end).bytes;
        }
        if (digits == 0 || (at_boundary && end < text.size() && is_word_character(text.at(end)))) {
            at = digits == 0 ? at + text.at(at).bytes : end;
            continue;
        }
        for (size_t group = (digits - 1) % 3 + 1; at < end; group = 3) {
            const size_t begin = at;
            for (; group > 0; --group) {
                at += text.at(at).bytes;
            }
            found(begin, at);
        }
    }
}

template <typename Found>
void find_literal(std::string_view literal, std::string_view text, const Found& found) {
    for (size_t at = text.find(literal); at != std::string_view::npos && !literal.empty();
         at = text.find(literal, at + literal.size())) {
        found(at, at + literal.size());
    }
}

// How often a character may be looked at, over a whole text.
constexpr uint64_t kStepsPerByteMax = 64;

template <typename Found>
Result<void> find_pattern(const Pattern& pattern, std::string_view text, const Found& found) {
    const uint64_t steps_max = kStepsPerByteMax * (text.size() + 64);
    uint64_t steps = 0;
    for (size_t at = 0; at < text.size();) {
        if (!pattern.may_begin(text[at])) {
            ++at;
            ++steps;
        } else if (const auto end = pattern.match_at(text, at, steps)) {
            found(at, *end);
            at = *end;
        } else {
            at += utf8::decode(text, at).bytes;
        }
        if (steps > steps_max) {
            return fail(ErrorCode::TooLarge,
                        "the tokenizer's pattern takes too many steps on this text");
        }
    }
    return {};
}

// From `at` on; returns where the next piece would begin. Template: the scanner is inlined into the
// loop.
template <typename Scanner>
size_t cut_whole(const Scanner& scanner, const ClassedText& text, size_t at, size_t pieces_max,
                 uint32_t offset, std::vector<Piece>& pieces) {
    for (size_t count = 0; at < text.size() && count < pieces_max; ++count) {
        const size_t end = scanner(text, at);
        pieces.push_back({offset + static_cast<uint32_t>(at), offset + static_cast<uint32_t>(end)});
        at = end;
    }
    return at;
}

size_t cut_whole(Splitter splitter, const ClassedText& text, size_t at, size_t pieces_max,
                 uint32_t offset, std::vector<Piece>& pieces) {
    if (splitter == Splitter::Cl100k) {  // by far the most used
        const auto scanner = [](const ClassedText& t, size_t begin) {
            return cl100k_end<kLetter, 3>(t, begin);
        };
        return cut_whole(scanner, text, at, pieces_max, offset, pieces);
    }
    return cut_whole(whole_scanner(splitter), text, at, pieces_max, offset, pieces);
}

// Nothing is left between the matches, and each is a piece.
bool keeps_whole_matches(const CutStep& step) {
    return (step.behavior == SplitBehavior::Isolated) ||
           (step.behavior == SplitBehavior::Removed && step.inverted);
}

Result<void> cut(const CutStep& step, std::string_view piece, uint32_t offset,
                 std::vector<Piece>& pieces) {
    const ClassedText text(piece);
    const WholeScanner scanner = whole_scanner(step.splitter);
    if (scanner != nullptr && keeps_whole_matches(step)) {
        cut_whole(step.splitter, text, 0, text.size(), offset, pieces);
        return {};
    }
    PieceSink sink(step, offset, pieces);
    size_t done = 0;
    const auto found = [&](size_t begin, size_t end) {
        sink.add(done, begin, false);
        sink.add(begin, end, true);
        done = end;
    };
    if (scanner != nullptr) {
        for (size_t at = 0; at < text.size(); at = done) {
            found(at, scanner(text, at));
        }
    } else if (is_found_by_scanner(step.splitter)) {
        find_by_scanner(step.splitter, text, found);
    } else if (step.splitter == Splitter::Literal) {
        find_literal(step.literal, piece, found);
    } else if (step.splitter == Splitter::Pattern) {
        WEIR_TRY(find_pattern(*step.pattern, piece, found));
    } else {
        find_groups_of_three(step.splitter == Splitter::GroupsOfThreeAtBoundary, text, found);
    }
    sink.add(done, piece.size(), false);
    return {};
}

// A quick look that spares most pieces of a tokenizer with many steps the closer one.
bool stays_whole(const CutStep& step, std::string_view piece) {
    if (!is_found_by_scanner(step.splitter) || step.inverted) {
        return false;
    }
    const ByteSet& firsts = first_bytes(step.splitter);
    return std::ranges::none_of(
        piece, [&](char byte) { return firsts[static_cast<unsigned char>(byte)]; });
}

// Spelled characters were made from bytes, so each can be read.
void change_alphabet(AlphabetStep step, PreTokenized& out) {
    std::string changed;
    for (Piece& piece : out.pieces) {
        const std::string_view text = out.text.substr(piece.begin, piece.end - piece.begin);
        const auto begin = static_cast<uint32_t>(changed.size());
        if (step.direction == AlphabetStep::Direction::Read) {
            changed += bytes_of_byte_level(text).value_or(std::string(text));
        } else {
            for (const char byte : text) {
                changed += byte_level_of(static_cast<uint8_t>(byte));
            }
        }
        piece = {begin, static_cast<uint32_t>(changed.size())};
    }
    std::swap(out.changed, changed);
    out.text = out.changed;
}

void write_signs(const SignStep& step, bool at_start, PreTokenized& out) {
    std::string changed;
    changed.reserve(out.text.size() + out.pieces.size() * step.sign.size());
    for (Piece& piece : out.pieces) {
        const std::string_view text = out.text.substr(piece.begin, piece.end - piece.begin);
        const bool is_first = at_start && piece.begin == 0;
        const auto begin = static_cast<uint32_t>(changed.size());
        const bool has_sign = text.starts_with(' ') || text.starts_with(step.sign);
        if (!has_sign && (step.before == SignStep::Before::EveryPiece ||
                          (step.before == SignStep::Before::FirstPiece && is_first))) {
            changed += step.sign;
        }
        for (size_t at = 0;;) {
            const size_t space = text.find(' ', at);
            changed += text.substr(at, space - at);
            if (space == std::string_view::npos) {
                break;
            }
            changed += step.sign;
            at = space + 1;
        }
        piece = {begin, static_cast<uint32_t>(changed.size())};
    }
    std::swap(out.changed, changed);
    out.text = out.changed;
}

}  // namespace

bool PreTokenizer::cuts_in_one_pass() const {
    const auto* step = steps_.size() == 1 ? std::get_if<CutStep>(&steps_[0]) : nullptr;
    return step != nullptr && whole_scanner(step->splitter) != nullptr &&
           keeps_whole_matches(*step);
}

size_t PreTokenizer::split_on(std::string_view text, size_t begin, size_t pieces_max,
                              std::vector<Piece>& out) const {
    const auto& step = std::get<CutStep>(steps_[0]);
    return cut_whole(step.splitter, ClassedText(text), begin, pieces_max, 0, out);
}

Result<void> PreTokenizer::split(std::string_view text, bool at_start, PreTokenized& out) const {
    out.text = text;
    out.pieces.clear();
    if (text.empty()) {
        return {};
    }
    out.pieces.push_back({0, static_cast<uint32_t>(text.size())});
    std::vector<Piece> before;
    for (const Step& step : steps_) {
        if (const auto* sign = std::get_if<SignStep>(&step)) {
            write_signs(*sign, at_start, out);
            continue;
        }
        if (const auto* alphabet = std::get_if<AlphabetStep>(&step)) {
            change_alphabet(*alphabet, out);
            continue;
        }
        const CutStep& cut_step = std::get<CutStep>(step);
        std::swap(before, out.pieces);
        out.pieces.clear();
        for (const Piece& piece : before) {
            if (stays_whole(cut_step, out.text.substr(piece.begin, piece.end - piece.begin))) {
                out.pieces.push_back(piece);
                continue;
            }
            WEIR_TRY(cut(cut_step, out.text.substr(piece.begin, piece.end - piece.begin),
                         piece.begin, out.pieces));
        }
    }
    return {};
}

}  // namespace weir::text
