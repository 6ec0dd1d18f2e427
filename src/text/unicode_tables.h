#pragma once

#include <cstdint>
#include <span>

#include "text/unicode.h"

// The rows of unicode_tables.cpp, as the generator writes them. Only unicode.cpp and normalize.cpp
// read them.
namespace weir::text::tables {

struct ClassRange {
    char32_t first;
    char32_t last;
    CharClass char_class;
};

struct CombiningRange {
    char32_t first;
    char32_t last;
    uint8_t combining_class;
};

// One step; `second` is 0 for a singleton.
struct Decomposition {
    char32_t code_point;
    char32_t first;
    char32_t second;
    bool composes;  // NFC puts the pair together again
};

// Every `step`-th code point of [first, last] has its lower case `delta` further.
struct LowercaseRange {
    char32_t first;
    char32_t last;
    int32_t delta;
    uint32_t step;
};

extern const std::span<const ClassRange> kClasses;
extern const std::span<const CombiningRange> kCombiningClasses;
extern const std::span<const Decomposition> kDecompositions;
extern const std::span<const LowercaseRange> kLowercases;

}  // namespace weir::text::tables
