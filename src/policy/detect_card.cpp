// Payment cards: 12 to 19 digits with a network's first digits and a valid Luhn sum, whatever
// stands between them.
//
// Problem: a card may be written with any sign between its digits, but so is every list of numbers,
// and of random numbers one in thirty begins and sums like a card's. Idea: what stands between
// decides how regular the groups must be. Blanks and dashes are how cards are written: any window
// of a short run counts. Other signs are how lists are written: there a window must begin and end
// with a group, and its groups must be those of one number cut evenly. Words may stand between only
// where few numbers do (detect_scattered_card).

#include <algorithm>
#include <array>
#include <string>

#include "policy/ascii.h"
#include "policy/detectors.h"

namespace weir::policy {
namespace {

constexpr std::array<size_t, 8> kLengths = {16, 15, 14, 13, 19, 18, 17, 12};
constexpr size_t kDigitsMax = 19;
constexpr size_t kGluedDigitsMax = 40;   // in longer runs chance would find a card
constexpr size_t kSingleDigitsMax = 24;  // a longer row of single digits is a table
constexpr size_t kScatteredGroupsMax = 40;
constexpr size_t kScatteredBytesMax = 800;

int number_at(std::string_view digits, size_t count) {
    int number = 0;
    for (size_t i = 0; i < count; ++i) {
        number = number * 10 + (digits[i] - '0');
    }
    return number;
}

bool in_range(int number, int first, int last) {
    return number >= first && number <= last;
}

// Of the large networks (ISO/IEC 7812): Visa, Mastercard, Amex, Discover, Diners, JCB.
bool has_common_prefix(std::string_view digits) {
    const int two = number_at(digits, 2);
    const int four = number_at(digits, 4);
    switch (digits.size()) {
        case 13:
        case 19:
            return digits[0] == '4';
        case 14:
            return two == 36 || two == 38 || two == 39 || in_range(four, 3000, 3059);
        case 15:
            return two == 34 || two == 37;
        case 16:
            return digits[0] == '4' || in_range(two, 51, 55) || in_range(four, 2221, 2720) ||
                   four == 6011 || two == 65 || in_range(four, 6440, 6499) ||
                   in_range(four, 3528, 3589);
        default:
            return false;
    }
}

// Also UnionPay, Maestro, RuPay, Diners in North America and JCB's old ones.
bool has_card_prefix(std::string_view digits) {
    const int two = number_at(digits, 2);
    const bool maestro = two == 50 || in_range(two, 56, 58) || two == 63 || two == 67;
    switch (digits.size()) {
        case 12:
            return maestro;
        case 15: {
            const int four = number_at(digits, 4);
            return has_common_prefix(digits) || four == 2131 || four == 1800;
        }
        case 16:
            return has_common_prefix(digits) || maestro || two == 62 || two == 36 || two == 81;
        case 17:
        case 18:
        case 19:
            return digits[0] == '4' || maestro || two == 62 || two == 65;
        default:
            return has_common_prefix(digits);
    }
}

// Sizes of the groups in digits [begin, end), where the window's edges may cut a group.
struct Cut {
    std::array<size_t, kDigitsMax> sizes{};
    size_t count = 0;
    bool same_gaps = true;
    bool in_sum = false;

    size_t first() const { return sizes[0]; }
    size_t last() const { return sizes[count - 1]; }
    size_t shortest() const { return *std::min_element(sizes.begin(), sizes.begin() + count); }
    size_t longest() const { return *std::max_element(sizes.begin(), sizes.begin() + count); }
    // All groups alike, but that the first and the last may be shorter.
    bool is_even() const {
        const size_t middle = count > 2 ? sizes[1] : longest();
        return first() <= middle && last() <= middle &&
               std::all_of(sizes.begin() + 1, sizes.begin() + std::max<size_t>(count, 2) - 1,
                           [middle](size_t size) { return size == middle; });
    }
    bool is_all(size_t size) const { return shortest() == size && longest() == size; }
    // 4-4-4-4, 4-4-4-3, 4-4-4-4-3
    bool is_in_fours() const { return count > 2 && is_even() && first() == 4 && sizes[1] == 4; }
    // American Express and Diners: 4-6-5 and 4-6-4.
    bool is_four_six() const { return count == 3 && first() == 4 && sizes[1] == 6; }
};

// As people write one number: all groups alike ("4 1 1 1 …"), none short ("4111 1111 …"), or evenly
// cut. A count from 1 to 20 is not.
bool is_one_number(const Cut& cut) {
    return cut.count == 1 || cut.shortest() == cut.longest() || cut.shortest() >= 3 ||
           (cut.is_even() && cut.longest() >= 4);
}

bool is_card(std::string_view window, bool common_only) {
    return (common_only ? has_common_prefix(window) : has_card_prefix(window)) &&
           luhn_is_valid(window);
}

bool is_card_reversed(std::string_view window) {
    const std::string turned(window.rbegin(), window.rend());
    return turned.size() == 16 && is_card(turned, true);
}

// One run of groups, [first, end) of the text's.
class Run {
  public:
    Run(const Numbers& numbers, size_t first, size_t end) : numbers_(numbers), first_(first) {
        for (size_t group = first; group < end; ++group) {
            edges_.push_back(numbers.begin(group));
        }
        edges_.push_back(numbers.end(end - 1));
    }

