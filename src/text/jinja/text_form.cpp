// str() and repr(). What is not itself text becomes text here, and that is never the template's.

#include <fmt/format.h>

#include "base/utf8.h"
#include "text/jinja/builtins.h"
#include "text/jinja/data_model.h"

namespace weir::text::jinja {
namespace {

constexpr Trust kData = Trust::Data;

// Python prefers single quotes, and double ones where that saves an escape.
void append_quoted(std::string_view text, TextBuilder& out) {
    const bool use_double = text.find('\'') != text.npos && text.find('"') == text.npos;
    const char quote = use_double ? '"' : '\'';
    std::string quoted(1, quote);
    for (size_t at = 0; at < text.size();) {
        const utf8::Decoded next = utf8::decode(text, at);
        const char32_t c = next.code_point;
        if (c == static_cast<char32_t>(quote) || c == '\\') {
            quoted += '\\';
            quoted += static_cast<char>(c);
        } else if (c == '\n') {
            quoted += "\\n";
        } else if (c == '\r') {
            quoted += "\\r";
        } else if (c == '\t') {
            quoted += "\\t";
        } else if (is_printable(c)) {
            quoted.append(text, at, next.bytes);
        } else if (c <= 0xFF) {
            quoted += fmt::format("\\x{:02x}", static_cast<uint32_t>(c));
        } else if (c <= 0xFFFF) {
            quoted += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
        } else {
            quoted += fmt::format("\\U{:08x}", static_cast<uint32_t>(c));
        }
        at += next.bytes;
    }
    quoted += quote;
    out.append(quoted, kData);
}

Outcome<void> append_items(Runtime& rt, const std::vector<Value>& items, TextBuilder& out) {
    for (size_t i = 0; i < items.size(); ++i) {
        WEIR_TRY(rt.charge());
        WEIR_TRY(out.check());
        out.append(i == 0 ? "" : ", ", kData);
        WEIR_TRY(append_repr(rt, items[i], out));
    }
    return {};
}

Outcome<void> append_sequence(Runtime& rt, const Value& value, TextBuilder& out) {
    const std::vector<Value>& items = value.items();
    if (value.is(Kind::Tuple)) {
        out.append("(", kData);
        WEIR_TRY(append_items(rt, items, out));
        out.append(items.size() == 1 ? ",)" : ")", kData);
        return {};
    }
    if (value.is(Kind::View)) {
        out.append(fmt::format("{}(", type_name(value)), kData);
    }
    out.append("[", kData);
    WEIR_TRY(append_items(rt, items, out));
    out.append(value.is(Kind::View) ? "])" : "]", kData);
    return {};
}

Outcome<void> append_dict(Runtime& rt, const Dict& dict, TextBuilder& out) {
    out.append("{", kData);
    bool first = true;
    for (const auto& [key, value] : dict.entries()) {
        WEIR_TRY(rt.charge());
        WEIR_TRY(out.check());
        out.append(first ? "" : ", ", kData);
        first = false;
        WEIR_TRY(append_repr(rt, key, out));
        out.append(": ", kData);
        WEIR_TRY(append_repr(rt, value, out));
    }
    out.append("}", kData);
    return {};
}

Outcome<void> append_namespace(Runtime& rt, const Namespace& space, TextBuilder& out) {
    out.append("<Namespace {", kData);
    bool first = true;
    for (const auto& [name, value] : space.attributes) {
        WEIR_TRY(rt.charge());
        WEIR_TRY(out.check());
        out.append(first ? "" : ", ", kData);
        first = false;
        append_quoted(name, out);
        out.append(": ", kData);
        WEIR_TRY(append_repr(rt, value, out));
    }
    out.append("}>", kData);
    return {};
}

std::string range_text(const Range& range) {
    const Whole stop = range.start + range.step * static_cast<Whole>(range.length);
    return range.step == 1 ? fmt::format("range({}, {})", range.start, stop)
                           : fmt::format("range({}, {}, {})", range.start, stop, range.step);
}

}  // namespace

Outcome<void> append_repr(Runtime& rt, const Value& value, TextBuilder& out) {
    const Runtime::Level level(rt);
    if (level.too_deep()) {
        return Runtime::too_deep();
    }
    switch (value.kind()) {
        case Kind::Undefined:
            out.append("Undefined", kData);
            return {};
        case Kind::None:
            out.append("None", kData);
            return {};
        case Kind::Bool:
            out.append(value.as_bool() ? "True" : "False", kData);
            return {};
        case Kind::Int:
            out.append(int_text(value.as_int()), kData);
            return {};
        case Kind::Float:
            out.append(float_text(value.as_real()), kData);
            return {};
        case Kind::Str:
            WEIR_TRY(rt.charge_bytes(value.bytes().size()));
            out.append(value.str().markup ? "Markup(" : "", kData);
            append_quoted(value.bytes(), out);
            out.append(value.str().markup ? ")" : "", kData);
            return {};
        case Kind::List:
        case Kind::Tuple:
        case Kind::View:
            return append_sequence(rt, value, out);
        case Kind::Dict:
            return append_dict(rt, value.dict(), out);
        case Kind::Range:
            out.append(range_text(value.range()), kData);
            return {};
        case Kind::Namespace:
            return append_namespace(rt, value.name_space(), out);
        default:  // Python prints an address here, which no template can mean
            out.append(fmt::format("<{} object>", type_name(value)), kData);
            return {};
    }
}

Outcome<void> append_str(Runtime& rt, const Value& value, TextBuilder& out) {
    if (value.is_str()) {
        WEIR_TRY(rt.charge_bytes(value.bytes().size()));
        out.append(value.text());
        return out.check();
    }
    if (value.is_undefined()) {
        return {};
    }
    WEIR_TRY(append_repr(rt, value, out));
    return out.check();
}

Outcome<Value> to_str(Runtime& rt, const Value& value) {
    if (value.is_str()) {
        return value;
    }
    TextBuilder out(rt);
    WEIR_TRY(append_str(rt, value, out));
    return out.finish();
}

}  // namespace weir::text::jinja
