#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "text/jinja/builtins.h"
#include "text/jinja/data_model.h"

namespace weir::text::jinja {
namespace {

std::string_view stripped(std::string_view text) {
    const auto [from, to] = strip_range(text, Side::Both, std::nullopt);
    return text.substr(from, to - from);
}

// int(text, base): white space around, a sign, a prefix that fits the base, single underscores.
std::optional<Whole> parse_int(std::string_view text, int base) {
    text = stripped(text);
    const bool negative = text.starts_with('-');
    if (negative || text.starts_with('+')) {
        text.remove_prefix(1);
    }
    if (text.size() > 2 && text[0] == '0') {
        const char kind = static_cast<char>(text[1] | 0x20);
        const int prefix = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 0;
        if (prefix != 0 && (base == prefix || base == 0)) {
            base = prefix;
            text.remove_prefix(2);
        }
    }
    base = base == 0 ? 10 : base;
    Whole value = 0;
    bool digit_before = false;
    for (const char c : text) {
        const char lower = static_cast<char>(c | 0x20);
        int digit = 99;
        if (c >= '0' && c <= '9') {
            digit = c - '0';
        } else if (lower >= 'a' && lower <= 'z') {
            digit = lower - 'a' + 10;
        } else if (c == '_' && digit_before) {
            digit_before = false;
            continue;
        }
        if (digit >= base || __builtin_mul_overflow(value, static_cast<Whole>(base), &value) ||
            __builtin_add_overflow(value, static_cast<Whole>(digit), &value)) {
            return std::nullopt;
        }
        digit_before = true;
    }
    return digit_before ? std::optional(negative ? -value : value) : std::nullopt;
}

// float(text).
std::optional<double> parse_float(std::string_view text) {
    text = stripped(text);
    std::string digits(text);
    std::erase(digits, '_');
    std::string_view rest = digits;
    if (rest.starts_with('+')) {
        rest.remove_prefix(1);
        if (rest.starts_with('-')) {
            return std::nullopt;
        }
    }
    double value = 0;
    const auto [stop, code] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    const bool whole = stop == rest.data() + rest.size() && !rest.empty();
    if (code == std::errc::result_out_of_range && whole) {  // Python: infinity, or nothing
        return rest.find("e-") != rest.npos ? 0.0 : (rest.starts_with('-') ? -INFINITY : INFINITY);
    }
    return code == std::errc{} && whole ? std::optional(value) : std::nullopt;
}

std::optional<Whole> truncate_real(double value) {
    constexpr double kLargest = 0x1p126;
    return std::isfinite(value) && std::fabs(value) < kLargest
               ? std::optional(static_cast<Whole>(value))
               : std::nullopt;
}

Outcome<Value> to_int(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("int", args, {"default", "base"}));
    WEIR_TRY_ASSIGN(const Whole base, bound.integer(1, 10));
    if (input.is_undefined()) {
        return undefined_error(input);
    }
    if (base < 0 || base == 1 || base > 36) {
        return raise("int() base must be >= 2 and <= 36, or 0");
    }
    std::optional<Whole> whole;
    if (input.is_whole()) {
        whole = input.as_int();
    } else if (input.is(Kind::Float)) {
        whole = truncate_real(input.as_real());
    } else if (input.is_str()) {
        WEIR_TRY(rt.charge_bytes(input.bytes().size()));
        whole = parse_int(input.bytes(), static_cast<int>(base));
        if (!whole) {
            const auto real = parse_float(input.bytes());
            whole = real ? truncate_real(*real) : std::nullopt;
        }
    }
    return whole ? Value::integer(*whole) : bound.get(0, Value::integer(0));
}

Outcome<Value> to_float(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("float", args, {"default"}));
    if (input.is_undefined()) {
        return undefined_error(input);
    }
    std::optional<double> real;
    if (input.is_number()) {
        real = input.as_real();
    } else if (input.is_str()) {
        WEIR_TRY(rt.charge_bytes(input.bytes().size()));
        real = parse_float(input.bytes());
    }
    return real ? Value::real(*real) : bound.get(0, Value::real(0.0));
}

Outcome<Value> absolute(Runtime&, const Value& input, const Args& args) {
    WEIR_TRY(Bound::bind("abs", args, {}));
    if (!input.is_number()) {
        return type_error("bad operand type for abs()", input);
    }
    const bool negative = input.is_whole() ? input.as_int() < 0 : std::signbit(input.as_real());
    return negative ? negate(input) : plus(input);
}

// round(): to even on a tie of the exact binary value, which is how decimals are printed too.
Outcome<Value> round_common(const Value& input, Whole precision) {
    constexpr Whole kDigitsMax = 330;
    if (input.is_whole() && precision >= 0) {
        return Value::integer(input.as_int());
    }
    const double value = input.as_real();
    if (!std::isfinite(value) || precision > kDigitsMax) {
        return input;
    }
    double rounded = 0;
    if (precision >= 0) {
        const std::string text = fmt::format("{:.{}f}", value, static_cast<int>(precision));
        std::from_chars(text.data(), text.data() + text.size(), rounded);
    } else {
        const double unit = std::pow(10.0, static_cast<double>(std::min(-precision, kDigitsMax)));
        rounded = std::isfinite(unit) ? std::nearbyint(value / unit) * unit : 0.0;
    }
    if (input.is_whole()) {
        if (rounded < -0x1p127 || rounded >= 0x1p127) {
            return raise("integers of more than 127 bits are not supported");
        }
        return Value::integer(static_cast<Whole>(rounded));
    }
    return Value::real(rounded);
}

Outcome<Value> round(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("round", args, {"precision", "method"}));
    WEIR_TRY_ASSIGN(const Whole precision, bound.integer(0, 0));
    WEIR_TRY_ASSIGN(const Value method, bound.str(rt, 1, "common"));
    if (!input.is_number()) {
        return type_error("only numbers can be rounded", input);
    }
    if (method.bytes() == "common") {
        return round_common(input, precision);
    }
    if (method.bytes() != "ceil" && method.bytes() != "floor") {
        return raise("method must be common, ceil or floor");
    }
    const double unit = std::pow(10.0, static_cast<double>(precision));
    const double scaled = input.as_real() * unit;
    return Value::real((method.bytes() == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / unit);
}

constexpr Filter kFilters[] = {
    {"int", to_int}, {"float", to_float}, {"abs", absolute}, {"round", round}};

}  // namespace

std::span<const Filter> number_filters() {
    return kFilters;
}

}  // namespace weir::text::jinja
