#include "policy/numbers.h"

#include <unicode/uchar.h>

#include "base/utf8.h"
#include "policy/ascii.h"

namespace weir::policy {
namespace {

constexpr size_t kBlankGapBytesMax = 3;
constexpr size_t kSymbolGapBytesMax = 96;  // a table's padding, a quoted mail's margin

bool is_inside_numbers(char c) {
    constexpr std::string_view kSeparators = " -./_\n\r\t";
    return kSeparators.find(c) != std::string_view::npos;
}

Gap gap_of(std::string_view between) {
    if (between.size() > kSymbolGapBytesMax) {
        return Gap::Words;
    }
    bool blank = between.size() <= kBlankGapBytesMax;
    for (size_t at = 0; at < between.size();) {
        const char c = between[at];
        if (static_cast<unsigned char>(c) < 0x80) {
            if (is_alnum(c)) {
                return Gap::Words;
            }
            blank = blank && is_inside_numbers(c);
            ++at;
            continue;
        }
        const utf8::Decoded next = utf8::decode(between, at);
        if (u_isalpha(static_cast<UChar32>(next.code_point)) != 0) {
            return Gap::Words;
        }
        blank = false;
        at += next.bytes;
    }
    return blank ? Gap::Blank : Gap::Symbols;
}

uint32_t hash_of(std::string_view bytes) {  // FNV-1a
    uint32_t hash = 2166136261u;
    for (const char c : bytes) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
    }
    return hash;
}

}  // namespace

size_t Numbers::run_end(size_t group, Gap widest) const {
    size_t next = group + 1;
    while (next < groups.size() && groups[next].before <= widest) {
        ++next;
    }
    return next;
}

Numbers numbers_of(std::string_view folded) {
    Numbers out;
    size_t last_end = 0;
    for (size_t at = 0; at < folded.size();) {
        if (!is_digit(folded[at])) {
            ++at;
            continue;
        }
        size_t end = at;
        while (end < folded.size() && is_digit(folded[end])) {
            ++end;
        }
        DigitGroup group{.first = static_cast<uint32_t>(out.digits.size()),
                         .at = static_cast<uint32_t>(at)};
        if (!out.groups.empty()) {
            const std::string_view between = folded.substr(last_end, at - last_end);
            group.before = gap_of(between);
            group.in_sum = group.before != Gap::Words && kSumSigns.has_any(between);
            group.gap_hash = group.before == Gap::Words ? 0 : hash_of(between);
        }
        out.groups.push_back(group);
        out.digits.append(folded, at, end - at);
        last_end = at = end;
    }
    return out;
}

}  // namespace weir::policy
