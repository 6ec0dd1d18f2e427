#include "policy/detectors.h"

#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/check.h"

namespace weir::policy {
namespace {

// Every pattern below is RE2: time linear in the text, whoever wrote the text.
bool has_match(const re2::RE2& pattern, std::string_view text) {
    return re2::RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), pattern);
}

std::string only(std::string_view text, bool (*keep)(char)) {
    std::string out;
    std::copy_if(text.begin(), text.end(), std::back_inserter(out), keep);
    return out;
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}
bool is_alnum(char c) {
    return is_digit(c) || is_upper(c) || (c >= 'a' && c <= 'z');
}

char capital(char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

// A maximal run of digits that up to three separators in a row may interrupt.
struct DigitRun {
    std::string digits;
    std::vector<size_t> group_starts;  // indices into digits, and the end
};

template <typename Check>
bool any_digit_run(std::string_view text, Check check) {
    DigitRun run;
    size_t gap = 0;
    for (size_t i = 0; i <= text.size(); ++i) {
        const char c = i < text.size() ? text[i] : '\0';
        if (is_digit(c)) {
            if (gap > 0 || run.digits.empty()) {
                run.group_starts.push_back(run.digits.size());
            }
            run.digits.push_back(c);
            gap = 0;
            continue;
        }
        constexpr std::string_view kSeparators = " -./_\n\r\t";
        if (!run.digits.empty() && kSeparators.find(c) != std::string_view::npos && ++gap <= 3) {
            continue;
        }
        if (!run.digits.empty()) {
            run.group_starts.push_back(run.digits.size());
            if (check(run)) {
                return true;
            }
        }
        run = {};
        gap = 0;
    }
    return false;
}

// The first digits of the card networks (ISO/IEC 7812): Visa, Mastercard, Amex, Discover, Diners,
// JCB, UnionPay, Maestro. Without them one random number in ten would pass Luhn.
bool has_card_prefix(std::string_view digits) {
    const int two = (digits[0] - '0') * 10 + (digits[1] - '0');
    const int four = two * 100 + (digits[2] - '0') * 10 + (digits[3] - '0');
    switch (digits.size()) {
        case 13:
            return digits[0] == '4';
        case 14:
            return two == 36 || two == 38 || two == 39 || (four >= 3000 && four <= 3059);
        case 15:
            return two == 34 || two == 37;
        case 16:
            return digits[0] == '4' || (two >= 51 && two <= 55) || (four >= 2221 && four <= 2720) ||
                   four == 6011 || two == 65 || (four >= 6440 && four <= 6499) ||
                   (four >= 3528 && four <= 3589) || two == 62 || two == 36 || two == 81 ||
                   (two >= 56 && two <= 58) || two == 50 || two == 67;
        default:
            return digits[0] == '4' || two == 62 || two == 50 || (two >= 56 && two <= 58) ||
                   two == 67 || two == 63 || two == 65;
    }
}

// Whether digits [begin, end) of the run are grouped as people write one number: all groups alike
// ("4 1 1 1 …"), or none short ("4111 1111 …"). A count from 1 to 20 is not.
bool is_grouped_as_one_number(const DigitRun& run, size_t begin, size_t end) {
    size_t shortest = run.digits.size();
    size_t longest = 0;
    for (size_t i = 0; i + 1 < run.group_starts.size(); ++i) {
        const size_t from = std::max(begin, run.group_starts[i]);
        const size_t to = std::min(end, run.group_starts[i + 1]);
        if (from < to) {
            shortest = std::min(shortest, to - from);
            longest = std::max(longest, to - from);
        }
    }
    return shortest == longest || shortest >= 3;
}

// A card may be glued to other digits, so every window of a card's length counts; in a long list of
// numbers, where chance would find one, only windows that begin and end where a number does.
bool holds_card(const DigitRun& run) {
    constexpr std::array<size_t, 6> kLengths = {16, 15, 14, 13, 19, 18};
    constexpr size_t kGluedDigitsMax = 40;
    const std::string_view digits = run.digits;
    const auto at_edge = [&](size_t index) {
        return std::binary_search(run.group_starts.begin(), run.group_starts.end(), index);
    };
    for (const size_t length : kLengths) {
        for (size_t at = 0; at + length <= digits.size(); ++at) {
            const std::string_view window = digits.substr(at, length);
            const bool counts =
                digits.size() <= kGluedDigitsMax || (at_edge(at) && at_edge(at + length));
            if (counts && has_card_prefix(window) && luhn_is_valid(window) &&
                is_grouped_as_one_number(run, at, at + length)) {
                return true;
            }
        }
    }
    return false;
}

// Spain's DNI and NIE: the letter is the number modulo 23.
bool is_spanish_id(std::string_view text) {
    constexpr std::string_view kLetters = "TRWAGMYFPDXBNJZSQVHLCKE";
    std::string number(text.substr(0, text.size() - 1));
    if (is_upper(number[0])) {
        number[0] = static_cast<char>('0' + (number[0] - 'X'));
    }
    return kLetters[std::stoul(number) % 23] == text.back();
}

// France's NIR: 13 digits and a key of 97 - n mod 97.
bool is_french_nir(std::string_view digits) {
    const uint64_t number = std::stoull(std::string(digits.substr(0, 13)));
    const uint64_t key = std::stoull(std::string(digits.substr(13, 2)));
    return (digits[0] == '1' || digits[0] == '2') && key == 97 - number % 97;
}

bool holds_spanish_id(std::string_view text) {
    static const re2::RE2 pattern(R"(\b([XYZ]?\d{7,8}[- ]?[A-Z])\b)");
    re2::StringPiece rest(text.data(), text.size());
    re2::StringPiece match;
    while (re2::RE2::FindAndConsume(&rest, pattern, &match)) {
        const std::string id = only({match.data(), match.size()}, is_alnum);
        if (id.size() == 9 && is_spanish_id(id)) {
            return true;
        }
    }
    return false;
}

constexpr size_t kIbanCharactersMax = 34;

constexpr std::string_view kIbanSeparators = " -.\n";

bool is_iban_separator(char c) {
    return kIbanSeparators.find(c) != std::string_view::npos;
}

// Where the country's two letters begin if `digits` is where an IBAN's check digits stand, behind
// them or behind one separator.
std::optional<size_t> iban_begin(std::string_view text, size_t digits) {
    const auto are_letters = [&](size_t at) {
        return is_alnum(text[at]) && is_alnum(text[at + 1]) && !is_digit(text[at]) &&
               !is_digit(text[at + 1]);
    };
    if (digits >= 2 && are_letters(digits - 2)) {
        return digits - 2;
    }
    if (digits >= 3 && is_iban_separator(text[digits - 1]) && are_letters(digits - 3)) {
        return digits - 3;
    }
    return std::nullopt;
}

// The letters and digits from here on, in capitals; two separators may stand together.
std::string iban_candidate(std::string_view text) {
    std::string candidate;
    size_t gap = 0;
    for (size_t i = 0; i < text.size() && candidate.size() < kIbanCharactersMax && gap <= 2; ++i) {
        const char c = text[i];
        if (is_alnum(c)) {
            candidate.push_back(capital(c));
            gap = 0;
        } else if (is_iban_separator(c)) {
            ++gap;
        } else {
            break;
        }
    }
    return candidate;
}

// Every IBAN and every national id has as many.
bool has_six_digits(std::string_view text) {
    size_t count = 0;
    return std::any_of(text.begin(), text.end(),
                       [&count](char c) { return is_digit(c) && ++count == 6; });
}

}  // namespace

