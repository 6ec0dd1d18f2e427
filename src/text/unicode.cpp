#include "text/unicode.h"

#include <algorithm>
#include <map>
#include <string>

#include "text/unicode_tables.h"

namespace weir::text {
namespace {

// The row of a table sorted by `first` whose range holds the code point, or nullptr.
template <typename Row>
const Row* find_range(std::span<const Row> rows, char32_t code_point) {
    const auto after =
        std::upper_bound(rows.begin(), rows.end(), code_point,
                         [](char32_t wanted, const Row& row) { return wanted < row.first; });
    if (after == rows.begin() || std::prev(after)->last < code_point) {
        return nullptr;
    }
    return &*std::prev(after);
}

}  // namespace

std::span<const tables::CodePointRange> rows_of(CharSet set) {
    switch (set) {
        case CharSet::WordExtras:
            return tables::kWordExtras;
        case CharSet::ReferencePunctuation:
            return tables::kReferencePunctuation;
        case CharSet::ReferenceNonspacing:
            return tables::kReferenceNonspacing;
        case CharSet::ReferenceMarks:
            return tables::kReferenceMarks;
        case CharSet::ReferenceOther:
            return tables::kReferenceOther;
        case CharSet::Han:
            return tables::kHan;
        case CharSet::DecimalDigits:
            return tables::kDecimalDigits;
        case CharSet::GraphemeExtend:
            return tables::kGraphemeExtend;
        case CharSet::GraphemePrepend:
            return tables::kGraphemePrepend;
        case CharSet::GraphemeControl:
            return tables::kGraphemeControl;
    }
    return {};
}

bool is_in(CharSet set, char32_t code_point) {
    return find_range(rows_of(set), code_point) != nullptr;
}

const CharTable& CharTable::get() {
    static const CharTable table;
    return table;
}

// Equal blocks are stored once: most of the planes are empty or one script.
CharTable::CharTable() {
    constexpr size_t kBlock = size_t{1} << kBlockBits;
    std::vector<CharClass> flat(0x110000, 0);
    for (const tables::ClassRange& range : tables::kClasses) {
        std::fill(flat.begin() + range.first, flat.begin() + range.last + 1, range.char_class);
    }
    std::map<std::string, uint16_t> known;
    for (size_t block = 0; block < block_of_.size(); ++block) {
        const auto begin = flat.begin() + static_cast<ptrdiff_t>(block * kBlock);
        const std::string content(begin, begin + kBlock);
        const auto [entry, added] =
            known.try_emplace(content, static_cast<uint16_t>(blocks_.size() / kBlock));
        if (added) {
            blocks_.insert(blocks_.end(), content.begin(), content.end());
        }
        block_of_[block] = entry->second;
    }
    std::copy_n(flat.begin(), 0x80, ascii_.begin());
}

char32_t to_lower(char32_t code_point) {
    if (code_point < 0x80) {
        const bool upper = code_point >= U'A' && code_point <= U'Z';
        return upper ? code_point + (U'a' - U'A') : code_point;
    }
    const tables::LowercaseRange* row = find_range(tables::kLowercases, code_point);
    if (row == nullptr || (code_point - row->first) % row->step != 0) {
        return code_point;
    }
    return static_cast<char32_t>(static_cast<int32_t>(code_point) + row->delta);
}

uint8_t combining_class(char32_t code_point) {
    const tables::CombiningRange* row = find_range(tables::kCombiningClasses, code_point);
    return row == nullptr ? uint8_t{0} : row->combining_class;
}

}  // namespace weir::text
