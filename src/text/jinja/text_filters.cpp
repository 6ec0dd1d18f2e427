#include <fmt/format.h>

#include <algorithm>

#include "base/utf8.h"
#include "text/jinja/builtins.h"
#include "text/jinja/data_model.h"
#include "text/unicode.h"

namespace weir::text::jinja {
namespace {

template <CaseMap map>
Outcome<Value> case_filter(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY(Bound::bind("case", args, {}));
    WEIR_TRY_ASSIGN(const Value text, to_str(rt, input));
    return map_case(rt, text, map);
}

// Unlike str.title(): only what follows white space, '-' or an opening bracket begins a word.
Outcome<Value> title(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY(Bound::bind("title", args, {}));
    WEIR_TRY_ASSIGN(const Value text, to_str(rt, input));
    const std::string& bytes = text.bytes();
    WEIR_TRY(rt.charge(1 + bytes.size() / 16));
    std::vector<Value> words;
    size_t from = 0;
    const auto separates = [&](size_t at) {
        return std::string_view("-({[<").find(bytes[at]) != std::string_view::npos ||
               is_space(utf8::decode(bytes, at).code_point);
    };
    while (from < bytes.size()) {
        size_t to = from;
        while (to < bytes.size() && separates(to)) {
            to += character_bytes(bytes, to);
        }
        while (to < bytes.size() && !separates(to)) {
            to += character_bytes(bytes, to);
        }
        size_t word = from;  // the separators before the word stay as they are
        while (word < to && separates(word)) {
            word += character_bytes(bytes, word);
        }
        WEIR_TRY(rt.charge());
        words.push_back(rt.slice(text, from, word));
        WEIR_TRY_ASSIGN(const Value capital,
                        map_case(rt, rt.slice(text, word, to), CaseMap::Capitalize));
        words.push_back(capital);
        from = to;
    }
    return join_text(rt, rt.text(""), words);
}

Outcome<Value> trim(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("trim", args, {"chars"}));
    WEIR_TRY_ASSIGN(const Value text, to_str(rt, input));
    return find_text_method("strip")->call(rt, text, args);
}

Outcome<Value> string(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY(Bound::bind("string", args, {}));
    return to_str(rt, input);
}

Outcome<Value> replace(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("replace", args, {"old", "new", "count"}, 2));
    WEIR_TRY_ASSIGN(const Value text, to_str(rt, input));
    WEIR_TRY_ASSIGN(const Value from, to_str(rt, bound[0]));
    WEIR_TRY_ASSIGN(const Value to, to_str(rt, bound[1]));
    const bool all = !bound.has(2) || bound[2].is_none();
    WEIR_TRY_ASSIGN(const Whole times, all ? Outcome<Whole>(-1) : bound.integer(2, -1));
    return replace_text(rt, text, from, to, times < 0 ? std::nullopt : std::optional(times));
}

Outcome<Value> indent(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("indent", args, {"width", "first", "blank"}));
    if (!input.is_str()) {
        return type_error("only text can be indented", input);
    }
    Value padding;
    if (bound.has(0) && bound[0].is_str()) {
        padding = bound[0];
    } else {
        WEIR_TRY_ASSIGN(const Whole width, bound.integer(0, 4));
        TextBuilder spaces(rt);
        spaces.fill(" ", width > 0 ? static_cast<size_t>(width) : 0, Trust::Data);
        WEIR_TRY_ASSIGN(padding, spaces.finish());
    }
    // Text that ends with a line break has one empty line more than splitlines() sees.
    WEIR_TRY_ASSIGN(const Value ended,
                    apply(rt, Operator::Add, input, rt.text(MarkedText("\n", Trust::Template))));
    WEIR_TRY_ASSIGN(const Value lines, find_text_method("splitlines")->call(rt, ended, {}));
    TextBuilder out(rt);
    for (size_t i = 0; i < lines.items().size(); ++i) {
        WEIR_TRY(rt.charge());
        WEIR_TRY(out.check());
        const Value& line = lines.items()[i];
        if (i > 0) {
            out.append("\n", Trust::Data);
        }
        const bool pad =
            i == 0 ? bound.flag(1, false) : bound.flag(2, false) || !line.text().empty();
        if (pad) {
            out.append(padding.text());
        }
        out.append(line.text());
    }
    return out.finish(input.str().markup);
}

Outcome<Value> center(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("center", args, {"width"}));
    WEIR_TRY_ASSIGN(const Value text, to_str(rt, input));
    Args wanted;
    wanted.positional = {bound.get(0, Value::integer(80))};
    return find_text_method("center")->call(rt, text, wanted);
}

Outcome<Value> escape(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY(Bound::bind("escape", args, {}));
    return escape_html(rt, input);
}

Outcome<Value> force_escape(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY(Bound::bind("forceescape", args, {}));
    WEIR_TRY_ASSIGN(const Value text, to_str(rt, input));
    return escape_html(rt, rt.text(text.text()));
}

Outcome<Value> safe(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY(Bound::bind("safe", args, {}));
    WEIR_TRY_ASSIGN(const Value text, to_str(rt, input));
    return rt.text(text.text(), true);
}

