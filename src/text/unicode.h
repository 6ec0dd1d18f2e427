#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace weir::text {

namespace tables {
struct CodePointRange;
}

// What the pre-tokenizers need to know of a character, one bit each; the classes are disjoint.
//   \p{L} = kLetter   [\p{Lu}\p{Lt}] = kUpper   \p{Ll} = kLower   [\p{Lm}\p{Lo}] = kCaseless
//   \p{M} = kMark     \p{N} = kNumber           \p{P} = kPunctuation   \p{S} = kSymbol
//   \s (White_Space) = kSpace                   everything else: 0
using CharClass = uint8_t;
inline constexpr CharClass kUpper = 1;
inline constexpr CharClass kLower = 2;
inline constexpr CharClass kCaseless = 4;
inline constexpr CharClass kMark = 8;
inline constexpr CharClass kNumber = 16;
inline constexpr CharClass kSpace = 32;
inline constexpr CharClass kPunctuation = 64;
inline constexpr CharClass kSymbol = 128;
inline constexpr CharClass kLetter = kUpper | kLower | kCaseless;

// The classes of all code points, as a two-stage table (about 50 KiB). The Unicode version stands
// at the top of unicode_tables.cpp.
//
// Threads: immutable.
class CharTable {
  public:
    static const CharTable& get();

    // Of the character that is one byte; 0 for every other byte.
    CharClass ascii(uint8_t byte) const { return ascii_[byte]; }
    CharClass of(char32_t code_point) const {
        if (code_point > 0x10FFFF) {
            return 0;
        }
        return blocks_[size_t{block_of_[code_point >> kBlockBits]} << kBlockBits |
                       (code_point & kBlockMask)];
    }

  private:
    CharTable();

    static constexpr unsigned kBlockBits = 7;
    static constexpr char32_t kBlockMask = (1U << kBlockBits) - 1;
    std::array<uint16_t, (0x110000U >> kBlockBits)> block_of_;
    std::vector<CharClass> blocks_;  // block 0 is ASCII
    std::array<CharClass, 256> ascii_{};
};

// Sets of characters that only some tokenizers ask for; looking one up is a binary search. Those
// that are called Reference are as old as the reference tokenizers' own tables.
enum class CharSet : uint8_t {
    WordExtras,            // \w beyond letters and marks: digits, connectors, joiners
    ReferencePunctuation,  // \p{P} and all ASCII signs
    ReferenceNonspacing,   // \p{Mn}
    ReferenceMarks,        // \p{M}
    ReferenceOther,        // controls, format characters, private use
    Han,
    DecimalDigits,
    GraphemeExtend,  // joins the character before it: Extend, ZWJ, SpacingMark
    GraphemePrepend,
    GraphemeControl,
};
bool is_in(CharSet set, char32_t code_point);
std::span<const tables::CodePointRange> rows_of(CharSet set);

// The simple lower case of one code point (itself if it has none).
char32_t to_lower(char32_t code_point);

// Canonical combining class.
uint8_t combining_class(char32_t code_point);

}  // namespace weir::text
