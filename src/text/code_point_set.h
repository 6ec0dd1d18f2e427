#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "text/unicode.h"

namespace weir::text {

// A set of code points as sorted, disjoint, not touching ranges. Made while a pattern is read.
class CodePointSet {
  public:
    struct Range {
        char32_t first;
        char32_t last;
        friend bool operator==(const Range&, const Range&) = default;
    };

    static CodePointSet of(char32_t first, char32_t last);
    static CodePointSet of_class(CharClass classes);  // any of them
    static CodePointSet of_set(CharSet set);

    CodePointSet united(const CodePointSet& other) const;
    CodePointSet complement() const;
    CodePointSet intersected(const CodePointSet& other) const;
    CodePointSet without(const CodePointSet& other) const {
        return intersected(other.complement());
    }

    bool empty() const { return ranges_.empty(); }
    std::span<const Range> ranges() const { return ranges_; }
    friend bool operator==(const CodePointSet&, const CodePointSet&) = default;

  private:
    void append(Range range);  // not before the last one

    std::vector<Range> ranges_;
};

}  // namespace weir::text
