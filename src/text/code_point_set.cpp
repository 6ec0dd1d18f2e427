#include "text/code_point_set.h"

#include <algorithm>

#include "text/unicode_tables.h"

namespace weir::text {
namespace {

constexpr char32_t kLast = 0x10FFFF;

}  // namespace

void CodePointSet::append(Range range) {
    if (!ranges_.empty() && range.first <= ranges_.back().last + 1) {
        ranges_.back().last = std::max(ranges_.back().last, range.last);
    } else {
        ranges_.push_back(range);
    }
}

CodePointSet CodePointSet::of(char32_t first, char32_t last) {
    CodePointSet set;
    set.append({first, last});
    return set;
}

CodePointSet CodePointSet::of_class(CharClass classes) {
    CodePointSet set;
    for (const tables::ClassRange& row : tables::kClasses) {
        if ((row.char_class & classes) != 0) {
            set.append({row.first, row.last});
        }
    }
    return set;
}

CodePointSet CodePointSet::of_set(CharSet chars) {
    CodePointSet set;
    for (const tables::CodePointRange& row : rows_of(chars)) {
        set.append({row.first, row.last});
    }
    return set;
}

CodePointSet CodePointSet::united(const CodePointSet& other) const {
    std::vector<Range> all(ranges_);
    all.insert(all.end(), other.ranges_.begin(), other.ranges_.end());
    std::ranges::sort(all, {}, &Range::first);
    CodePointSet set;
    for (const Range& range : all) {
        set.append(range);
    }
    return set;
}

CodePointSet CodePointSet::complement() const {
    CodePointSet set;
    char32_t next = 0;
    for (const Range& range : ranges_) {
        if (range.first > next) {
            set.append({next, range.first - 1});
        }
        next = range.last + 1;
    }
    if (next <= kLast) {
        set.append({next, kLast});
    }
    return set;
}

CodePointSet CodePointSet::intersected(const CodePointSet& other) const {
    return complement().united(other.complement()).complement();
}

}  // namespace weir::text
