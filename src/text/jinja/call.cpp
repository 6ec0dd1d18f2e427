#include <algorithm>

#include "text/jinja/evaluator.h"

namespace weir::text::jinja {
namespace {

bool is_parameter(const Stmt& definition, std::string_view name) {
    return std::any_of(definition.parameters.names.begin(), definition.parameters.names.end(),
                       [name](const auto& parameter) { return parameter.first == name; });
}

const Value* find_named(const Args& args, std::string_view name) {
    for (const auto& [key, value] : args.named) {
        if (key == name) {
            return &value;
        }
    }
    return nullptr;
}

}  // namespace

std::optional<Value> macro_attribute(Runtime& rt, const Value& value, std::string_view name) {
    const Stmt& definition = *value.macro().definition;
    if (name == "name") {
        return rt.text(MarkedText(definition.text, Trust::Template));
    }
    if (name == "arguments") {
        std::vector<Value> names;
        for (const auto& parameter : definition.parameters.names) {
            names.push_back(rt.text(MarkedText(parameter.first, Trust::Template)));
        }
        return rt.tuple(std::move(names));
    }
    if (name == "catch_varargs" || name == "catch_kwargs" || name == "caller") {
        return Value::boolean(name == "caller"          ? definition.uses_caller
                              : name == "catch_varargs" ? definition.uses_varargs
                                                        : definition.uses_kwargs);
    }
    return std::nullopt;
}

Outcome<void> Evaluator::enter_call() {
    if (call_depth_ >= rt_.limits().depth_max) {
        return raise_text(kTemplateLimit, "the template's macros call each other too deeply");
    }
    ++call_depth_;
    return {};
}

Outcome<Value> Evaluator::call(const Value& callee, const Args& args) {
    switch (callee.kind()) {
        case Kind::Native:
            return callee.native().call(rt_, callee.self(), args);
        case Kind::Macro:
            return call_macro(callee.macro(), args);
        case Kind::Joiner:
            return call_joiner(callee.cycler());
        case Kind::Loop: {
            WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("loop", args, {"iterable"}, 1));
            if (!callee.loop().recurse) {
                return raise("The loop must have the 'recursive' marker to be called recursively.");
            }
            return callee.loop().recurse(bound[0]);
        }
        default:
            return type_error("the value is not callable", callee);
    }
}

Outcome<Value> Evaluator::call_joiner(Cycler& joiner) {
    if (joiner.position == 0) {
        joiner.position = 1;
        return rt_.text("");
    }
    return joiner.items[0];
}

Outcome<Value> Evaluator::call_macro(const Macro& macro, const Args& args) {
    WEIR_TRY(enter_call());
    Scope& scope = new_scope(macro.closure);
    auto result = call_body(macro, args, scope);
    release(scope);
    --call_depth_;
    return result;
}

Outcome<Value> Evaluator::call_body(const Macro& macro, const Args& args, Scope& scope) {
    WEIR_TRY(bind_parameters(macro, args, scope));
    return capture(macro.definition->blocks[0], &scope);
}

// Values for the parameters: given by place, by name, or the default, which sees the parameters
// before it; then the names that only some macros have.
Outcome<void> Evaluator::bind_parameters(const Macro& macro, const Args& args, Scope& scope) {
    const Stmt& definition = *macro.definition;
    const auto& names = definition.parameters.names;
    const Exprs& defaults = definition.parameters.defaults;
    for (size_t i = 0; i < names.size(); ++i) {
        const Value* named = find_named(args, names[i].first);
        if (i < args.positional.size()) {
            if (named != nullptr) {
                return raise("macro '{}' got two values for '{}'", definition.text, names[i].first);
            }
            set(names[i].second, args.positional[i], &scope);
        } else if (named != nullptr) {
            set(names[i].second, *named, &scope);
        } else if (i + defaults.size() >= names.size()) {
            WEIR_TRY_ASSIGN(const Value value,
                            eval(*defaults[i + defaults.size() - names.size()], &scope));
            set(names[i].second, value, &scope);
        } else {
            set(names[i].second, Value::undefined(&names[i].first, nullptr), &scope);
        }
    }
    return bind_extras(definition, args, scope);
}

Outcome<void> Evaluator::bind_extras(const Stmt& definition, const Args& args, Scope& scope) {
    const auto set_named = [&](std::string_view name, const Value& value) {
        if (const auto id = find_id(name)) {
            set(*id, value, &scope);
        }
    };
    std::vector<Dict::Entry> unknown;
    for (const auto& [name, value] : args.named) {
        if (is_parameter(definition, name)) {
            continue;
        }
        if (name == "caller" && definition.uses_caller) {
            continue;
        }
        if (!definition.uses_kwargs) {
            return raise("macro '{}' takes no keyword argument '{}'", definition.text, name);
        }
        unknown.emplace_back(rt_.text(std::string(name)), value);
    }
    if (definition.uses_kwargs) {
        set_named("kwargs", rt_.dict(std::move(unknown)));
    }
    const size_t count = definition.parameters.names.size();
    if (definition.uses_varargs) {
        const size_t first = std::min(count, args.positional.size());
        set_named("varargs", rt_.tuple({args.positional.begin() + static_cast<ptrdiff_t>(first),
                                        args.positional.end()}));
    } else if (args.positional.size() > count) {
        return raise("macro '{}' takes not more than {} argument(s)", definition.text, count);
    }
    if (definition.uses_caller && !is_parameter(definition, "caller")) {
        static const std::string kCaller = "No caller defined";
        const Value* caller = find_named(args, "caller");
        set_named("caller", caller != nullptr ? *caller : Value::undefined(&kCaller, nullptr));
    }
    return {};
}

}  // namespace weir::text::jinja
