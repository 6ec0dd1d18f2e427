#include "text/jinja/format_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "text/jinja/data_model.h"

namespace weir::text::jinja {
namespace {

constexpr int kPrecisionMax = 1000;

std::string group_digits(const std::string& digits, char separator) {
    std::string out;
    const size_t whole = std::min(digits.find_first_of(".e"), digits.size());
    for (size_t i = 0; i < digits.size(); ++i) {
        if (i > 0 && i < whole && (whole - i) % 3 == 0) {
            out += separator;
        }
        out += digits[i];
    }
    return out;
}

std::string int_digits(Magnitude value, const FormatSpec& spec) {
    switch (spec.type) {
        case 'x':
            return fmt::format("{}{:x}", spec.alternate ? "0x" : "", value);
        case 'X':
            return fmt::format("{}{:X}", spec.alternate ? "0X" : "", value);
        case 'o':
            return fmt::format("{}{:o}", spec.alternate ? "0o" : "", value);
        case 'b':
            return fmt::format("{}{:b}", spec.alternate ? "0b" : "", value);
        default:
            return fmt::format("{}", value);
    }
}

std::string real_digits(double magnitude, const FormatSpec& spec) {
    if (!std::isfinite(magnitude)) {
        return std::isnan(magnitude) ? "nan" : "inf";
    }
    const int precision = std::min(spec.precision.value_or(6), kPrecisionMax);
    switch (spec.type) {
        case 'f':
        case 'F':
            return fmt::format("{:.{}f}", magnitude, precision);
        case 'e':
            return fmt::format("{:.{}e}", magnitude, precision);
        case 'E':
            return fmt::format("{:.{}E}", magnitude, precision);
        case 'G':
            return fmt::format("{:.{}G}", magnitude, std::max(precision, 1));
        case 'g':
            return fmt::format("{:.{}g}", magnitude, std::max(precision, 1));
        case '%':
            return fmt::format("{:.{}f}%", magnitude * 100, precision);
        default:
            return spec.precision ? fmt::format("{:.{}g}", magnitude, std::max(precision, 1))
                                  : float_text(magnitude);
    }
}

}  // namespace

Outcome<void> append_padded(const MarkedText& text, const FormatSpec& spec, char default_align,
                            size_t sign_bytes, TextBuilder& out) {
    const size_t count = count_characters(text.bytes());
    const size_t missing = spec.width > count ? spec.width - count : 0;
    const char align = spec.align != 0 ? spec.align : default_align;
    const size_t left = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
    const size_t before = align == '=' ? sign_bytes : 0;
    out.append(text, 0, before);
    out.fill(spec.fill, left, Trust::Data);
    out.append(text, before, text.size());
    out.fill(spec.fill, missing - left, Trust::Data);
    return out.check();
}

Outcome<void> append_formatted_number(const Value& value, const FormatSpec& spec,
                                      TextBuilder& out) {
    const bool real_type =
        std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos && spec.type != 0;
    const bool as_real = real_type || value.is(Kind::Float);
    std::string digits;
    bool negative = false;
    if (as_real) {
        const double number = value.as_real();
        negative = std::signbit(number) && !std::isnan(number);
        digits = real_digits(std::fabs(number), spec);
    } else {
        const Whole number = value.as_int();
        negative = number < 0;
        digits = int_digits(magnitude_of(number), spec);
    }
    if (spec.group != 0) {
        digits = group_digits(digits, spec.group);
    }
    std::string sign = negative ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
    const size_t sign_bytes = sign.size();
    return append_padded(MarkedText(sign + digits, Trust::Data), spec, '>', sign_bytes, out);
}

Outcome<void> append_formatted_text(Runtime& rt, const Value& text, const FormatSpec& spec,
                                    char default_align, TextBuilder& out) {
    size_t to = text.bytes().size();
    WEIR_TRY(rt.charge_bytes(to));
    if (spec.precision) {
        to = byte_of_character(text.bytes(), static_cast<size_t>(*spec.precision));
    }
    return append_padded(text.text().slice(0, to), spec, default_align, 0, out);
}

Outcome<Value> repr_of(Runtime& rt, const Value& value) {
    TextBuilder out(rt);
    WEIR_TRY(append_repr(rt, value, out));
    return out.finish();
}

std::optional<Whole> take_format_number(std::string_view text, size_t& at) {
    const size_t from = at;
    Whole value = 0;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
        value = std::min<Whole>(value * 10 + (text[at] - '0'), kFormatWidthMax);
        ++at;
    }
    return at == from ? std::nullopt : std::optional(value);
}

}  // namespace weir::text::jinja
