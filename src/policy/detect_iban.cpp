#include <array>
#include <optional>
#include <string>

#include "policy/ascii.h"
#include "policy/detectors.h"

namespace weir::policy {
namespace {

constexpr size_t kLetterGapBytesMax = 4;  // between the country's letters and the check digits
constexpr size_t kGapBytesMax = 12;       // between later characters
constexpr size_t kDigitsMin = 10;         // of the shortest: what has fewer is a sentence

// The letter before `at`, over a few signs.
std::optional<size_t> letter_before(std::string_view text, size_t at) {
    for (size_t back = 1; back <= kLetterGapBytesMax && back <= at; ++back) {
        const char c = text[at - back];
        if (is_letter(c)) {
            return at - back;
        }
        if (is_digit(c)) {
            return std::nullopt;
        }
    }
    return std::nullopt;
}

// `length` letters and digits from `begin` on, in capitals; shorter if they stand too far apart.
std::string candidate_at(std::string_view text, size_t begin, size_t length) {
    std::string candidate;
    size_t gap = 0;
    for (size_t i = begin; i < text.size() && candidate.size() < length && gap <= kGapBytesMax;
         ++i) {
        if (is_alnum(text[i])) {
            candidate.push_back(capital(text[i]));
            gap = 0;
        } else if (kSumSigns.has(text[i])) {
            break;
        } else {
            ++gap;
        }
    }
    return candidate;
}

bool is_iban_at(std::string_view text, size_t check_digits) {
    const auto second = letter_before(text, check_digits);
    const auto first = second ? letter_before(text, *second) : std::nullopt;
    if (!first) {
        return false;
    }
    // "had 16" is no Andorran account; "IBANDE89" is one.
    const bool glued = *first > 0 && is_letter(text[*first - 1]);
    if (glued && !(is_upper(text[*first]) && is_upper(text[*second]))) {
        return false;
    }
    const std::array<char, 2> country = {capital(text[*first]), capital(text[*second])};
    const size_t length = iban_characters({country.data(), country.size()});
    if (length == 0) {
        return false;
    }
    std::string candidate = candidate_at(text, check_digits, length - 2);
    candidate.insert(candidate.begin(), country.begin(), country.end());
    size_t digits = 0;
    for (const char c : candidate) {
        digits += is_digit(c) ? 1 : 0;
    }
    return digits >= kDigitsMin && iban_is_valid(candidate);
}

}  // namespace

void detect_iban(std::string_view folded, const Numbers& numbers, FindingSet& found) {
    if (numbers.digits.size() < kDigitsMin) {
        return;
    }
    for (const DigitGroup& group : numbers.groups) {
        if (is_iban_at(folded, group.at)) {
            found.add(Finding::Iban);
            return;
        }
    }
}

}  // namespace weir::policy
