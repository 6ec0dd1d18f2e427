#include "text/jinja/evaluator.h"

namespace weir::text::jinja {

Outcome<Value> Evaluator::eval(const Expr& expr, Scope* scope) {
    const Runtime::Level level(rt_);
    if (level.too_deep()) {
        return Runtime::too_deep();
    }
    WEIR_TRY(rt_.charge());
    switch (expr.kind) {
        case ExprKind::Constant:
            return expr.constant;
        case ExprKind::Name:
            return eval_name(expr, scope);
        case ExprKind::Tuple:
        case ExprKind::List:
            return eval_sequence(expr, scope);
        case ExprKind::Dict:
            return eval_dict(expr, scope);
        case ExprKind::Not: {
            WEIR_TRY_ASSIGN(const Value value, eval(*expr.items[0], scope));
            return Value::boolean(!truthy(value));
        }
        case ExprKind::Negative: {
            WEIR_TRY_ASSIGN(const Value value, eval(*expr.items[0], scope));
            return negate(value);
        }
        case ExprKind::Positive: {
            WEIR_TRY_ASSIGN(const Value value, eval(*expr.items[0], scope));
            return plus(value);
        }
        case ExprKind::Arithmetic:
            return eval_arithmetic(expr, scope);
        case ExprKind::Concat:
            return eval_concat(expr, scope);
        case ExprKind::And:
        case ExprKind::Or:
            return eval_logic(expr, scope);
        case ExprKind::Compare:
            return eval_compare(expr, scope);
        case ExprKind::Conditional:
            return eval_conditional(expr, scope);
        case ExprKind::Attribute: {
            WEIR_TRY_ASSIGN(const Value value, eval(*expr.items[0], scope));
            rt_.line = expr.line;
            return get_attribute(rt_, value, expr.text);
        }
        case ExprKind::Item: {
            WEIR_TRY_ASSIGN(const Value value, eval(*expr.items[0], scope));
            WEIR_TRY_ASSIGN(const Value key, eval(*expr.items[1], scope));
            rt_.line = expr.line;
            return get_item(rt_, value, key);
        }
        case ExprKind::Slice:
            return eval_slice(expr, scope);
        case ExprKind::Call:
            return eval_call(expr, scope, nullptr);
        case ExprKind::Filter:
            return eval_filter(expr, scope, nullptr);
        case ExprKind::Test:
            return eval_test(expr, scope);
    }
    return Value();
}

Outcome<Value> Evaluator::eval_name(const Expr& expr, Scope* scope) {
    for (; scope != nullptr; scope = scope->parent) {
        WEIR_TRY(rt_.charge(scope->variables.size() / 16));
        for (const auto& [name, value] : scope->variables) {
            if (name == expr.name) {
                return value;
            }
        }
    }
    return globals_[static_cast<size_t>(expr.name)];
}

Outcome<Value> Evaluator::eval_sequence(const Expr& expr, Scope* scope) {
    std::vector<Value> items;
    items.reserve(expr.items.size());
    for (const Expr* item : expr.items) {
        WEIR_TRY_ASSIGN(const Value value, eval(*item, scope));
        items.push_back(value);
    }
    return expr.kind == ExprKind::List ? rt_.list(std::move(items)) : rt_.tuple(std::move(items));
}

Outcome<Value> Evaluator::eval_dict(const Expr& expr, Scope* scope) {
    std::vector<Dict::Entry> entries;
    entries.reserve(expr.items.size() / 2);
    for (size_t i = 0; i + 1 < expr.items.size(); i += 2) {
        WEIR_TRY_ASSIGN(const Value key, eval(*expr.items[i], scope));
        WEIR_TRY_ASSIGN(const Value value, eval(*expr.items[i + 1], scope));
        if (!is_hashable(key)) {
            return type_error("unhashable type", key);
        }
        entries.emplace_back(key, value);
    }
    return rt_.dict(std::move(entries));
}

Outcome<Value> Evaluator::eval_arithmetic(const Expr& expr, Scope* scope) {
    WEIR_TRY_ASSIGN(Value value, eval(*expr.items[0], scope));
    for (size_t i = 0; i < expr.ops.size(); ++i) {
        WEIR_TRY_ASSIGN(const Value next, eval(*expr.items[i + 1], scope));
        rt_.line = expr.line;
        WEIR_TRY_ASSIGN(value, apply(rt_, expr.ops[i], value, next));
    }
    return value;
}

Outcome<Value> Evaluator::eval_concat(const Expr& expr, Scope* scope) {
    TextBuilder out(rt_);
    for (const Expr* item : expr.items) {
        WEIR_TRY_ASSIGN(const Value value, eval(*item, scope));
        WEIR_TRY(append_str(rt_, value, out));
    }
    return out.finish();
}

Outcome<Value> Evaluator::eval_logic(const Expr& expr, Scope* scope) {
    const bool stop_at = expr.kind == ExprKind::Or;
    Value value;
    for (const Expr* item : expr.items) {
        WEIR_TRY_ASSIGN(value, eval(*item, scope));
        if (truthy(value) == stop_at) {
            break;
        }
    }
    return value;
}

Outcome<Value> Evaluator::eval_compare(const Expr& expr, Scope* scope) {
    WEIR_TRY_ASSIGN(Value left, eval(*expr.items[0], scope));
    for (size_t i = 0; i < expr.comparisons.size(); ++i) {
        WEIR_TRY_ASSIGN(const Value right, eval(*expr.items[i + 1], scope));
        rt_.line = expr.line;
        bool holds = false;
        switch (expr.comparisons[i]) {
            case Comparison::Equal:
            case Comparison::NotEqual: {
                WEIR_TRY_ASSIGN(const bool equal, equals(rt_, left, right));
                holds = equal == (expr.comparisons[i] == Comparison::Equal);
                break;
            }
            case Comparison::In:
            case Comparison::NotIn: {
                WEIR_TRY_ASSIGN(const bool found, contains(rt_, right, left));
                holds = found == (expr.comparisons[i] == Comparison::In);
                break;
            }
            default: {
                WEIR_TRY_ASSIGN(const int sign, order(rt_, left, right));
                const bool or_equal = expr.comparisons[i] == Comparison::LessEqual ||
                                      expr.comparisons[i] == Comparison::GreaterEqual;
                const bool less = expr.comparisons[i] == Comparison::Less ||
                                  expr.comparisons[i] == Comparison::LessEqual;
                holds = sign == 0 ? or_equal : (sign < 0) == less;
                break;
            }
        }
        if (!holds) {
            return Value::boolean(false);
        }
        left = right;
    }
    return Value::boolean(true);
}

Outcome<Value> Evaluator::eval_conditional(const Expr& expr, Scope* scope) {
    WEIR_TRY_ASSIGN(const Value condition, eval(*expr.items[0], scope));
    if (truthy(condition)) {
        return eval(*expr.items[1], scope);
    }
    if (expr.items.size() > 2) {
        return eval(*expr.items[2], scope);
    }
    static const std::string kNoElse = "an inline if without else";
    return Value::undefined(&kNoElse, nullptr);
}

Outcome<Value> Evaluator::eval_slice(const Expr& expr, Scope* scope) {
    WEIR_TRY_ASSIGN(const Value value, eval(*expr.items[0], scope));
    Value bounds[3];
    for (size_t i = 0; i < 3; ++i) {
        if (expr.items[i + 1] != nullptr) {
            WEIR_TRY_ASSIGN(bounds[i], eval(*expr.items[i + 1], scope));
        }
    }
    rt_.line = expr.line;
    return get_slice(rt_, value, bounds[0], bounds[1], bounds[2]);
}

Outcome<Args> Evaluator::eval_args(const CallArgs& args, Scope* scope) {
    Args out;
    for (const Expr* expr : args.positional) {
        WEIR_TRY_ASSIGN(const Value value, eval(*expr, scope));
        out.positional.push_back(value);
    }
    for (const auto& [name, expr] : args.named) {
        WEIR_TRY_ASSIGN(const Value value, eval(*expr, scope));
        out.named.emplace_back(name, value);
    }
    if (args.star != nullptr) {
        WEIR_TRY_ASSIGN(const Value more, eval(*args.star, scope));
        WEIR_TRY_ASSIGN(const std::vector<Value> items, to_vector(rt_, more));
        out.positional.insert(out.positional.end(), items.begin(), items.end());
    }
    if (args.star_star != nullptr) {
        WEIR_TRY_ASSIGN(const Value more, eval(*args.star_star, scope));
        if (!more.is(Kind::Dict)) {
            return type_error("argument after ** must be a mapping", more);
        }
        for (const auto& [key, value] : more.dict().entries()) {
            if (!key.is_str()) {
                return type_error("keywords must be strings", key);
            }
            WEIR_TRY(rt_.charge());
            out.named.emplace_back(key.bytes(), value);
        }
    }
    return out;
}

Outcome<Value> Evaluator::eval_call(const Expr& expr, Scope* scope, const Value* caller) {
    WEIR_TRY_ASSIGN(const Value callee, eval(*expr.items[0], scope));
    WEIR_TRY_ASSIGN(Args args, eval_args(expr.args, scope));
    if (caller != nullptr) {
        args.named.emplace_back("caller", *caller);
    }
    rt_.line = expr.line;
    return call(callee, args);
}

Outcome<Value> Evaluator::eval_filter(const Expr& expr, Scope* scope, const Value* block) {
    Value input;
    if (expr.items[0] == nullptr) {
        input = block != nullptr ? *block : Value();
    } else if (block != nullptr) {  // a chain whose innermost filter takes the block
        WEIR_TRY_ASSIGN(input, eval_filter(*expr.items[0], scope, block));
    } else {
        WEIR_TRY_ASSIGN(input, eval(*expr.items[0], scope));
    }
    rt_.line = expr.line;
    if (expr.filter == nullptr) {
        return raise("no filter named '{}'", expr.text);
    }
    WEIR_TRY_ASSIGN(const Args args, eval_args(expr.args, scope));
    rt_.line = expr.line;
    return expr.filter->call(rt_, input, args);
}

Outcome<Value> Evaluator::eval_test(const Expr& expr, Scope* scope) {
    WEIR_TRY_ASSIGN(const Value input, eval(*expr.items[0], scope));
    rt_.line = expr.line;
    if (expr.test == nullptr) {
        return raise("no test named '{}'", expr.text);
    }
    WEIR_TRY_ASSIGN(const Args args, eval_args(expr.args, scope));
    WEIR_TRY_ASSIGN(const bool holds, expr.test->call(rt_, input, args));
    return Value::boolean(holds);
}

}  // namespace weir::text::jinja
