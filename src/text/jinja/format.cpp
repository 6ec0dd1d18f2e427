// `text % values` and `text.format(…)`. What stands in the format keeps its marks, a text that is
// put in keeps its own, numbers and padding are data.

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/utf8.h"
#include "text/jinja/builtins.h"
#include "text/jinja/data_model.h"

namespace weir::text::jinja {
namespace {

constexpr Whole kWidthMax = Whole{1} << 30;
constexpr int kPrecisionMax = 1000;

// One conversion, as either notation describes it.
struct Spec {
    std::string fill = " ";
    char align = 0;  // < > ^ =, or 0: the type's own
    char sign = '-';
    bool alternate = false;
    char group = 0;
    size_t width = 0;
    std::optional<int> precision;
    char type = 0;
};

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

std::string int_digits(Whole magnitude, const Spec& spec) {
    const auto value = magnitude;
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

std::string real_digits(double magnitude, const Spec& spec) {
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

// Text padded to its width. `body_from`: zeros and '=' padding go after this many bytes (a sign).
Outcome<void> append_padded(const MarkedText& text, const Spec& spec, char default_align,
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

Outcome<void> append_number(const Value& value, const Spec& spec, TextBuilder& out) {
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
        digits = int_digits(negative ? -number : number, spec);
    }
    if (spec.group != 0) {
        digits = group_digits(digits, spec.group);
    }
    std::string sign = negative ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
    const size_t sign_bytes = sign.size();
    return append_padded(MarkedText(sign + digits, Trust::Data), spec, '>', sign_bytes, out);
}

Outcome<void> append_text(Runtime& rt, const Value& text, const Spec& spec, char default_align,
                          TextBuilder& out) {
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

// Reads digits; what does not fit is far more than any limit.
std::optional<Whole> take_number(std::string_view text, size_t& at) {
    const size_t from = at;
    Whole value = 0;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
        value = std::min<Whole>(value * 10 + (text[at] - '0'), kWidthMax);
        ++at;
    }
    return at == from ? std::nullopt : std::optional(value);
}

// --- printf style.

class PercentFormatter {
  public:
    PercentFormatter(Runtime& rt, const Value& format, const Value& values)
        : rt_(rt), format_(format), text_(format.bytes()), values_(values), out_(rt) {}

    Outcome<Value> run();

  private:
    Outcome<Value> next_argument();
    Outcome<Value> take_key();
    Outcome<Whole> take_size();
    Outcome<void> conversion();
    Outcome<void> convert(Value argument, Spec spec);
    Outcome<void> number(const Value& argument, Spec spec);

    Runtime& rt_;
    const Value& format_;
    std::string_view text_;
    Value values_;
    TextBuilder out_;
    size_t at_ = 0;
    size_t used_ = 0;
};

Outcome<Value> PercentFormatter::next_argument() {
    const size_t i = used_++;
    if (values_.is(Kind::Tuple)) {
        return i < values_.items().size() ? Outcome<Value>(values_.items()[i])
                                          : raise("not enough arguments for format string");
    }
    return i == 0 ? Outcome<Value>(values_) : raise("not enough arguments for format string");
}

Outcome<Value> PercentFormatter::take_key() {
    size_t depth = 1;
    const size_t from = ++at_;
    for (; at_ < text_.size() && depth > 0; ++at_) {
        depth += text_[at_] == '(' ? 1 : 0;
        depth -= text_[at_] == ')' ? 1 : 0;
    }
    if (depth > 0) {
        return raise("incomplete format key");
    }
    if (!values_.is(Kind::Dict)) {
        return raise("format requires a mapping");
    }
    const Value* found = values_.dict().find(text_.substr(from, at_ - 1 - from));
    return found != nullptr ? Outcome<Value>(*found)
                            : raise("the mapping lacks a key of the format");
}

// A width or precision: digits, or '*' for an argument.
Outcome<Whole> PercentFormatter::take_size() {
    if (at_ < text_.size() && text_[at_] == '*') {
        ++at_;
        WEIR_TRY_ASSIGN(const Value value, next_argument());
        WEIR_TRY_ASSIGN(const Whole size, to_index(value));
        return std::clamp(size, -kWidthMax, kWidthMax);
    }
    return take_number(text_, at_).value_or(0);
}

Outcome<void> PercentFormatter::number(const Value& argument, Spec spec) {
    if (!argument.is_number()) {
        return type_error("a number is required", argument);
    }
    const bool real = std::string_view("eEfFgG").find(spec.type) != std::string_view::npos;
    Value value = argument;
    if (!real && value.is(Kind::Float)) {
        if (!std::isfinite(value.as_real()) || std::fabs(value.as_real()) > 0x1p126) {
            return raise("cannot convert the number to an integer");
        }
        value = Value::integer(static_cast<Whole>(value.as_real()));
    }
    if (!real && spec.precision) {  // at least so many digits
        Spec digits;
        digits.fill = "0";
        digits.align = '=';
        digits.sign = spec.sign;
        digits.type = spec.type;
        digits.width =
            static_cast<size_t>(*spec.precision) + (value.as_int() < 0 || spec.sign != '-' ? 1 : 0);
        TextBuilder inner(rt_);
        WEIR_TRY(append_number(value, digits, inner));
        WEIR_TRY_ASSIGN(const MarkedText text, inner.take());
        return append_padded(text, spec, '>', 0, out_);
    }
    return append_number(value, spec, out_);
}

Outcome<void> PercentFormatter::convert(Value argument, Spec spec) {
    switch (spec.type) {
        case 's': {
            if (format_.str().markup) {
                WEIR_TRY_ASSIGN(argument, escape_html(rt_, argument));
            }
            WEIR_TRY_ASSIGN(argument, to_str(rt_, argument));
            break;
        }
        case 'r':
        case 'a': {
            WEIR_TRY_ASSIGN(argument, repr_of(rt_, argument));
            break;
        }
        case 'c':
            if (argument.is_whole()) {
                std::string character;
                utf8::append(character, static_cast<char32_t>(
                                            std::clamp<Whole>(argument.as_int(), 0, 0x110000)));
                argument = rt_.text(std::move(character));
            } else if (!argument.is_str() || count_characters(argument.bytes()) != 1) {
                return raise("%c requires int or char");
            }
            break;
        case 'd':
        case 'i':
        case 'u':
            spec.type = 'd';
            return number(argument, spec);
        case 'x':
        case 'X':
        case 'o':
        case 'e':
        case 'E':
        case 'f':
        case 'F':
        case 'g':
        case 'G':
            return number(argument, spec);
        default:
            return raise("unsupported format character");
    }
    spec.fill = " ";
    spec.align = spec.align == '=' ? '>' : spec.align;
    return append_text(rt_, argument, spec, '>', out_);
}

Outcome<void> PercentFormatter::conversion() {
    std::optional<Value> argument;
    if (at_ < text_.size() && text_[at_] == '(') {
        WEIR_TRY_ASSIGN(argument, take_key());
        used_ = 1;
    }
    Spec spec;
    for (; at_ < text_.size(); ++at_) {
        const char flag = text_[at_];
        if (flag == '-') {
            spec.align = '<';
        } else if (flag == '0') {
            spec.fill = "0";
            spec.align = spec.align == '<' ? '<' : '=';
        } else if (flag == '+' || (flag == ' ' && spec.sign == '-')) {
            spec.sign = flag;
        } else if (flag == '#') {
            spec.alternate = true;
        } else if (flag != ' ') {
            break;
        }
    }
    WEIR_TRY_ASSIGN(const Whole width, take_size());
    if (width < 0) {
        spec.align = '<';
    }
    spec.width = static_cast<size_t>(width < 0 ? -width : width);
    if (at_ < text_.size() && text_[at_] == '.') {
        ++at_;
        WEIR_TRY_ASSIGN(const Whole precision, take_size());
        spec.precision = static_cast<int>(std::max<Whole>(precision, 0));
    }
    if (spec.align == '<') {
        spec.fill = " ";
    }
    while (at_ < text_.size() && std::string_view("hlL").find(text_[at_]) != text_.npos) {
        ++at_;
    }
    if (at_ >= text_.size()) {
        return raise("incomplete format");
    }
    spec.type = text_[at_++];
    if (spec.type == '%') {
        out_.append(format_.text(), at_ - 1, at_);
        return {};
    }
    if (!argument) {
        WEIR_TRY_ASSIGN(argument, next_argument());
    }
    return convert(*argument, spec);
}

Outcome<Value> PercentFormatter::run() {
    while (at_ < text_.size()) {
        const size_t percent = std::min(text_.find('%', at_), text_.size());
        out_.append(format_.text(), at_, percent);
        at_ = percent + 1;
        if (percent < text_.size()) {
            WEIR_TRY(rt_.charge());
            WEIR_TRY(conversion());
        }
    }
    const size_t given = values_.is(Kind::Tuple)                            ? values_.items().size()
                         : values_.is(Kind::Dict) || values_.is(Kind::List) ? 0
                                                                            : 1;
    if (used_ < given) {
        return raise("not all arguments converted during string formatting");
    }
    return out_.finish(format_.str().markup);
}

// --- str.format.

class BraceFormatter {
  public:
    BraceFormatter(Runtime& rt, const Value& format, const Args& args)
        : rt_(rt), format_(format), text_(format.bytes()), args_(args), out_(rt) {}

    Outcome<Value> run();

  private:
    Outcome<void> field(std::string_view field);
    Outcome<Value> look_up(std::string_view path);
    Outcome<Value> first_value(std::string_view name);
    Outcome<Spec> parse_spec(std::string_view text);
    Outcome<void> append(Value value, const Spec& spec);

    Runtime& rt_;
    const Value& format_;
    std::string_view text_;
    const Args& args_;
    TextBuilder out_;
    size_t next_ = 0;
};

Outcome<Value> BraceFormatter::first_value(std::string_view name) {
    size_t digits = 0;
    const auto index = take_number(name, digits);
    if (name.empty() || (index && digits == name.size())) {
        const size_t i = name.empty() ? next_++ : static_cast<size_t>(*index);
        return i < args_.positional.size()
                   ? Outcome<Value>(args_.positional[i])
                   : raise("Replacement index {} out of range for positional args tuple", i);
    }
    for (const auto& [key, value] : args_.named) {
        if (key == name) {
            return value;
        }
    }
    return raise("format: an argument of that name is missing");
}

// name.attribute[item]…
Outcome<Value> BraceFormatter::look_up(std::string_view path) {
    size_t at = std::min(path.find_first_of(".["), path.size());
    WEIR_TRY_ASSIGN(Value value, first_value(path.substr(0, at)));
    while (at < path.size()) {
        WEIR_TRY(rt_.charge());
        if (path[at] == '.') {
            const size_t end = std::min(path.find_first_of(".[", at + 1), path.size());
            const Value name = rt_.text(std::string(path.substr(at + 1, end - at - 1)));
            WEIR_TRY_ASSIGN(value, get_attribute(rt_, value, name.bytes()));
            at = end;
            continue;
        }
        const size_t end = path.find(']', at);
        if (path[at] != '[' || end == path.npos) {
            return raise("format: a broken field name");
        }
        const std::string_view inside = path.substr(at + 1, end - at - 1);
        size_t digits = 0;
        const auto index = take_number(inside, digits);
        const Value key = index && digits == inside.size() ? Value::integer(*index)
                                                           : rt_.text(std::string(inside));
        WEIR_TRY_ASSIGN(value, get_item(rt_, value, key));
        at = end + 1;
    }
    return value.is_undefined() ? undefined_error(value) : Outcome<Value>(value);
}

// [[fill]align][sign][#][0][width][,][.precision][type]
Outcome<Spec> BraceFormatter::parse_spec(std::string_view text) {
    constexpr std::string_view kAligns = "<>=^";
    Spec spec;
    size_t at = 0;
    const size_t first = character_bytes(text, 0);
    if (first < text.size() && first > 0 && kAligns.find(text[first]) != kAligns.npos) {
        spec.fill = text.substr(0, first);
        spec.align = text[first];
        at = first + 1;
    } else if (!text.empty() && kAligns.find(text[0]) != kAligns.npos) {
        spec.align = text[0];
        at = 1;
    }
    const auto take = [&](std::string_view any) {
        return at < text.size() && any.find(text[at]) != any.npos ? text[at++] : '\0';
    };
    if (const char sign = take("+- ")) {
        spec.sign = sign;
    }
    spec.alternate = take("#") != 0;
    if (take("0") != 0 && spec.align == 0) {
        spec.fill = "0";
        spec.align = '=';
    }
    spec.width = static_cast<size_t>(take_number(text, at).value_or(0));
    spec.group = take(",_");
    if (take(".") != 0) {
        const auto precision = take_number(text, at);
        if (!precision) {
            return raise("Format specifier missing precision");
        }
        spec.precision = static_cast<int>(*precision);
    }
    spec.type = take("bcdeEfFgGnosxX%");
    if (at != text.size()) {
        return raise("Invalid format specifier");
    }
    return spec;
}

Outcome<void> BraceFormatter::append(Value value, const Spec& spec) {
    if (value.is_number() && spec.type != 's' && !(value.is(Kind::Bool) && spec.type == 0)) {
        return append_number(value, spec, out_);
    }
    if (spec.type != 0 && spec.type != 's') {
        return raise("Unknown format code for an object of type '{}'", type_name(value));
    }
    if (format_.str().markup) {
        WEIR_TRY_ASSIGN(value, escape_html(rt_, value));
    }
    WEIR_TRY_ASSIGN(value, to_str(rt_, value));
    Spec text_spec = spec;
    text_spec.align = spec.align == '=' ? '<' : spec.align;
    return append_text(rt_, value, text_spec, '<', out_);
}

Outcome<void> BraceFormatter::field(std::string_view field) {
    const size_t end = std::min(field.find_first_of("!:"), field.size());
    WEIR_TRY_ASSIGN(Value value, look_up(field.substr(0, end)));
    std::string_view rest = field.substr(end);
    if (rest.starts_with('!')) {
        const char conversion = rest.size() > 1 ? rest[1] : '\0';
        if (conversion != 'r' && conversion != 's' && conversion != 'a') {
            return raise("format: an unknown conversion");
        }
        WEIR_TRY_ASSIGN(value, conversion == 's' ? to_str(rt_, value) : repr_of(rt_, value));
        rest.remove_prefix(2);
    }
    if (rest.starts_with(':')) {
        rest.remove_prefix(1);
    }
    if (rest.find('{') != rest.npos) {
        return raise("format: fields inside of format specifiers are not supported");
    }
    WEIR_TRY_ASSIGN(const Spec spec, parse_spec(rest));
    return append(value, spec);
}

Outcome<Value> BraceFormatter::run() {
    for (size_t at = 0; at < text_.size();) {
        WEIR_TRY(rt_.charge());
        const size_t brace = std::min(text_.find_first_of("{}", at), text_.size());
        out_.append(format_.text(), at, brace);
        at = brace;
        if (at >= text_.size()) {
            break;
        }
        if (at + 1 < text_.size() && text_[at + 1] == text_[at]) {
            out_.append(format_.text(), at, at + 1);
            at += 2;
            continue;
        }
        const size_t end = text_.find('}', at);
        if (text_[at] == '}' || end == text_.npos) {
            return raise("Single '{}' encountered in format string", text_[at]);
        }
        WEIR_TRY(field(text_.substr(at + 1, end - at - 1)));
        at = end + 1;
    }
    return out_.finish(format_.str().markup);
}

}  // namespace

Outcome<Value> format_percent(Runtime& rt, const Value& format, const Value& values) {
    WEIR_TRY(rt.charge_bytes(format.bytes().size()));
    return PercentFormatter(rt, format, values).run();
}

Outcome<Value> format_braces(Runtime& rt, const Value& format, const Args& args) {
    WEIR_TRY(rt.charge_bytes(format.bytes().size()));
    return BraceFormatter(rt, format, args).run();
}

}  // namespace weir::text::jinja