    // Windows that may cut a group: how cards are glued to other digits.
    bool holds_card_in_blanks() const {
        const size_t count = edges_.back() - edges_.front();
        for (size_t i = 0; i + 1 < edges_.size(); ++i) {
            const bool cuts = count <= kGluedDigitsMax;
            const size_t last = cuts ? edges_[i + 1] : edges_[i] + 1;
            for (size_t at = edges_[i]; at < last; ++at) {
                if (holds_card_at(i, at)) {
                    return true;
                }
            }
        }
        return false;
    }

    // Windows of whole groups that are cut evenly.
    bool holds_card_in_signs() const {
        for (size_t i = 0; i + 1 < edges_.size(); ++i) {
            for (size_t j = i + 2; j < edges_.size() && edges_[j] - edges_[i] <= kDigitsMax; ++j) {
                const size_t length = edges_[j] - edges_[i];
                if (length < 13 || length == 17 || length == 18) {
                    continue;
                }
                const std::string_view window = digits(edges_[i], length);
                if (has_common_prefix(window) && luhn_is_valid(window) &&
                    is_evenly_cut(cut_of(i, edges_[i], edges_[j]), i, j)) {
                    return true;
                }
            }
        }
        return false;
    }

  private:
    std::string_view digits(size_t at, size_t count) const {
        return std::string_view(numbers_.digits).substr(at, count);
    }
    bool is_edge(size_t index) const {
        return std::binary_search(edges_.begin(), edges_.end(), index);
    }

    bool holds_card_at(size_t group, size_t at) const {
        for (const size_t length : kLengths) {
            if (at + length > edges_.back()) {
                continue;
            }
            const bool begins = at == edges_[group];
            const bool ends = is_edge(at + length);
            const bool alone = edges_.size() == 2;
            const bool glued = edges_.back() - edges_.front() <= kGluedDigitsMax;
            if (!(begins && ends) && !(glued && (alone || begins || ends))) {
                continue;
            }
            const std::string_view window = digits(at, length);
            const bool whole = begins && ends;
            if ((is_card(window, !whole) || (whole && is_card_reversed(window))) &&
                is_written_as_one(group, at, at + length)) {
                return true;
            }
        }
        return false;
    }

    bool is_written_as_one(size_t group, size_t begin, size_t end) const {
        const Cut cut = cut_of(group, begin, end);
        return is_one_number(cut) && (cut.count == 1 || !cut.is_all(1) || singles_around(group));
    }

    Cut cut_of(size_t group, size_t begin, size_t end) const {
        Cut cut;
        for (size_t i = group; i + 1 < edges_.size() && edges_[i] < end; ++i) {
            const size_t from = std::max(begin, edges_[i]);
            const size_t to = std::min(end, edges_[i + 1]);
            cut.in_sum = cut.in_sum || (cut.count > 0 && numbers_.groups[first_ + i].in_sum);
            if (cut.count > 1) {
                cut.same_gaps = cut.same_gaps && gap_hash(i) == gap_hash(i - 1);
            }
            cut.sizes[cut.count++] = to - from;
        }
        return cut;
    }

    uint32_t gap_hash(size_t edge) const { return numbers_.groups[first_ + edge].gap_hash; }

    // Whether the row of single digits around that group is short enough to be one number.
    bool singles_around(size_t group) const {
        const auto is_single = [&](size_t i) {
            return edges_[i + 1] - edges_[i] == 1;
        };
        size_t from = group;
        while (from > 0 && group - from <= kSingleDigitsMax && is_single(from - 1)) {
            --from;
        }
        size_t to = group;
        while (to + 1 < edges_.size() && to - from <= kSingleDigitsMax && is_single(to)) {
            ++to;
        }
        return to - from <= kSingleDigitsMax;
    }

