#include <fmt/format.h>

#include "text/jinja/builtins.h"

namespace weir::text::jinja {
namespace {

constexpr std::string_view kDays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                      "Thursday", "Friday", "Saturday"};
constexpr std::string_view kMonths[] = {"January",   "February", "March",    "April",
                                        "May",       "June",     "July",     "August",
                                        "September", "October",  "November", "December"};

// A moment taken apart, as struct tm has it.
struct Moment {
    int year;
    unsigned month;  // 1 to 12
    unsigned day;
    unsigned weekday;   // 0 is Sunday
    unsigned year_day;  // 0 is the first of January
    int64_t hour;
    int64_t minute;
    int64_t second;
    int64_t epoch;
};

Moment take_apart(std::chrono::local_seconds time) {
    using namespace std::chrono;
    const local_days date = floor<days>(time);
    const year_month_day civil(date);
    const hh_mm_ss clock(time - date);
    const local_days new_year = local_days(civil.year() / January / 1);
    return Moment{int(civil.year()),
                  unsigned(civil.month()),
                  unsigned(civil.day()),
                  std::chrono::weekday(date).c_encoding(),
                  static_cast<unsigned>((date - new_year).count()),
                  clock.hours().count(),
                  clock.minutes().count(),
                  clock.seconds().count(),
                  time.time_since_epoch().count()};
}

// A number in a field of `width`, filled as the flag says: '-' not at all, '_' with spaces.
std::string padded(int64_t value, int width, char filler, char flag) {
    if (flag == '-') {
        return fmt::format("{}", value);
    }
    if (flag == '_' || (flag != '0' && filler == ' ')) {
        return fmt::format("{:{}}", value, width);
    }
    return fmt::format("{:0{}}", value, width);
}

// ISO 8601: the week that has the year's first Thursday is the first.
std::pair<int, unsigned> iso_week(const Moment& m) {
    const auto weeks_in = [](int year) {
        const auto last = [](int y) {
            return (y + y / 4 - y / 100 + y / 400) % 7;
        };
        return last(year) == 4 || last(year - 1) == 3 ? 53U : 52U;
    };
    const unsigned weekday = m.weekday == 0 ? 7 : m.weekday;
    const int week = (static_cast<int>(m.year_day) + 1 - static_cast<int>(weekday) + 10) / 7;
    if (week < 1) {
        return {m.year - 1, weeks_in(m.year - 1)};
    }
    if (static_cast<unsigned>(week) > weeks_in(m.year)) {
        return {m.year + 1, 1};
    }
    return {m.year, static_cast<unsigned>(week)};
}

std::string field(const Moment& m, char letter, char flag) {
    const auto two = [&](int64_t value) {
        return padded(value, 2, '0', flag);
    };
    const int64_t hour12 = m.hour % 12 == 0 ? 12 : m.hour % 12;
    switch (letter) {
        case 'a':
            return std::string(kDays[m.weekday].substr(0, 3));
        case 'A':
            return std::string(kDays[m.weekday]);
        case 'b':
        case 'h':
            return std::string(kMonths[m.month - 1].substr(0, 3));
        case 'B':
            return std::string(kMonths[m.month - 1]);
        case 'C':
            return two(m.year / 100);
        case 'd':
            return two(m.day);
        case 'e':
            return padded(m.day, 2, ' ', flag);
        case 'f':
            return "000000";
        case 'g':
            return two(iso_week(m).first % 100);
        case 'G':
            return fmt::format("{}", iso_week(m).first);
        case 'H':
            return two(m.hour);
        case 'I':
            return two(hour12);
        case 'j':
            return padded(m.year_day + 1, 3, '0', flag);
        case 'k':
            return padded(m.hour, 2, ' ', flag);
        case 'l':
            return padded(hour12, 2, ' ', flag);
        case 'm':
            return two(m.month);
        case 'M':
            return two(m.minute);
        case 'n':
            return "\n";
        case 'p':
            return m.hour < 12 ? "AM" : "PM";
        case 'P':
            return m.hour < 12 ? "am" : "pm";
        case 's':
            return fmt::format("{}", m.epoch);
        case 'S':
            return two(m.second);
        case 't':
            return "\t";
        case 'u':
            return fmt::format("{}", m.weekday == 0 ? 7 : m.weekday);
        case 'U':
            return two((m.year_day + 7 - m.weekday) / 7);
        case 'V':
            return two(iso_week(m).second);
        case 'w':
            return fmt::format("{}", m.weekday);
        case 'W':
            return two((m.year_day + 7 - (m.weekday + 6) % 7) / 7);
        case 'y':
            return two(m.year % 100);
        case 'Y':
            return fmt::format("{}", m.year);
        case 'z':
        case 'Z':
            return "";  // the time has no zone
        case '%':
            return "%";
        default:
            return flag == 0 ? fmt::format("%{}", letter) : fmt::format("%{}{}", flag, letter);
    }
}

std::string_view composite(char letter) {
    switch (letter) {
        case 'c':
            return "%a %b %e %H:%M:%S %Y";
        case 'D':
        case 'x':
            return "%m/%d/%y";
        case 'F':
            return "%Y-%m-%d";
        case 'r':
            return "%I:%M:%S %p";
        case 'R':
            return "%H:%M";
        case 'T':
        case 'X':
            return "%H:%M:%S";
        default:
            return {};
    }
}

void append_fields(const Moment& moment, std::string_view format, std::string& out) {
    for (size_t i = 0; i < format.size(); ++i) {
        if (format[i] != '%' || i + 1 == format.size()) {
            out += format[i];
            continue;
        }
        char flag = 0;
        if (std::string_view("-_0").find(format[i + 1]) != std::string_view::npos &&
            i + 2 < format.size()) {
            flag = format[++i];
        }
        const char letter = format[++i];
        if (const std::string_view parts = composite(letter); !parts.empty()) {
            append_fields(moment, parts, out);  // of plain fields only: one level
        } else {
            out += field(moment, letter, flag);
        }
    }
}

}  // namespace

std::string format_time(std::chrono::local_seconds time, std::string_view format) {
    std::string out;
    append_fields(take_apart(time), format, out);
    return out;
}

}  // namespace weir::text::jinja
