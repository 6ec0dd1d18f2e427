#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::text {

// A regular expression out of some tokenizer.json, as Oniguruma reads it (its Ruby syntax; that is
// what the reference tokenizers use), turned into an automaton when it is read: finding a match
// looks at every character once and never backtracks. The patterns that nearly everybody uses have
// scanners of their own (pretokenizer.h); this is for all others.
//
// What it knows: alternatives, groups, (?i:…), classes with ranges, negation, && and nesting,
// \s \d \w \p{…} and their complements, greedy and lazy repeats, possessive ones of one character,
// looking ahead at one character, $ and \z. Everything else is refused by its name: back
// references, looking behind, anchors at the beginning.
//
// Threads: immutable.
class Pattern {
  public:
    // Errors: Unsupported for what is not known or too large; DataCorrupt for what is no pattern,
    // or one that can match nothing.
    static Result<Pattern> create(std::string_view pattern);

    // The end of the match that begins at `at` (the first alternative that matches wins, as in a
    // backtracking engine), or nothing. Adds how many characters it looked at to `steps`.
    std::optional<size_t> match_at(std::string_view text, size_t at, uint64_t& steps) const;
    // False where no match begins with this byte of a text.
    bool may_begin(char byte) const {
        const auto first = static_cast<unsigned char>(byte);
        return first >= 0x80 || transitions_[classes_ + 1 + ascii_class_[first]].next != 0;
    }

  private:
    struct Transition {
        uint16_t next = 0;     // state 0 has no way on
        bool matched = false;  // before the character that leads here
    };
    uint8_t class_at(std::string_view text, size_t at, uint32_t& bytes) const;

    friend class PatternCompiler;
    static constexpr unsigned kBlockBits = 7;
    uint32_t classes_ = 0;  // of characters; one more stands for the end of the text
    std::array<uint8_t, 128> ascii_class_{};
    std::vector<uint16_t> block_of_;  // as in CharTable
    std::vector<uint8_t> blocks_;
    uint8_t invalid_class_ = 0;  // of bytes that are no UTF-8
    std::vector<Transition> transitions_;
};

}  // namespace weir::text
