#pragma once

#include <cstdint>
#include <span>

#include "text/unicode.h"

// The rows of unicode_tables.cpp, as the generator writes them. Only unicode.cpp,
// code_point_set.cpp and normalize.cpp read them.
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

// `count` characters of kCompatibilityText from `offset` on: all of the decomposition, where it is
// not the canonical one.
struct Compatibility {
    char32_t code_point;
    uint32_t offset;
    uint32_t count;
};

struct CodePointRange {
    char32_t first;
    char32_t last;
};

extern const std::span<const ClassRange> kClasses;
extern const std::span<const CombiningRange> kCombiningClasses;
extern const std::span<const Decomposition> kDecompositions;
extern const std::span<const char32_t> kCompatibilityText;
extern const std::span<const Compatibility> kCompatibilities;
extern const std::span<const LowercaseRange> kLowercases;

extern const std::span<const CodePointRange> kWordExtras;
extern const std::span<const CodePointRange> kReferencePunctuation;
extern const std::span<const CodePointRange> kReferenceNonspacing;
extern const std::span<const CodePointRange> kReferenceMarks;
extern const std::span<const CodePointRange> kReferenceOther;
extern const std::span<const CodePointRange> kHan;
extern const std::span<const CodePointRange> kDecimalDigits;
extern const std::span<const CodePointRange> kGraphemeExtend;
extern const std::span<const CodePointRange> kGraphemePrepend;
extern const std::span<const CodePointRange> kGraphemeControl;

}  // namespace weir::text::tables