    bool is_evenly_cut(const Cut& cut, size_t i, size_t j) const {
        if (!cut.same_gaps) {
            return cut.is_in_fours() && !cut.in_sum;
        }
        if (cut.is_in_fours()) {
            return true;
        }
        if (cut.is_all(1)) {
            return singles_around(i);
        }
        if (cut.longest() <= 3) {  // lists of small numbers are common: only a list of nothing else
            return cut.is_even() && i == 0 && j + 1 == edges_.size();
        }
        return cut.is_even() || cut.is_four_six() || (cut.count == 2 && cut.shortest() >= 4);
    }

    const Numbers& numbers_;
    size_t first_;
    std::vector<size_t> edges_;  // where groups begin in the digits, and the end
};

// "11 11" inside a longer row is one group of four.
Numbers with_blanks_closed(const Numbers& numbers, size_t first, size_t end) {
    Numbers closed;
    for (size_t group = first; group < end; ++group) {
        if (group == first || numbers.groups[group].before != Gap::Blank) {
            DigitGroup start = numbers.groups[group];
            start.first = static_cast<uint32_t>(closed.digits.size());
            start.gap_hash = 0;
            closed.groups.push_back(start);
        }
        closed.digits += numbers.text(group);
    }
    return closed;
}

// Four groups of four after that closing.
bool holds_closed_fours(const Numbers& closed) {
    for (size_t group = 0; group + 4 <= closed.groups.size(); ++group) {
        const bool fours = closed.size(group) == 4 && closed.size(group + 1) == 4 &&
                           closed.size(group + 2) == 4 && closed.size(group + 3) == 4;
        const bool in_sum = closed.groups[group + 1].in_sum || closed.groups[group + 2].in_sum ||
                            closed.groups[group + 3].in_sum;
        if (fours && !in_sum &&
            is_card(std::string_view(closed.digits).substr(closed.begin(group), 16), true)) {
            return true;
        }
    }
    return false;
}

bool holds_card(const Numbers& numbers) {
    for (size_t first = 0; first < numbers.groups.size();) {
        const size_t end = numbers.run_end(first, Gap::Blank);
        if (numbers.end(end - 1) - numbers.begin(first) >= 12 &&
            Run(numbers, first, end).holds_card_in_blanks()) {
            return true;
        }
        first = end;
    }
    for (size_t first = 0; first < numbers.groups.size();) {
        const size_t end = numbers.run_end(first, Gap::Symbols);
        if (end - first > 1 && numbers.end(end - 1) - numbers.begin(first) >= 13 &&
            (Run(numbers, first, end).holds_card_in_signs() ||
             holds_closed_fours(with_blanks_closed(numbers, first, end)))) {
            return true;
        }
        first = end;
    }
    return false;
}

// Prices and years come in fours too, but are round or of our time.
bool is_price_or_year(std::string_view digits) {
    return digits.ends_with("00") || digits.starts_with("19") || digits.starts_with("20");
}

// Whether groups [first, end) of `groups` say one card: in fours, or in two or three large parts.
bool is_scattered_card(const Numbers& numbers, const std::vector<size_t>& groups, size_t first,
                       size_t end) {
    std::string digits;
    size_t ordinary = 0;
    for (size_t i = first; i < end; ++i) {
        digits += numbers.text(groups[i]);
        ordinary += is_price_or_year(numbers.text(groups[i])) ? 1 : 0;
    }
    return (digits.size() == 15 || digits.size() == 16) && ordinary < 2 && is_card(digits, true);
}

}  // namespace

bool is_card_number(std::string_view digits) {
    return std::ranges::find(kLengths, digits.size()) != kLengths.end() && is_card(digits, false);
}

void detect_payment_card(const Numbers& numbers, FindingSet& found) {
    if (holds_card(numbers)) {
        found.add(Finding::PaymentCard);
    }
}

void detect_scattered_card(std::string_view folded, const Numbers& numbers, FindingSet& found) {
    std::vector<size_t> groups;  // of four digits and more: the others count parts and cents
    for (size_t group = 0; group < numbers.groups.size(); ++group) {
        if (numbers.size(group) >= 4) {
            groups.push_back(group);
        }
        if (groups.size() > kScatteredGroupsMax) {
            return;
        }
    }
    for (size_t first = 0; first < groups.size(); ++first) {
        for (size_t end = first + 2; end <= std::min(first + 4, groups.size()); ++end) {
            const size_t at = numbers.groups[groups[first]].at;
            const size_t distance = numbers.groups[groups[end - 1]].at - at;
            if (distance <= kScatteredBytesMax && !kSumSigns.has_any(folded.substr(at, distance)) &&
                is_scattered_card(numbers, groups, first, end)) {
                found.add(Finding::PaymentCard);
                return;
            }
        }
    }
}

}  // namespace weir::policy
