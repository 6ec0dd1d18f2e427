// tojson as chat templates know it: Python's json.dumps, not Jinja's HTML-safe variant. All of the
// result counts as data.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/utf8.h"
#include "json/parse.h"
#include "text/jinja/builtins.h"
#include "text/jinja/context.h"
#include "text/jinja/keys.h"

namespace weir::text::jinja {
namespace {

constexpr Trust kData = Trust::Data;

void append_escaped(char32_t c, std::string& out) {
    switch (c) {
        case '"':
            out += "\\\"";
            return;
        case '\\':
            out += "\\\\";
            return;
        case '\n':
            out += "\\n";
            return;
        case '\r':
            out += "\\r";
            return;
        case '\t':
            out += "\\t";
            return;
        case '\b':
            out += "\\b";
            return;
        case '\f':
            out += "\\f";
            return;
        default:
            break;
    }
    const auto code = static_cast<uint32_t>(c);
    if (code < 0x10000) {
        out += fmt::format("\\u{:04x}", code);
    } else {
        out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + ((code - 0x10000) >> 10),
                           0xDC00 + ((code - 0x10000) & 0x3FF));
    }
}

class Dumper {
  public:
    Dumper(Runtime& rt, const JsonStyle& style) : rt_(rt), style_(style), out_(rt) {}

    Outcome<void> value(const Value& value);
    Outcome<Value> finish() { return out_.finish(); }

  private:
    Outcome<void> string(std::string_view text);
    Outcome<void> list(const std::vector<Value>& items);
    Outcome<void> dict(const Dict& dict);
    Outcome<void> key(const Value& key);
    void new_line();
    static std::string real_text(double value);