std::string_view name(Finding finding) {
    switch (finding) {
        case Finding::Email:
            return "email";
        case Finding::PaymentCard:
            return "payment_card";
        case Finding::Iban:
            return "iban";
        case Finding::Phone:
            return "phone";
        case Finding::NationalId:
            return "national_id";
        case Finding::Secret:
            return "secret";
        case Finding::Unreadable:
            return "unreadable";
    }
    WEIR_ASSERT(false);
}

void detect_email(std::string_view folded, FindingSet& found) {
    static const re2::RE2 pattern(
        R"((?i)[\pL\pN._%+\-]+\s?(?:@|\(at\)|\[at\]|\{at\})\s?[\pL\pN\-]+(?:\s?(?:\.|\(dot\)|\[dot\])\s?[\pL\pN\-]+)*\s?(?:\.|\(dot\)|\[dot\])\s?\pL{2,})");
    if (has_match(pattern, folded)) {
        found.add(Finding::Email);
    }
}

void detect_payment_card(std::string_view folded, FindingSet& found) {
    if (any_digit_run(folded, holds_card)) {
        found.add(Finding::PaymentCard);
    }
}

void detect_iban(std::string_view folded, FindingSet& found) {
    for (size_t digits = 0; digits + 1 < folded.size(); ++digits) {
        if (!is_digit(folded[digits]) || !is_digit(folded[digits + 1])) {
            continue;
        }
        const auto begin = iban_begin(folded, digits);
        if (!begin) {
            continue;
        }
        const std::array<char, 2> country = {capital(folded[*begin]), capital(folded[*begin + 1])};
        const size_t length = iban_characters({country.data(), country.size()});
        if (length == 0) {
            continue;
        }
        // Words may follow the number.
        const std::string candidate = iban_candidate(folded.substr(*begin));
        if (length <= candidate.size() &&
            iban_is_valid(std::string_view(candidate).substr(0, length))) {
            found.add(Finding::Iban);
            return;
        }
    }
}

