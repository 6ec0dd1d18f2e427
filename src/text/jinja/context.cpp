#include "text/jinja/context.h"

#include <algorithm>

#include "base/utf8.h"

namespace weir::text::jinja {
namespace {

using Parts = std::vector<std::string_view>;

// A path of trusted strings, as far as it still matches where we are.
struct Pattern {
    const Parts* parts;
    size_t matched;
    const TrustedStrings* rule;
};
using Patterns = std::vector<Pattern>;

Parts split_path(std::string_view path) {
    Parts parts;
    for (size_t from = 0; from <= path.size();) {
        const size_t to = std::min(path.find('.', from), path.size());
        parts.push_back(path.substr(from, to - from));
        from = to + 1;
    }
    return parts;
}

Patterns step_into(const Patterns& patterns, std::string_view member) {
    Patterns inner;
    for (const Pattern& pattern : patterns) {
        if (pattern.matched < pattern.parts->size()) {
            const std::string_view part = (*pattern.parts)[pattern.matched];
            if (part == "*" || part == member) {
                inner.push_back({pattern.parts, pattern.matched + 1, pattern.rule});
            }
        }
    }
    return inner;
}

Trust trust_of(const Patterns& patterns, const std::string& text) {
    for (const Pattern& pattern : patterns) {
        const auto& values = pattern.rule->values;
        if (pattern.matched == pattern.parts->size() &&
            (values.empty() || std::find(values.begin(), values.end(), text) != values.end())) {
            return Trust::Template;
        }
    }
    return Trust::Data;
}

Value convert_text(Runtime& rt, const std::string& text, Trust trust) {
    return rt.text(MarkedText(utf8::is_valid(text) ? text : utf8::to_valid(text), trust));
}

Outcome<Value> convert(Runtime& rt, const json::Value& value, const Patterns& patterns);

Outcome<Value> convert_object(Runtime& rt, const json::Object& object, const Patterns& patterns) {
    std::vector<Dict::Entry> entries;
    entries.reserve(object.size());
    for (const auto& [name, member] : object) {
        WEIR_TRY_ASSIGN(const Value value, convert(rt, member, step_into(patterns, name)));
        entries.emplace_back(convert_text(rt, name, Trust::Data), value);
    }
    return rt.dict(std::move(entries));
}

Outcome<Value> convert(Runtime& rt, const json::Value& value, const Patterns& patterns) {
    const Runtime::Level level(rt);
    if (level.too_deep()) {
        return Runtime::too_deep();
    }
    WEIR_TRY(rt.reserve(0));
    if (const std::string* text = value.if_string()) {
        return convert_text(rt, *text, trust_of(patterns, *text));
    }
    if (const json::Object* object = value.if_object()) {
        return convert_object(rt, *object, patterns);
    }
    if (const json::Array* array = value.if_array()) {
        const Patterns inner = step_into(patterns, "*");
        std::vector<Value> items;
        items.reserve(array->size());
        for (const json::Value& item : *array) {
            WEIR_TRY_ASSIGN(const Value converted, convert(rt, item, inner));
            items.push_back(converted);
        }
        return rt.list(std::move(items));
    }
    if (const bool* flag = value.if_bool()) {
        return Value::boolean(*flag);
    }
    if (const auto* whole = std::get_if<int64_t>(&value.storage())) {
        return Value::integer(*whole);
    }
    if (const auto* large = std::get_if<uint64_t>(&value.storage())) {
        return Value::integer(static_cast<Whole>(*large));
    }
    if (const auto* real = std::get_if<double>(&value.storage())) {
        return Value::real(*real);
    }
    return Value();
}

}  // namespace

Outcome<Value> value_of(Runtime& rt, const json::Value& value) {
    return convert(rt, value, {});
}

Outcome<std::vector<Value>> bind_globals(Runtime& rt, const Ast& ast, const json::Object& context,
                                         const std::vector<TrustedStrings>& trusted) {
    std::vector<Parts> paths;
    paths.reserve(trusted.size());
    Patterns patterns;
    for (const TrustedStrings& rule : trusted) {
        paths.push_back(split_path(rule.path));
        patterns.push_back({&paths.back(), 0, &rule});
    }
    std::vector<Value> globals;
    globals.reserve(ast.names.size());
    for (const std::string& name : ast.names) {
        if (const json::Value* given = context.find(name)) {
            WEIR_TRY_ASSIGN(const Value value, convert(rt, *given, step_into(patterns, name)));
            globals.push_back(value);
        } else if (const Native* native = find_global(name)) {
            globals.push_back(Value::native(*native));
        } else if (name == "self") {
            globals.push_back(Value::of(rt.name_space()));  // the template's blocks: none are kept
        } else {
            globals.push_back(Value::undefined(&name, nullptr));
        }
    }
    return globals;
}

}  // namespace weir::text::jinja
