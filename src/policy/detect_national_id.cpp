// What states number their people by, of the forms that can be told from other numbers.

#include <algorithm>
#include <string>

#include "policy/ascii.h"
#include "policy/detectors.h"
#include "policy/patterns.h"

namespace weir::policy {
namespace {

constexpr size_t kDigitsMin = 6;  // every national id has as many

// Spain's DNI and NIE: the letter is the number modulo 23.
bool is_spanish_id(std::string_view text) {
    constexpr std::string_view kLetters = "TRWAGMYFPDXBNJZSQVHLCKE";
    std::string number(text.substr(0, text.size() - 1));
    if (is_upper(number[0])) {
        number[0] = static_cast<char>('0' + (number[0] - 'X'));
    }
    return kLetters[std::stoul(number) % 23] == text.back();
}

bool holds_spanish_id(std::string_view text) {
    static const re2::RE2 pattern(R"(\b([XYZ]?\d{7,8}[- ]?[A-Z])\b)");
    re2::StringPiece rest = piece(text);
    re2::StringPiece match;
    while (re2::RE2::FindAndConsume(&rest, pattern, &match)) {
        std::string id;
        std::ranges::copy_if(view(match), std::back_inserter(id), is_alnum);
        if (id.size() == 9 && is_spanish_id(id)) {
            return true;
        }
    }
    return false;
}

// France's NIR: 13 digits and a key of 97 - n mod 97.
bool is_french_nir(std::string_view digits) {
    const uint64_t number = std::stoull(std::string(digits.substr(0, 13)));
    const uint64_t key = std::stoull(std::string(digits.substr(13, 2)));
    return (digits[0] == '1' || digits[0] == '2') && key == 97 - number % 97;
}

// Calls `use` with what stands around the numbers: most of a text is far from any.
template <typename Use>
void for_each_stretch(std::string_view text, const Numbers& numbers, Use use) {
    constexpr size_t kBefore = 48;
    constexpr size_t kAfter = 16;
    size_t begin = 0;
    size_t end = 0;
    for (size_t group = 0; group < numbers.groups.size(); ++group) {
        const size_t at = numbers.groups[group].at;
        const size_t from = at - std::min(at, kBefore);
        if (from > end || group == 0) {
            use(text.substr(begin, end - begin));
            begin = from;
        }
        end = std::min(at + numbers.size(group) + kAfter, text.size());
    }
    use(text.substr(begin, end - begin));
}

// A bare number is an id only where the words around it say so.
bool is_called_an_id(std::string_view around) {
    static const re2::RE2 pattern(
        R"((?i)\b(?:ssn|social security|bsn|burgerservicenummer|steuer-?(?:id|identifikation)\w*|)"
        R"(tax id|(?-i:TIN)|national id|passport|passeport|reisepass|ausweis\w*|aadhaar|nhs|cpf)\b)");
    return has_match(pattern, around);
}

// "passport C01X00T47"
bool holds_named_passport(std::string_view text) {
    static const re2::RE2 pattern(
        R"((?i)\b(?:passport|passeport|reisepass|ausweis\w*)\b[^\n]{0,24}?\b(?-i:([A-Z][A-Z0-9]{7,8}))\b)");
    re2::StringPiece rest = piece(text);
    re2::StringPiece match;
    while (re2::RE2::FindAndConsume(&rest, pattern, &match)) {
        if (std::ranges::count_if(view(match), is_digit) >= 4) {
            return true;
        }
    }
    return false;
}

// The run of groups [first, end), joined by blanks.
bool is_id(std::string_view text, const Numbers& numbers, size_t first, size_t end) {
    const std::string_view digits =
        std::string_view(numbers.digits)
            .substr(numbers.begin(first), numbers.end(end - 1) - numbers.begin(first));
    if (digits.size() == 15) {
        return is_french_nir(digits);
    }
    if (digits.size() == 11 && end - first == 4 && cpf_is_valid(digits)) {
        return true;
    }
    const bool fours = end - first == 3 && numbers.size(first) == 4 && numbers.size(first + 1) == 4;
    if (digits.size() == 12 && fours && digits[0] >= '2' && verhoeff_is_valid(digits)) {
        return true;
    }
    if (digits.size() < 8 || digits.size() > 12) {
        return false;
    }
    constexpr size_t kWordsBefore = 64;
    constexpr size_t kWordsAfter = 32;
    const size_t at = numbers.groups[first].at;
    const size_t from = at - std::min(at, kWordsBefore);
    const size_t last = numbers.groups[end - 1].at + numbers.size(end - 1);
    return is_called_an_id(text.substr(from, last + kWordsAfter - from));
}

// 3-2-4 of a US social security number with one sign between, where no list goes on.
bool is_ssn_in_signs(const Numbers& numbers, size_t group, std::string_view text) {
    if (group + 2 >= numbers.groups.size() || numbers.size(group) != 3 ||
        numbers.size(group + 1) != 2 || numbers.size(group + 2) != 4) {
        return false;
    }
    const DigitGroup& second = numbers.groups[group + 1];
    const DigitGroup& third = numbers.groups[group + 2];
    const auto goes_on = [&](const DigitGroup& other) {
        return other.before != Gap::Words && other.gap_hash == second.gap_hash;
    };
    const bool listed = text.substr(numbers.groups[group].at + 3, 2) == ", ";
    const std::string_view area = numbers.text(group);
    return !listed && second.before != Gap::Words && second.gap_hash == third.gap_hash &&
           third.before != Gap::Words && !goes_on(numbers.groups[group]) &&
           (group + 3 == numbers.groups.size() || !goes_on(numbers.groups[group + 3])) &&
           area != "000" && area != "666" && area[0] != '9' && numbers.text(group + 1) != "00" &&
           numbers.text(group + 2) != "0000";
}

}  // namespace

void detect_national_id(std::string_view folded, const Numbers& numbers, FindingSet& found) {
    if (numbers.digits.size() < kDigitsMin) {
        return;
    }
    // US social security; UK national insurance; Italy's codice fiscale; Swiss AHV.
    static const re2::RE2 shaped(
        R"(\b(?:\d{3}-\d{2}-\d{4}|[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D])"
        R"(|[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]|756\.\d{4}\.\d{4}\.\d{2})\b)");
    bool holds = false;
    for_each_stretch(folded, numbers, [&](std::string_view stretch) {
        holds = holds || has_match(shaped, stretch) || holds_spanish_id(stretch) ||
                holds_named_passport(stretch);
    });
    for (size_t first = 0; first < numbers.groups.size() && !holds;) {
        const size_t end = numbers.run_end(first, Gap::Blank);
        holds = is_id(folded, numbers, first, end);
        first = end;
    }
    for (size_t group = 0; group < numbers.groups.size() && !holds; ++group) {
        holds = is_ssn_in_signs(numbers, group, folded);
    }
    if (holds) {
        found.add(Finding::NationalId);
    }
}

}  // namespace weir::policy