Outcome<Value> truncate(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound,
                    Bound::bind("truncate", args, {"length", "killwords", "end", "leeway"}));
    WEIR_TRY_ASSIGN(const Value text, to_str(rt, input));
    WEIR_TRY_ASSIGN(const Whole wanted, bound.integer(0, 255));
    WEIR_TRY_ASSIGN(const Value end, bound.str(rt, 2, "..."));
    const bool default_leeway = !bound.has(3) || bound[3].is_none();
    WEIR_TRY_ASSIGN(const Whole leeway, default_leeway ? Outcome<Whole>(5) : bound.integer(3, 5));
    WEIR_TRY(rt.charge_bytes(text.bytes().size()));
    const Whole kept = wanted - static_cast<Whole>(count_characters(end.bytes()));
    if (kept < 0 || leeway < 0) {
        return raise("truncate: the length is less than that of its end");
    }
    if (static_cast<Whole>(count_characters(text.bytes())) <= wanted + leeway) {
        return text;
    }
    size_t to = byte_of_character(text.bytes(), static_cast<size_t>(kept));
    if (!bound.flag(1, false)) {
        const size_t space = text.bytes().substr(0, to).rfind(' ');
        to = space == std::string::npos ? to : space;
    }
    return apply(rt, Operator::Add, rt.slice(text, 0, to), end);
}

Outcome<Value> wordcount(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY(Bound::bind("wordcount", args, {}));
    WEIR_TRY_ASSIGN(const Value text, to_str(rt, input));
    WEIR_TRY(rt.charge_bytes(text.bytes().size()));
    Whole words = 0;
    bool inside = false;
    for (size_t at = 0; at < text.bytes().size();) {
        const utf8::Decoded next = utf8::decode(text.bytes(), at);
        const bool word = next.code_point == '_' ||
                          (CharTable::get().of(next.code_point) & (kLetter | kNumber)) != 0;
        words += word && !inside ? 1 : 0;
        inside = word;
        at += next.bytes;
    }
    return Value::integer(words);
}

void append_quoted(std::string_view text, bool keep_slash, std::string& out) {
    for (const char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-' || c == '~' ||
                           (keep_slash && c == '/');
        if (plain) {
            out += c;
        } else if (c == ' ' && !keep_slash) {  // between pairs, forms write it so
            out += '+';
        } else {
            out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
        }
    }
}

Outcome<Value> urlencode(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY(Bound::bind("urlencode", args, {}));
    std::string out;
    if (!input.is(Kind::Dict) && (input.is_str() || !is_iterable(input))) {
        WEIR_TRY_ASSIGN(const Value text, to_str(rt, input));
        WEIR_TRY(rt.reserve(text.bytes().size() * 3));
        append_quoted(text.bytes(), true, out);
        return rt.text(std::move(out));
    }
    Value pairs = input;
    if (input.is(Kind::Dict)) {
        WEIR_TRY_ASSIGN(pairs, find_dict_method("items")->call(rt, input, {}));
    }
    WEIR_TRY_ASSIGN(const std::vector<Value> items, to_vector(rt, pairs));
    for (const Value& item : items) {
        WEIR_TRY_ASSIGN(const std::vector<Value> both, to_vector(rt, item));
        if (both.size() != 2) {
            return raise("urlencode takes text, a mapping or a list of pairs");
        }
        WEIR_TRY_ASSIGN(const Value key, to_str(rt, both[0]));
        WEIR_TRY_ASSIGN(const Value value, to_str(rt, both[1]));
        WEIR_TRY(rt.reserve(out.size() + (key.bytes().size() + value.bytes().size()) * 3));
        out += out.empty() ? "" : "&";
        append_quoted(key.bytes(), false, out);
        out += '=';
        append_quoted(value.bytes(), false, out);
    }
    return rt.text(std::move(out));
}

Outcome<Value> format(Runtime& rt, const Value& input, const Args& args) {
    WEIR_TRY_ASSIGN(const Value text, to_str(rt, input));
    if (args.named.empty()) {
        return format_percent(rt, text, rt.tuple(args.positional));
    }
    if (!args.positional.empty()) {
        return raise("format takes positional or named arguments, not both");
    }
    std::vector<Dict::Entry> entries;
    for (const auto& [name, value] : args.named) {
        entries.emplace_back(rt.text(std::string(name)), value);
    }
    return format_percent(rt, text, rt.dict(std::move(entries)));
}

constexpr Filter kFilters[] = {
    {"upper", case_filter<CaseMap::Upper>},
    {"lower", case_filter<CaseMap::Lower>},
    {"capitalize", case_filter<CaseMap::Capitalize>},
    {"title", title},
    {"trim", trim},
    {"string", string},
    {"replace", replace},
    {"indent", indent},
    {"center", center},
    {"escape", escape},
    {"e", escape},
    {"forceescape", force_escape},
    {"safe", safe},
    {"truncate", truncate},
    {"wordcount", wordcount},
    {"urlencode", urlencode},
    {"format", format},
};

}  // namespace

Outcome<Value> escape_html(Runtime& rt, const Value& value) {
    if (value.is_str() && value.str().markup) {
        return value;
    }
    WEIR_TRY_ASSIGN(const Value text, to_str(rt, value));
    constexpr std::string_view kSpecial = "&<>'\"";
    constexpr std::string_view kEntities[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
    const std::string& bytes = text.bytes();
    TextBuilder out(rt);
    for (size_t from = 0; from < bytes.size();) {
        const size_t to = std::min(bytes.find_first_of(kSpecial, from), bytes.size());
        out.append(text.text(), from, to);
        if (to < bytes.size()) {
            out.append(kEntities[kSpecial.find(bytes[to])], Trust::Data);
        }
        from = to + 1;
    }
    return out.finish(true);
}

std::span<const Filter> text_filters() {
    return kFilters;
}

const Filter* find_filter(std::string_view name, Mode mode) {
    const auto added = mode == Mode::Lenient ? lenient_filters() : std::span<const Filter>();
    for (const auto table : {text_filters(), number_filters(), sequence_filters(),
                             selection_filters(), json_filters(), added}) {
        for (const Filter& filter : table) {
            if (filter.name == name) {
                return &filter;
            }
        }
    }
    return nullptr;
}

}  // namespace weir::text::jinja
