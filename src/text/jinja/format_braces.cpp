// `text.format(…)`: str.format, without fields inside of format specifiers.

#include <algorithm>

#include "text/jinja/builtins.h"
#include "text/jinja/data_model.h"
#include "text/jinja/format_spec.h"

namespace weir::text::jinja {
namespace {

class BraceFormatter {
  public:
    BraceFormatter(Runtime& rt, const Value& format, const Args& args)
        : rt_(rt), format_(format), text_(format.bytes()), args_(args), out_(rt) {}

    Outcome<Value> run();

  private:
    Outcome<void> field(std::string_view field);
    Outcome<Value> look_up(std::string_view path);
    Outcome<Value> first_value(std::string_view name);
    Outcome<FormatSpec> parse_spec(std::string_view text);
    Outcome<void> append(Value value, const FormatSpec& spec);

    Runtime& rt_;
    const Value& format_;
    std::string_view text_;
    const Args& args_;
    TextBuilder out_;
    enum class Numbering : uint8_t { None, Automatic, Manual };
    Numbering numbering_ = Numbering::None;
    size_t next_ = 0;
};

Outcome<Value> BraceFormatter::first_value(std::string_view name) {
    size_t digits = 0;
    const auto index = take_format_number(name, digits);
    if (name.empty() || (index && digits == name.size())) {
        const Numbering numbering = name.empty() ? Numbering::Automatic : Numbering::Manual;
        if (numbering_ != Numbering::None && numbering_ != numbering) {
            return raise("cannot switch between automatic and manual field numbering");
        }
        numbering_ = numbering;
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
        const auto index = take_format_number(inside, digits);
        const Value key = index && digits == inside.size() ? Value::integer(*index)
                                                           : rt_.text(std::string(inside));
        WEIR_TRY_ASSIGN(value, get_item(rt_, value, key));
        at = end + 1;
    }
    return value.is_undefined() ? undefined_error(value) : Outcome<Value>(value);
}

// [[fill]align][sign][#][0][width][,][.precision][type]
Outcome<FormatSpec> BraceFormatter::parse_spec(std::string_view text) {
    constexpr std::string_view kAligns = "<>=^";
    FormatSpec spec;
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
    spec.width = static_cast<size_t>(take_format_number(text, at).value_or(0));
    spec.group = take(",_");
    if (take(".") != 0) {
        const auto precision = take_format_number(text, at);
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

Outcome<void> BraceFormatter::append(Value value, const FormatSpec& spec) {
    if (value.is_number() && spec.type != 's' && !(value.is(Kind::Bool) && spec.type == 0)) {
        return append_formatted_number(value, spec, out_);
    }
    if (spec.type != 0 && spec.type != 's') {
        return raise("Unknown format code for an object of type '{}'", type_name(value));
    }
    if (format_.str().markup) {
        WEIR_TRY_ASSIGN(value, escape_html(rt_, value));
    }
    WEIR_TRY_ASSIGN(value, to_str(rt_, value));
    FormatSpec text_spec = spec;
    text_spec.align = spec.align == '=' ? '<' : spec.align;
    return append_formatted_text(rt_, value, text_spec, '<', out_);
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
    WEIR_TRY_ASSIGN(const FormatSpec spec, parse_spec(rest));
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

Outcome<Value> format_braces(Runtime& rt, const Value& format, const Args& args) {
    WEIR_TRY(rt.charge_bytes(format.bytes().size()));
    return BraceFormatter(rt, format, args).run();
}

}  // namespace weir::text::jinja
