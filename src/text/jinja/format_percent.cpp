// `text % values`: printf style, as Python has it.

#include <algorithm>
#include <cmath>

#include "base/utf8.h"
#include "text/jinja/builtins.h"
#include "text/jinja/data_model.h"
#include "text/jinja/format_spec.h"

namespace weir::text::jinja {
namespace {

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
    Outcome<void> convert(Value argument, FormatSpec spec);
    Outcome<void> number(const Value& argument, FormatSpec spec);

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
        return std::clamp(size, -kFormatWidthMax, kFormatWidthMax);
    }
    return take_format_number(text_, at_).value_or(0);
}

Outcome<void> PercentFormatter::number(const Value& argument, FormatSpec spec) {
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
        FormatSpec digits;
        digits.fill = "0";
        digits.align = '=';
        digits.sign = spec.sign;
        digits.type = spec.type;
        digits.width =
            static_cast<size_t>(*spec.precision) + (value.as_int() < 0 || spec.sign != '-' ? 1 : 0);
        TextBuilder inner(rt_);
        WEIR_TRY(append_formatted_number(value, digits, inner));
        WEIR_TRY_ASSIGN(const MarkedText text, inner.take());
        return append_padded(text, spec, '>', 0, out_);
    }
    return append_formatted_number(value, spec, out_);
}

Outcome<void> PercentFormatter::convert(Value argument, FormatSpec spec) {
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
    return append_formatted_text(rt_, argument, spec, '>', out_);
}

Outcome<void> PercentFormatter::conversion() {
    std::optional<Value> argument;
    if (at_ < text_.size() && text_[at_] == '(') {
        WEIR_TRY_ASSIGN(argument, take_key());
        used_ = 1;
    }
    FormatSpec spec;
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

}  // namespace

Outcome<Value> format_percent(Runtime& rt, const Value& format, const Value& values) {
    WEIR_TRY(rt.charge_bytes(format.bytes().size()));
    return PercentFormatter(rt, format, values).run();
}

}  // namespace weir::text::jinja
