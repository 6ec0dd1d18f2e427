#include <algorithm>

#include "policy/ascii.h"
#include "policy/unwrap.h"

namespace weir::policy {
namespace {

constexpr size_t kLettersMin = 10;
constexpr size_t kGapBytesMax = 4;

// The characters that stand alone from `at` on with the same `gap` bytes between each two.
std::string spelled_at(std::string_view text, size_t at, size_t gap) {
    const std::string_view between = text.substr(at + 1, gap);
    std::string said(1, text[at]);
    if (between.size() < gap || std::ranges::any_of(between, is_alnum)) {
        return said;
    }
    while (at + 1 + gap < text.size() && text.substr(at + 1, gap) == between) {
        at += 1 + gap;
        if (is_blank(text[at])) {
            break;
        }
        said.push_back(text[at]);
    }
    return said;
}

}  // namespace

void unwrap_spelled(std::string_view text, Unwrapped& out) {
    for (size_t at = 0; at + 2 < text.size(); ++at) {
        const bool alone =
            (at == 0 || !is_alnum(text[at - 1])) && is_alnum(text[at]) && !is_alnum(text[at + 1]);
        if (!alone) {
            continue;
        }
        std::string longest;
        size_t bytes = 0;
        for (size_t gap = 1; gap <= kGapBytesMax; ++gap) {
            std::string said = spelled_at(text, at, gap);
            if (said.size() > longest.size()) {
                bytes = (said.size() - 1) * (gap + 1);
                longest = std::move(said);
            }
        }
        // Rows of digits alone are the business of the detectors of numbers.
        if (longest.size() >= kLettersMin && std::ranges::any_of(longest, is_letter)) {
            out.plain.push_back(std::move(longest));
        }
        at += bytes;
    }
}

}  // namespace weir::policy
