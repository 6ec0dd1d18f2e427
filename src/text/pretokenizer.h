#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"

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
    MetaspaceWords,        // before every ▁
};

// Cuts text into the pieces that merges never cross, by hand-written scanners: every character is
// looked at a bounded number of times, whatever the text. Bytes that are no UTF-8 count as
// characters that are neither letter, number nor space.
//
// Threads: immutable.
class PreTokenizer {
  public:
    // No splitters: the text is one piece.
    PreTokenizer() = default;
    // Each splitter cuts the pieces that the one before it left.
    explicit PreTokenizer(std::vector<Splitter> splitters) : splitters_(std::move(splitters)) {}

    // For `tokenizer.ggml.pre`. Errors: Unsupported, with the name.
    static Result<PreTokenizer> of_gguf_name(std::string_view name);
    // For the pattern of a Split in tokenizer.json. Errors: Unsupported, with the pattern.
    static Result<Splitter> of_pattern(std::string_view pattern);

    // Appends the end of every piece, in order; the last one is text.size(). An empty text has no
    // pieces. `text` is shorter than 4 GiB.
    void split(std::string_view text, std::vector<uint32_t>& ends) const;

  private:
    std::vector<Splitter> splitters_;
};

}  // namespace weir::text