void detect_phone(std::string_view folded, FindingSet& found) {
    // International with a plus or 00; North American; national with a leading zero and groups.
    static const re2::RE2 pattern(
        R"((?:^|[^\d.])(?:(?:\+|\b00)[1-9]\d{0,2}(?:[ .\-/()]{0,3}\d){6,12})"
        R"(|(?:1[ .\-])?(?:\(\d{3}\) ?|\d{3}[.\- ])\d{3}[.\- ]\d{4})"
        R"(|0\d{1,5}[ /\-.]{1,3}\d{2,4}(?:[ \-./]?\d{2,4}){1,4})(?:[^\d]|$))");
    if (has_match(pattern, folded)) {
        found.add(Finding::Phone);
    }
}

void detect_national_id(std::string_view folded, FindingSet& found) {
    // US social security; UK national insurance; Italy's codice fiscale; Swiss AHV.
    static const re2::RE2 shaped(
        R"(\b(?:\d{3}-\d{2}-\d{4}|[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D])"
        R"(|[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]|756\.\d{4}\.\d{4}\.\d{2})\b)");
    // A bare nine- or eleven-digit number is an id only where the text says so.
    static const re2::RE2 named(
        R"((?i)\b(?:ssn|social security|bsn|burgerservicenummer|steuer-?(?:id|identifikation)|)"
        R"(tax id|tin|national id|passport|passeport|reisepass|aadhaar)\b)");
    const auto is_nir = [](const DigitRun& run) {
        return run.digits.size() == 15 && is_french_nir(run.digits);
    };
    const auto is_long = [](const DigitRun& run) {
        return run.digits.size() >= 8 && run.digits.size() <= 12;
    };
    if (has_match(shaped, folded) || holds_spanish_id(folded) || any_digit_run(folded, is_nir) ||
        (has_match(named, folded) && any_digit_run(folded, is_long))) {
        found.add(Finding::NationalId);
    }
}

void detect_secret(std::string_view folded, FindingSet& found) {
    static const re2::RE2 pattern(
        R"((?:-----BEGIN [A-Z0-9 ]*PRIVATE KEY)"
        R"(|\bsk-[A-Za-z0-9_\-]{16,}|\bsk_(?:live|test)_[A-Za-z0-9]{16,}|\brk_live_[A-Za-z0-9]{16,})"
        R"(|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}|\bglpat-[A-Za-z0-9_\-]{16,})"
        R"(|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[A-Za-z0-9_\-]{30,}|\bxox[abeoprs]-[A-Za-z0-9\-]{10,})"
        R"(|\bhf_[A-Za-z0-9]{20,}|\bnpm_[A-Za-z0-9]{30,}|\bpypi-[A-Za-z0-9_\-]{30,}|\bSG\.[\w\-]{16,}\.[\w\-]{16,})"
        R"(|\beyJ[A-Za-z0-9_\-]{8,}\.eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*)"
        R"(|[a-z][a-z0-9+.\-]{1,20}://[^\s:/@]{1,256}:[^\s@/]{1,256}@)"
        R"(|(?i:(?:api[_-]?key|secret|password|passwd|access[_-]?token|auth[_-]?token|private[_-]?key)["']?\s{0,4}[:=]\s{0,4}["']?[^\s"',;]{8,}))"
        R"())");
    if (has_match(pattern, folded)) {
        found.add(Finding::Secret);
    }
}

void detect_all(std::string_view folded, FindingSet& found) {
    detect_email(folded, found);
    detect_payment_card(folded, found);
    detect_phone(folded, found);
    detect_lettered(folded, found);
}

void detect_lettered(std::string_view folded, FindingSet& found) {
    if (has_six_digits(folded)) {
        detect_iban(folded, found);
        detect_national_id(folded, found);
    }
    detect_secret(folded, found);
}

}  // namespace weir::policy
