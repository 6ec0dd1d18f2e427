// E-mail addresses and telephone numbers.

#include <algorithm>

#include "policy/ascii.h"
#include "policy/detectors.h"
#include "policy/patterns.h"

namespace weir::policy {
namespace {

// "(at)", "[at]", "{at}": whether the pattern's long way round is worth going.
bool has_bracketed_at(std::string_view text) {
    for (const char close : {')', ']', '}'}) {
        for (size_t at = text.find(close); at != std::string_view::npos;
             at = text.find(close, at + 1)) {
            if (at >= 3 && small(text[at - 1]) == 't' && small(text[at - 2]) == 'a') {
                return true;
            }
        }
    }
    return false;
}

// What git calls an address of a repository is none of a person.
bool is_git_remote(std::string_view local, std::string_view rest) {
    return local == "git" && (rest.starts_with(':') || rest.starts_with('/'));
}

bool holds_address(std::string_view text) {
    static const re2::RE2 pattern(
        R"((?i)("[^"\n@]+"|[\w\x80-\xff.%+\-]+)\s?(?:@|\(at\)|\[at\]|\{at\})\s?)"
        R"((?:[a-z0-9\x80-\xff\-]+(?:(?:\.|\s\.\s|\s?[(\[{]dot[)\]}]\s?)[a-z0-9\x80-\xff\-]+)*)"
        R"((?:\.|\s\.\s|\s?[(\[{]dot[)\]}]\s?)[a-z\x80-\xff]{2,}|\[(?:ipv6:)?[0-9a-f.:]{3,45}\]))",
        by_bytes());
    re2::StringPiece rest = piece(text);
    re2::StringPiece local;
    while (re2::RE2::FindAndConsume(&rest, pattern, &local)) {
        if (!is_git_remote(view(local), view(rest))) {
            return true;
        }
    }
    return false;
}

// "john dot doe at example dot com"
bool holds_spoken_address(std::string_view text) {
    if (text.find("dot ") == std::string_view::npos &&
        text.find("DOT ") == std::string_view::npos) {
        return false;
    }
    static const re2::RE2 pattern(
        R"((?i)[\w\x80-\xff.\-] at ([a-z0-9\x80-\xff\-]+)(?: dot [a-z0-9\x80-\xff\-]+)* dot )"
        R"((?:com|org|net|edu|gov|info|io|ai|app|dev|me|co|biz|eu|[a-z]{2})\b)",
        by_bytes());
    re2::StringPiece rest = piece(text);
    re2::StringPiece domain;
    while (re2::RE2::FindAndConsume(&rest, pattern, &domain)) {
        if (view(domain) != "the" && view(domain) != "a") {
            return true;
        }
    }
    return false;
}

// International with a plus or 00; North American; national with a leading zero and groups, unless
// it is the month of a date.
bool holds_written_number(std::string_view stretch) {
    static const re2::RE2 pattern(
        R"((?:(?:^|[^\d.])(?:(?:\+|\b00)[1-9]\d{0,2}(?:[ .\-/()|;:_\n\t]{0,3}\d){6,12})"
        R"(|(?:1[ .\-])?(?:\(\d{3}\) ?|\d{3}[.\- ])\d{3}[.\- ]\d{4}))"
        R"(|(?:^|[^\d.\-/:]|[^\d][.\-/:])0[1-9]\d{0,4}[ /\-.]{1,3}\d{2,4}(?:[ \-./]?\d{2,4}){1,4}))"
        R"((?:[^\d]|$))");
    return has_match(pattern, stretch);
}

// Whether the words before a bare number call it a telephone's.
bool is_called_a_number(std::string_view before, size_t digits) {
    static const re2::RE2 pattern(
        R"((?i)\b(?:(tel|telefon|telephone|phone|mobile|mobil|handy|fax|fon|whatsapp)|cell|call|ring))"
        R"((?:[^a-z\d]{1,4}(?:number|no|nr|is|ist|me|us|at|on|under)){0,3}[^a-z\d]{0,6}$)",
        by_bytes());
    constexpr size_t kDigitsMin = 7;
    constexpr size_t kDigitsMinAfterVerb = 9;  // one may call for thousands of things
    constexpr size_t kDigitsMax = 15;
    re2::StringPiece noun;
    return digits >= kDigitsMin && digits <= kDigitsMax &&
           re2::RE2::PartialMatch(piece(before), pattern, &noun) &&
           (!noun.empty() || digits >= kDigitsMinAfterVerb);
}

// Three groups that nothing of their kind goes on from, with the same sign between them: 3-3-4 of
// North America.
bool is_in_three_groups(const Numbers& numbers, size_t group) {
    if (group + 2 >= numbers.groups.size()) {
        return false;
    }
    const DigitGroup& second = numbers.groups[group + 1];
    const DigitGroup& third = numbers.groups[group + 2];
    const auto goes_on = [&](const DigitGroup& other) {
        return other.before != Gap::Words && other.gap_hash == second.gap_hash;
    };
    return second.before != Gap::Words && third.before != Gap::Words &&
           second.gap_hash == third.gap_hash && !goes_on(numbers.groups[group]) &&
           (group + 3 == numbers.groups.size() || !goes_on(numbers.groups[group + 3]));
}

}  // namespace

void detect_email(std::string_view folded, FindingSet& found) {
    const bool worth = folded.find('@') != std::string_view::npos || has_bracketed_at(folded);
    if ((worth && holds_address(folded)) || holds_spoken_address(folded)) {
        found.add(Finding::Email);
    }
}

void detect_phone(std::string_view folded, const Numbers& numbers, FindingSet& found) {
    constexpr size_t kDigitsMin = 7;
    constexpr size_t kMarginBefore = 3;
    constexpr size_t kWordsBefore = 48;
    for (size_t first = 0; first < numbers.groups.size();) {
        const size_t end = numbers.run_end(first, Gap::Symbols);
        const size_t digits = numbers.end(end - 1) - numbers.begin(first);
        const size_t at = numbers.groups[first].at;
        const size_t last = numbers.groups[end - 1].at + numbers.size(end - 1);
        const size_t from = at - std::min(at, kMarginBefore);
        if (digits >= kDigitsMin && holds_written_number(folded.substr(from, last + 1 - from))) {
            found.add(Finding::Phone);
            return;
        }
        first = end;
    }
    for (size_t first = 0; first < numbers.groups.size(); ++first) {
        const bool shaped = is_in_three_groups(numbers, first) && numbers.size(first) == 3 &&
                            numbers.size(first + 1) == 3 && numbers.size(first + 2) == 4 &&
                            numbers.text(first)[0] >= '2';
        const size_t at = numbers.groups[first].at;
        const bool begins = numbers.groups[first].before == Gap::Words;  // once for each run
        const bool starts = first == 0 || numbers.groups[first].before != Gap::Blank;
        const size_t words = at - std::min(at, kWordsBefore);
        const auto is_called = [&](Gap widest) {
            const size_t end = numbers.run_end(first, widest);
            return is_called_a_number(folded.substr(words, at - words),
                                      numbers.end(end - 1) - numbers.begin(first));
        };
        if (shaped || (starts && (is_called(Gap::Blank) || (begins && is_called(Gap::Symbols))))) {
            found.add(Finding::Phone);
            return;
        }
    }
}

}  // namespace weir::policy
