#include "text/jinja/evaluator.h"

#include <algorithm>

namespace weir::text::jinja {

Outcome<MarkedText> Evaluator::render() {
    TextBuilder out(rt_, rt_.limits().output_bytes_max);
    WEIR_TRY(execute(ast_.body, nullptr, out));
    return out.take();
}

Scope& Evaluator::new_scope(Scope* parent) {
    if (free_scopes_.empty()) {
        rt_.account(sizeof(Scope) + 64);
        Scope& scope = scopes_.emplace_back();
        scope.parent = parent;
        return scope;
    }
    Scope& scope = *free_scopes_.back();
    free_scopes_.pop_back();
    scope.parent = parent;
    return scope;
}

void Evaluator::release(Scope& scope) {
    if (!scope.captured) {
        scope.variables.clear();
        free_scopes_.push_back(&scope);
    }
}

void Evaluator::keep(Scope* scope) {
    for (; scope != nullptr && !scope->captured; scope = scope->parent) {
        scope->captured = true;
    }
}

std::optional<NameId> Evaluator::find_id(std::string_view name) const {
    for (size_t i = 0; i < ast_.names.size(); ++i) {
        if (ast_.names[i] == name) {
            return static_cast<NameId>(i);
        }
    }
    return std::nullopt;
}

void Evaluator::set(NameId name, const Value& value, Scope* scope) {
    if (scope == nullptr) {
        globals_[static_cast<size_t>(name)] = value;
        return;
    }
    for (auto& [known, place] : scope->variables) {
        if (known == name) {
            place = value;
            return;
        }
    }
    rt_.account(2 * sizeof(Value));
    scope->variables.emplace_back(name, value);
}

Outcome<void> Evaluator::assign(const Target& target, const Value& value, Scope* scope) {
    if (target.is_tuple) {
        return assign_tuple(target, value, scope);
    }
    if (target.attribute.empty()) {
        WEIR_TRY(rt_.charge(scope == nullptr ? 0 : scope->variables.size() / 16));
        set(target.name, value, scope);
        return {};
    }
    Expr name;
    name.kind = ExprKind::Name;
    name.name = target.name;
    WEIR_TRY_ASSIGN(const Value space, eval_name(name, scope));
    if (rt_.is_lenient() && space.is(Kind::Dict)) {
        std::vector<Dict::Entry> entries = space.dict().entries();
        WEIR_TRY(rt_.charge(entries.size()));
        WEIR_TRY(rt_.reserve((entries.size() + 1) * sizeof(Dict::Entry)));
        entries.emplace_back(rt_.text(target.attribute), value);
        set(target.name, rt_.dict(std::move(entries)), scope);
        return {};
    }
    if (!space.is(Kind::Namespace)) {
        return raise("cannot assign attribute on non-namespace object");
    }
    auto& attributes = space.name_space().attributes;
    const auto [place, added] = attributes.insert_or_assign(target.attribute, value);
    if (added) {
        rt_.account(target.attribute.size() + 96);
    }
    return {};
}

// Recursion is bounded: the parser limits how deep targets nest.
Outcome<void> Evaluator::assign_tuple(const Target& target, const Value& value, Scope* scope) {
    if (value.is_undefined()) {
        return undefined_error(value);
    }
    WEIR_TRY_ASSIGN(const std::vector<Value> items, to_vector(rt_, value));
    if (items.size() != target.parts.size()) {
        return raise("{} values to unpack (expected {}, got {})",
                     items.size() < target.parts.size() ? "not enough" : "too many",
                     target.parts.size(), items.size());
    }
    for (size_t i = 0; i < items.size(); ++i) {
        WEIR_TRY(assign(target.parts[i], items[i], scope));
    }
    return {};
}

Outcome<Evaluator::Flow> Evaluator::execute(const Block& block, Scope* scope, TextBuilder& out) {
    for (const Stmt* stmt : block) {
        WEIR_TRY_ASSIGN(const Flow flow, execute(*stmt, scope, out));
        if (flow != Flow::Next) {
            return flow;
        }
    }
    return Flow::Next;
}

Outcome<Evaluator::Flow> Evaluator::execute(const Stmt& stmt, Scope* scope, TextBuilder& out) {
    const Runtime::Level level(rt_);
    if (level.too_deep()) {
        return Runtime::too_deep();
    }
    WEIR_TRY(rt_.charge());
    rt_.line = stmt.line;
    Flow flow = Flow::Next;
    switch (stmt.kind) {
        case StmtKind::Data:
            WEIR_TRY(append_str(rt_, stmt.constant, out));
            break;
        case StmtKind::Output:
            for (const Expr* expr : stmt.exprs) {
                WEIR_TRY_ASSIGN(const Value value, eval(*expr, scope));
                WEIR_TRY(append_str(rt_, value, out));
            }
            break;
        case StmtKind::If:
            return execute_if(stmt, scope, out);
        case StmtKind::For:
            WEIR_TRY(execute_for(stmt, scope, out));
            break;
        case StmtKind::Set: {
            WEIR_TRY_ASSIGN(const Value value, eval(*stmt.exprs[0], scope));
            WEIR_TRY(assign(stmt.targets[0], value, scope));
            break;
        }
        case StmtKind::SetBlock:
        case StmtKind::Filter: {
            WEIR_TRY_ASSIGN(Value value, capture(stmt.blocks[0], scope));
            if (stmt.exprs[0] != nullptr) {
                WEIR_TRY_ASSIGN(value, eval_filter(*stmt.exprs[0], scope, &value));
            }
            if (stmt.kind == StmtKind::SetBlock) {
                WEIR_TRY(assign(stmt.targets[0], value, scope));
            } else {
                WEIR_TRY(append_str(rt_, value, out));
            }
            break;
        }
        case StmtKind::Macro:
            WEIR_TRY(define_macro(stmt, scope));
            break;
        case StmtKind::Call:
            WEIR_TRY(execute_call(stmt, scope, out));
            break;
        case StmtKind::With:
        case StmtKind::Scope:
            WEIR_TRY(execute_with(stmt, scope, out, flow));
            break;
        case StmtKind::Break:
            return Flow::Break;
        case StmtKind::Continue:
            return Flow::Continue;
    }
    return flow;
}

Outcome<Evaluator::Flow> Evaluator::execute_if(const Stmt& stmt, Scope* scope, TextBuilder& out) {
    for (size_t i = 0; i < stmt.exprs.size(); ++i) {
        WEIR_TRY_ASSIGN(const Value condition, eval(*stmt.exprs[i], scope));
        if (truthy(condition)) {
            return execute(stmt.blocks[i], scope, out);
        }
    }
    if (stmt.blocks.size() > stmt.exprs.size()) {
        return execute(stmt.blocks.back(), scope, out);
    }
    return Flow::Next;
}

// `with` and the tags that only wrap: a scope of their own. The values of `with` are evaluated
// outside of it.
Outcome<void> Evaluator::execute_with(const Stmt& stmt, Scope* scope, TextBuilder& out,
                                      Flow& flow) {
    Scope& inner = new_scope(scope);
    for (size_t i = 0; i < stmt.exprs.size(); ++i) {
        WEIR_TRY_ASSIGN(const Value value, eval(*stmt.exprs[i], scope));
        WEIR_TRY(assign(stmt.targets[i], value, &inner));
    }
    WEIR_TRY_ASSIGN(flow, execute(stmt.blocks[0], &inner, out));
    release(inner);
    return {};
}

// What a block renders, as text.
Outcome<Value> Evaluator::capture(const Block& block, Scope* scope) {
    TextBuilder out(rt_, std::min(rt_.limits().output_bytes_max, rt_.room()));
    Scope& inner = new_scope(scope);
    WEIR_TRY(execute(block, &inner, out));
    release(inner);
    return out.finish();
}

Outcome<void> Evaluator::define_macro(const Stmt& stmt, Scope* scope) {
    keep(scope);
    rt_.account(sizeof(Macro));
    const Macro& macro = macros_.emplace_back(Macro{&stmt, scope});
    set(stmt.name, Value::of(macro), scope);
    return {};
}

Outcome<void> Evaluator::execute_call(const Stmt& stmt, Scope* scope, TextBuilder& out) {
    keep(scope);
    rt_.account(sizeof(Macro));
    const Value caller = Value::of(macros_.emplace_back(Macro{&stmt, scope}));
    WEIR_TRY_ASSIGN(const Value text, eval_call(*stmt.exprs[0], scope, &caller));
    return append_str(rt_, text, out);
}

}  // namespace weir::text::jinja
