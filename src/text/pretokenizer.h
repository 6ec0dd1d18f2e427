#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "text/pattern.h"

namespace weir::text {

// One way to cut a text before merging. Those of the first group are a whole tokenizer's pattern
// and leave nothing between their matches; those of the second cut out what they match and leave
// the rest to the next splitter.
enum class Splitter : uint8_t {
    Gpt2,        // 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
    Cl100k,      // contractions in any case, a character before a word, \p{N}{1,3} (Llama 3 too)
    Qwen2,       // the same with \p{N} one at a time
    Qwen35,      // the same with marks inside of words
    O200k,       // words by case, contractions at their end, \p{N}{1,3}
    Tekken,      // words by case, \p{N} one at a time
    DeepSeekV3,  // punctuation with an ASCII word, words with marks, \p{P} and \p{S} runs

    NewlineCharacters,     // [\r\n]
    CasedWords,            // \s?[letters of DeepSeek's list of cased scripts]+
    AnyWords,              // \s?\p{L}+
    AsciiWidePunctuation,  // \s?[!-/:-~！-／：-～‘-‟　-。]+
    AnyPunctuation,        // \s?\p{P}+
    TrailingSpace,         // \s+$
    CjkHangul,             // [一-龥ࠀ-一가-퟿]+
    CjkKana,               // [一-龥぀-ゟ゠-ヿ]+
    Digits,                // \p{N}, each alone
    DigitRuns,             // \p{N}+
    DigitTriples,          // \p{N}{1,3}
    AsciiDigitTriples,     // [0-9][0-9][0-9]
    PunctuationRuns,       // [\p{P}\$\+<=>\^~\|`]+

    // Steps of tokenizer.json that are no patterns there.
    Literal,                  // the text of the step, wherever it stands
    Pattern,                  // the pattern of the step
    Spaces,                   // \s, each alone
    Words,                    // \w+|[^\w\s]+
    ReferencePunctuation,     // each alone
    GroupsOfThree,            // \p{N}{1,3} counted from the end of their run
    GroupsOfThreeAtBoundary,  // the same with \d, where no word character follows the run
    LineRuns,                 // [^\n]+|[\n]+
};

inline constexpr size_t kSplitters = static_cast<size_t>(Splitter::LineRuns) + 1;

// What becomes of the matches (where inverted: of what stands between them).
enum class SplitBehavior : uint8_t {
    Isolated,
    Removed,
    MergedWithPrevious,
    MergedWithNext,
    Contiguous,  // with their neighbours of the same kind
};

struct Piece {
    uint32_t begin;
    uint32_t end;
    friend bool operator==(const Piece&, const Piece&) = default;
};

// Cuts every piece that the step before it left.
struct CutStep {
    Splitter splitter;
    SplitBehavior behavior = SplitBehavior::Isolated;
    bool inverted = false;
    std::string literal = {};  // of Literal, and how the pattern of Pattern is written
    std::shared_ptr<const Pattern> pattern = {};
};

// Writes every space of a piece as `sign` and puts one before a piece that has none there.
struct SignStep {
    enum class Before : uint8_t { Never, FirstPiece, EveryPiece };
    std::string sign;
    Before before = Before::Never;
};

// Spells every byte as the character that GPT-2's alphabet has for it, or reads such a text back.
struct AlphabetStep {
    enum class Direction : uint8_t { Spell, Read };
    Direction direction;
};

// A text in pieces; `text` is the one that was given, or lies in here.
struct PreTokenized {
    std::string_view text;
    std::vector<Piece> pieces;
    std::string changed;
};

// Cuts text into the pieces that merges never cross, by hand-written scanners: every character is
// looked at a bounded number of times, whatever the text. Patterns that have no scanner run as
// automata. Bytes that are no UTF-8 count as characters that are neither letter, number nor space.
//
// Threads: immutable.
class PreTokenizer {
  public:
    using Step = std::variant<CutStep, SignStep, AlphabetStep>;

    // No steps: the text is one piece.
    PreTokenizer() = default;
    explicit PreTokenizer(std::vector<Step> steps) : steps_(std::move(steps)) {}

    // For `tokenizer.ggml.pre`. Errors: Unsupported, with the name.
    static Result<PreTokenizer> of_gguf_name(std::string_view name);
    // The names there that stand for these cuts; none where there are none.
    static std::span<const std::string_view> gguf_names_of(std::span<const Step> steps);
    // For the pattern of a Split in tokenizer.json. Errors: Unsupported, with the pattern.
    static Result<CutStep> of_pattern(std::string_view pattern);

    bool empty() const { return steps_.empty(); }

    // Whether one scanner cuts the text by itself, so that split_on may be used.
    bool cuts_in_one_pass() const;
    // Appends up to `pieces_max` pieces of the text, from the one that begins at `begin` on, and
    // returns where the next one would begin. For texts whose pieces would not fit the caches.
    size_t split_on(std::string_view text, size_t begin, size_t pieces_max,
                    std::vector<Piece>& out) const;

    // The pieces in order; none is empty. `at_start`: the text is the beginning of a whole one.
    // `text` is shorter than 4 GiB. Errors: TooLarge where a pattern would look at the characters
    // of this text again and again.
    Result<void> split(std::string_view text, bool at_start, PreTokenized& out) const;

  private:
    std::vector<Step> steps_;
};

}  // namespace weir::text
