#include "providers/retry_after.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string_view>

namespace weir::providers {
namespace {

using std::chrono::milliseconds;

std::string_view trimmed(std::string_view text) {
    const size_t first = std::min(text.find_first_not_of(" \t"), text.size());
    const size_t last = text.find_last_not_of(" \t");
    return last == std::string_view::npos ? std::string_view()
                                          : text.substr(first, last + 1 - first);
}

std::optional<milliseconds> capped(double amount, double milliseconds_each) {
    const double wait = amount * milliseconds_each;
    if (!(wait >= 0)) {
        return std::nullopt;
    }
    return milliseconds(static_cast<int64_t>(
        std::ceil(std::min(wait, static_cast<double>(kRetryAfterMax.count())))));
}

std::optional<milliseconds> from_number(std::string_view text, double milliseconds_each) {
    if (text.find_first_not_of("-.0123456789") != std::string_view::npos) {
        return std::nullopt;  // from_chars reads "inf" too
    }
    double amount = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), amount, std::chars_format::fixed);
    if (end != text.data() + text.size() || text.empty()) {
        return std::nullopt;
    }
    if (error == std::errc::result_out_of_range) {
        return text[0] == '-' ? std::nullopt : std::optional(kRetryAfterMax);
    }
    return error == std::errc() ? capped(amount, milliseconds_each) : std::nullopt;
}

// `count` decimal digits at `at`.
std::optional<int> digits(std::string_view text, size_t at, size_t count) {
    int value = 0;
    for (size_t i = at; i < at + count; ++i) {
        if (text[i] < '0' || text[i] > '9') {
            return std::nullopt;
        }
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

// "Sun, 06 Nov 1994 08:49:37 GMT"
std::optional<std::chrono::sys_seconds> from_date(std::string_view text) {
    constexpr std::string_view kShape = "Sun, 06 Nov 1994 08:49:37 GMT";
    constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    if (text.size() != kShape.size() || !text.ends_with(" GMT") || text[3] != ',') {
        return std::nullopt;
    }
    const auto month = std::ranges::find(kMonths, text.substr(8, 3));
    const auto day = digits(text, 5, 2);
    const auto year = digits(text, 12, 4);
    const auto hour = digits(text, 17, 2);
    const auto minute = digits(text, 20, 2);
    const auto second = digits(text, 23, 2);
    if (month == kMonths.end() || !day || !year || !hour || !minute || !second) {
        return std::nullopt;
    }
    using namespace std::chrono;
    const year_month_day date{
        std::chrono::year(*year),
        std::chrono::month(static_cast<unsigned>(month - kMonths.begin()) + 1),
        std::chrono::day(static_cast<unsigned>(*day))};
    if (!date.ok()) {
        return std::nullopt;
    }
    return sys_days(date) + hours(*hour) + minutes(*minute) + seconds(*second);
}

}  // namespace

std::optional<milliseconds> retry_after(const net::Headers& headers, Clock::WallTime now) {
    if (const auto text = headers.find("retry-after-ms")) {
        return from_number(trimmed(*text), 1);
    }
    const auto text = headers.find("retry-after");
    if (!text) {
        return std::nullopt;
    }
    if (const auto date = from_date(trimmed(*text))) {
        // In milliseconds: the year 9999 does not fit a clock that counts nanoseconds.
        const milliseconds wait = *date - std::chrono::floor<milliseconds>(now);
        return std::clamp(wait, milliseconds(0), kRetryAfterMax);
    }
    return from_number(trimmed(*text), 1000);
}

}  // namespace weir::providers
