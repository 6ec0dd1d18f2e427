#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "policy/ascii.h"

namespace weir::policy {

// What stands between two groups of digits.
enum class Gap : uint8_t {
    Blank,    // up to three of the characters that people put inside one number
    Symbols,  // other signs, and longer gaps: still no letter and no digit
    Words,    // letters, too much of anything, or the beginning of the text
};

// Who writes these between numbers counts with them.
inline constexpr CharSet kSumSigns("=*+$<");

struct DigitGroup {
    uint32_t first = 0;  // its first digit, as an index into Numbers::digits
    uint32_t at = 0;     // the same digit's place in the text
    Gap before = Gap::Words;
    bool in_sum = false;    // that gap holds a sign of arithmetic or money
    uint32_t gap_hash = 0;  // of the bytes between it and the group before it
};

// The digits of a text in one string, and where they stood. Every detector of numbers looks here,
// so that what was put between the digits is judged in one place.
struct Numbers {
    std::string digits;
    std::vector<DigitGroup> groups;  // ascending

    size_t begin(size_t group) const { return groups[group].first; }
    size_t end(size_t group) const {
        return group + 1 < groups.size() ? groups[group + 1].first : digits.size();
    }
    size_t size(size_t group) const { return end(group) - begin(group); }
    std::string_view text(size_t group) const {
        return std::string_view(digits).substr(begin(group), size(group));
    }
    // One past the last group that hangs together with `group` by gaps no wider than `widest`.
    size_t run_end(size_t group, Gap widest) const;
};

// Linear in `folded`, which has at most 4 GiB.
Numbers numbers_of(std::string_view folded);

}  // namespace weir::policy
