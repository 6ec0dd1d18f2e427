#include "text/jinja/evaluator.h"

namespace weir::text::jinja {
namespace {

constexpr size_t kAhead = 1;  // how far `last` and `nextitem` look

// Makes sure that `count` items are pulled ahead, if there are so many.
Outcome<bool> look_ahead(LoopState& loop, size_t count) {
    while (loop.ahead.size() < count && loop.pull && !loop.exhausted) {
        WEIR_TRY_ASSIGN(const auto next, loop.pull());
        if (!next) {
            loop.exhausted = true;
            break;
        }
        loop.ahead.push_back(*next);
    }
    return loop.ahead.size() >= count;
}

Outcome<Whole> loop_length(LoopState& loop) {
    WEIR_TRY(look_ahead(loop, SIZE_MAX));
    return static_cast<Whole>(loop.index0 + (loop.current ? 1 : 0) + loop.ahead.size());
}

Value missing_item(const std::string& name) {
    return Value::undefined(&name, nullptr);
}

Outcome<Value> loop_cycle(Runtime&, const Value& self, const Args& args) {
    if (args.positional.empty()) {
        return raise("no items for cycling given");
    }
    return args.positional[self.loop().index0 % args.positional.size()];
}

Outcome<Value> loop_changed(Runtime& rt, const Value& self, const Args& args) {
    LoopState& loop = self.loop();
    bool same = loop.changed && loop.changed->size() == args.positional.size();
    for (size_t i = 0; same && i < args.positional.size(); ++i) {
        WEIR_TRY_ASSIGN(same, equals(rt, (*loop.changed)[i], args.positional[i]));
    }
    loop.changed = args.positional;
    return Value::boolean(!same);
}

constexpr Native kCycle = {"cycle", loop_cycle};
constexpr Native kChanged = {"changed", loop_changed};

}  // namespace

Outcome<std::optional<Value>> loop_attribute(Runtime&, const Value& value, std::string_view name) {
    static const std::string kPrevious = "there is no previous item";
    static const std::string kNext = "there is no next item";
    LoopState& loop = value.loop();
    const auto index0 = static_cast<Whole>(loop.index0);
    if (name == "index" || name == "index0") {
        return Value::integer(index0 + (name == "index" ? 1 : 0));
    }
    if (name == "first") {
        return Value::boolean(index0 == 0);
    }
    if (name == "last") {
        WEIR_TRY_ASSIGN(const bool more, look_ahead(loop, kAhead));
        return Value::boolean(!more);
    }
    if (name == "previtem") {
        return loop.before ? *loop.before : missing_item(kPrevious);
    }
    if (name == "nextitem") {
        WEIR_TRY_ASSIGN(const bool more, look_ahead(loop, kAhead));
        return more ? loop.ahead.front() : missing_item(kNext);
    }
    if (name == "length" || name == "revindex" || name == "revindex0") {
        WEIR_TRY_ASSIGN(const Whole length, loop_length(loop));
        const Whole rest = length - index0;
        return Value::integer(name == "length" ? length : name == "revindex" ? rest : rest - 1);
    }
    if (name == "depth" || name == "depth0") {
        return Value::integer(static_cast<Whole>(loop.depth0) + (name == "depth" ? 1 : 0));
    }
    if (name == "cycle") {
        return Value::bound(kCycle, value);
    }
    if (name == "changed") {
        return Value::bound(kChanged, value);
    }
    return std::nullopt;
}

Outcome<void> Evaluator::execute_for(const Stmt& stmt, Scope* scope, TextBuilder& out) {
    WEIR_TRY_ASSIGN(const Value iterable, eval(*stmt.exprs[0], scope));
    rt_.line = stmt.line;
    return run_loop(stmt, iterable, scope, 0, out);
}

Outcome<bool> Evaluator::passes(const Stmt& stmt, const Value& item, Scope* scope) {
    if (stmt.exprs[1] == nullptr) {
        return true;
    }
    Scope& inner = new_scope(scope);
    WEIR_TRY(assign(stmt.targets[0], item, &inner));
    WEIR_TRY_ASSIGN(const Value condition, eval(*stmt.exprs[1], &inner));
    release(inner);
    return truthy(condition);
}

// The next item that the loop's own filter lets through.
Outcome<std::optional<Value>> Evaluator::pull(const Stmt& stmt, Cursor& cursor, Scope* scope) {
    while (true) {
        WEIR_TRY_ASSIGN(const auto item, cursor.next(rt_));
        if (!item) {
            return std::nullopt;
        }
        WEIR_TRY_ASSIGN(const bool passed, passes(stmt, *item, scope));
        if (passed) {
            return item;
        }
    }
}

Outcome<Value> Evaluator::recurse(const Stmt& stmt, const Value& iterable, Scope* scope,
                                  size_t depth) {
    WEIR_TRY(enter_call());
    TextBuilder out(rt_, std::min(rt_.limits().output_bytes_max, rt_.room()));
    auto done = run_loop(stmt, iterable, scope, depth, out);
    --call_depth_;
    WEIR_TRY(std::move(done));
    return out.finish();
}

Outcome<void> Evaluator::run_loop(const Stmt& stmt, const Value& iterable, Scope* scope,
                                  size_t depth, TextBuilder& out) {
    WEIR_TRY_ASSIGN(Cursor cursor, Cursor::over(iterable));
    static const NameId kNone{UINT32_MAX};
    LoopState* loop = nullptr;
    NameId loop_name = kNone;
    if (stmt.uses_loop) {
        loop = &rt_.loop();
        loop_name = find_id("loop").value_or(kNone);
        loop->depth0 = depth;
        loop->pull = [this, &stmt, &cursor, scope] {
            return pull(stmt, cursor, scope);
        };
        if (stmt.recursive) {
            loop->recurse = [this, &stmt, scope, depth](const Value& inner) {
                return recurse(stmt, inner, scope, depth + 1);
            };
        }
    }
    // Whatever ends this function, nobody may call back into it.
    const auto forget = [](LoopState* state) {
        if (state != nullptr) {
            state->pull = nullptr;
            state->recurse = nullptr;
        }
    };
    const std::unique_ptr<LoopState, decltype(forget)> forgotten(loop, forget);

    bool any = false;
    while (true) {
        std::optional<Value> item;
        if (loop != nullptr && !loop->ahead.empty()) {
            item = loop->ahead.front();
            loop->ahead.pop_front();
        } else if (loop == nullptr || !loop->exhausted) {
            WEIR_TRY_ASSIGN(item, pull(stmt, cursor, scope));
        }
        if (!item) {
            break;
        }
        Scope& inner = new_scope(scope);
        if (loop != nullptr) {
            loop->index0 += loop->current ? 1 : 0;
            loop->before = loop->current;
            loop->current = item;
            set(loop_name, Value::of(*loop), &inner);
        }
        any = true;
        WEIR_TRY(assign(stmt.targets[0], *item, &inner));
        WEIR_TRY_ASSIGN(const Flow flow, execute(stmt.blocks[0], &inner, out));
        release(inner);
        if (flow == Flow::Break) {
            return {};
        }
    }
    if (!any && stmt.blocks.size() > 1) {
        Scope& inner = new_scope(scope);
        WEIR_TRY(execute(stmt.blocks[1], &inner, out));
        release(inner);
    }
    return {};
}

}  // namespace weir::text::jinja