    Runtime& rt_;
    const JsonStyle& style_;
    TextBuilder out_;
    size_t depth_ = 0;
};

std::string Dumper::real_text(double value) {
    if (std::isnan(value)) {
        return "NaN";
    }
    if (std::isinf(value)) {
        return value < 0 ? "-Infinity" : "Infinity";
    }
    return float_text(value);
}

void Dumper::new_line() {
    if (style_.indent) {
        out_.append("\n", kData);
        out_.fill(*style_.indent, depth_, kData);
    }
}

Outcome<void> Dumper::string(std::string_view text) {
    WEIR_TRY(rt_.charge_bytes(text.size()));
    std::string quoted = "\"";
    for (size_t at = 0; at < text.size();) {
        const utf8::Decoded next = utf8::decode(text, at);
        const char32_t c = next.code_point;
        const bool plain = c >= 0x20 && c != '"' && c != '\\' && (c < 0x7F || !style_.ascii);
        if (plain) {
            quoted.append(text, at, next.bytes);
        } else {
            append_escaped(c, quoted);
        }
        at += next.bytes;
    }
    quoted += '"';
    out_.append(quoted, kData);
    return out_.check();
}

Outcome<void> Dumper::list(const std::vector<Value>& items) {
    if (items.empty()) {
        out_.append("[]", kData);
        return {};
    }
    out_.append("[", kData);
    ++depth_;
    for (size_t i = 0; i < items.size(); ++i) {
        out_.append(i == 0 ? "" : style_.item_separator, kData);
        new_line();
        WEIR_TRY(value(items[i]));
    }
    --depth_;
    new_line();
    out_.append("]", kData);
    return {};
}

Outcome<void> Dumper::key(const Value& key) {
    switch (key.kind()) {
        case Kind::Str:
            return string(key.bytes());
        case Kind::None:
            return string("null");
        case Kind::Bool:
            return string(key.as_bool() ? "true" : "false");
        case Kind::Int:
            return string(int_text(key.as_int()));
        case Kind::Float:
            return string(real_text(key.as_real()));
        default:
            return type_error("keys must be str, int, float, bool or None", key);
    }
}

Outcome<void> Dumper::dict(const Dict& dict) {
    std::vector<Value> keys;
    for (const auto& entry : dict.entries()) {
        keys.push_back(entry.first);
    }
    if (style_.sort_keys) {
        WEIR_TRY_ASSIGN(const auto order, sorted_indices(rt_, keys, SortOrder::Ascending));
        std::transform(order.begin(), order.end(), keys.begin(),
                       [&](size_t i) { return dict.entries()[i].first; });
    }
    if (keys.empty()) {
        out_.append("{}", kData);
        return {};
    }
    out_.append("{", kData);
    ++depth_;
    bool first = true;
    for (const Value& name : keys) {
        out_.append(first ? "" : style_.item_separator, kData);
        first = false;
        new_line();
        WEIR_TRY(key(name));
        out_.append(style_.key_separator, kData);
        WEIR_TRY(value(*dict.find(name)));
    }
    --depth_;
    new_line();
    out_.append("}", kData);
    return {};
}

Outcome<void> Dumper::value(const Value& value) {
    const Runtime::Level level(rt_);
    if (level.too_deep()) {
        return Runtime::too_deep();
    }
    WEIR_TRY(rt_.charge());
    WEIR_TRY(out_.check());
    switch (value.kind()) {
        case Kind::None:
            out_.append("null", kData);
            return {};
        case Kind::Bool:
            out_.append(value.as_bool() ? "true" : "false", kData);
            return {};
        case Kind::Int:
            out_.append(int_text(value.as_int()), kData);
            return {};
        case Kind::Float:
            out_.append(real_text(value.as_real()), kData);
            return {};
        case Kind::Str:
            return string(value.bytes());
        case Kind::List:
        case Kind::Tuple:
            return list(value.items());
        case Kind::Dict:
            return dict(value.dict());
        case Kind::Generator:
            if (rt_.is_lenient()) {
                WEIR_TRY_ASSIGN(const std::vector<Value> items, to_vector(rt_, value));
                return list(items);
            }
            [[fallthrough]];
        default:
            return raise("Object of type {} is not JSON serializable", type_name(value));
    }
}

Outcome<JsonStyle> style_of(Runtime& rt, const Args& args) {
    WEIR_TRY_ASSIGN(
        const Bound bound,
        Bound::bind("tojson", args, {"ensure_ascii", "indent", "separators", "sort_keys"}));
    JsonStyle style;
    style.ascii = bound.flag(0, false);
    style.sort_keys = bound.flag(3, false);
    if (bound.has(1) && !bound[1].is_none()) {
        style.item_separator = ",";
        if (bound[1].is_str()) {
            style.indent = bound[1].bytes();
        } else {
            constexpr Whole kIndentMax = 1000;
            WEIR_TRY_ASSIGN(const Whole width, bound.integer(1, 0));
            style.indent =
                std::string(static_cast<size_t>(std::clamp<Whole>(width, 0, kIndentMax)), ' ');
        }
    }
    if (bound.has(2) && !bound[2].is_none()) {
        WEIR_TRY_ASSIGN(const std::vector<Value> both, to_vector(rt, bound[2]));
        if (both.size() != 2 || !both[0].is_str() || !both[1].is_str()) {
            return raise("separators must be a pair of strings");
        }
        style.item_separator = both[0].bytes();
        style.key_separator = both[1].bytes();
    }
    return style;
}

Outcome<Value> tojson(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY_ASSIGN(const JsonStyle style, style_of(rt, args));
    return dump_json(rt, input, style);
}

Outcome<Value> from_json(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY(Bound::bind("from_json", args, {}));
    if (!input.is_str()) {
        return raise("from_json expects a string, not {}", type_name(input));
    }
    WEIR_TRY(rt.charge_bytes(input.bytes().size()));
    WEIR_TRY(rt.reserve(input.bytes().size()));
    const auto parsed = json::parse(input.bytes());
    if (!parsed) {
        return raise("from_json: {}", parsed.error().message);
    }
    return value_of(rt, *parsed);
}

constexpr Filter kFilters[] = {{"tojson", tojson}};
constexpr Filter kLenientFilters[] = {{"from_json", from_json}, {"fromjson", from_json}};

}  // namespace

Outcome<Value> dump_json(Runtime& rt, const Value& value, const JsonStyle& style) {
    Dumper dumper(rt, style);
    WEIR_TRY(dumper.value(value));
    return dumper.finish();
}

std::span<const Filter> json_filters() {
    return kFilters;
}

std::span<const Filter> lenient_filters() {
    return kLenientFilters;
}

}  // namespace weir::text::jinja
