#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "text/jinja/ast.h"

namespace weir::text::jinja {

// The variables of a block that has its own: a loop's round, a macro's call. What a template sets
// at its top level has no Scope: it replaces what the context gave.
struct Scope {
    Scope* parent = nullptr;
    std::vector<std::pair<NameId, Value>> variables;
    bool captured = false;  // a macro or caller made here may need it after the block is over
};

// A macro, or the caller that a call block makes of its body.
struct Macro {
    const Stmt* definition = nullptr;
    Scope* closure = nullptr;
};

// Walks over the tree once. Frames that a template can nest are limited twice: macros and recursive
// loops by depth_max, everything else by Runtime::Level.
//
// Threads: one. Ownership: borrows the Ast, which must outlive what it renders.
class Evaluator {
  public:
    // `globals[i]` is what the name ast.names[i] means at the top level.
    Evaluator(Runtime& rt, const Ast& ast, std::vector<Value> globals)
        : rt_(rt), ast_(ast), globals_(std::move(globals)) {}

    Outcome<MarkedText> render();

  private:
    enum class Flow : uint8_t { Next, Break, Continue };

    // Expressions (evaluate.cpp).
    Outcome<Value> eval(const Expr& expr, Scope* scope);
    Outcome<Value> eval_name(const Expr& expr, Scope* scope);
    Outcome<Value> eval_sequence(const Expr& expr, Scope* scope);
    Outcome<Value> eval_dict(const Expr& expr, Scope* scope);
    Outcome<Value> eval_arithmetic(const Expr& expr, Scope* scope);
    Outcome<Value> eval_concat(const Expr& expr, Scope* scope);
    Outcome<Value> eval_logic(const Expr& expr, Scope* scope);
    Outcome<Value> eval_compare(const Expr& expr, Scope* scope);
    Outcome<Value> eval_conditional(const Expr& expr, Scope* scope);
    Outcome<Value> eval_slice(const Expr& expr, Scope* scope);
    Outcome<Value> eval_call(const Expr& expr, Scope* scope, const Value* caller);
    Outcome<Value> eval_filter(const Expr& expr, Scope* scope, const Value* block);
    Outcome<Value> eval_test(const Expr& expr, Scope* scope);
    Outcome<Args> eval_args(const CallArgs& args, Scope* scope);

    // Calls (call.cpp).
    Outcome<Value> call(const Value& callee, const Args& args);
    Outcome<Value> call_macro(const Macro& macro, const Args& args);
    Outcome<Value> call_body(const Macro& macro, const Args& args, Scope& scope);
    Outcome<void> bind_parameters(const Macro& macro, const Args& args, Scope& scope);
    Outcome<void> bind_extras(const Stmt& definition, const Args& args, Scope& scope);
    Outcome<Value> call_joiner(Cycler& joiner);

    // Statements (execute.cpp).
    Outcome<Flow> execute(const Block& block, Scope* scope, TextBuilder& out);
    Outcome<Flow> execute(const Stmt& stmt, Scope* scope, TextBuilder& out);
    Outcome<Flow> execute_if(const Stmt& stmt, Scope* scope, TextBuilder& out);
    Outcome<void> execute_with(const Stmt& stmt, Scope* scope, TextBuilder& out, Flow& flow);
    Outcome<Value> capture(const Block& block, Scope* scope);
    Outcome<void> define_macro(const Stmt& stmt, Scope* scope);
    Outcome<void> execute_call(const Stmt& stmt, Scope* scope, TextBuilder& out);
    Outcome<void> assign(const Target& target, const Value& value, Scope* scope);
    Outcome<void> assign_tuple(const Target& target, const Value& value, Scope* scope);
    void set(NameId name, const Value& value, Scope* scope);

    // Loops (loops.cpp).
    Outcome<void> execute_for(const Stmt& stmt, Scope* scope, TextBuilder& out);
    Outcome<void> run_loop(const Stmt& stmt, const Value& iterable, Scope* scope, size_t depth,
                           TextBuilder& out);
    Outcome<bool> passes(const Stmt& stmt, const Value& item, Scope* scope);
    Outcome<std::optional<Value>> pull(const Stmt& stmt, Cursor& cursor, Scope* scope);
    Outcome<Value> recurse(const Stmt& stmt, const Value& iterable, Scope* scope, size_t depth);

    // Scopes live as long as the evaluator, and are used again unless somebody kept them.
    Scope& new_scope(Scope* parent);
    void release(Scope& scope);
    static void keep(Scope* scope);
    std::optional<NameId> find_id(std::string_view name) const;

    // Macros and recursive loops inside each other.
    Outcome<void> enter_call();

    Runtime& rt_;
    const Ast& ast_;
    std::vector<Value> globals_;
    std::deque<Scope> scopes_;
    std::vector<Scope*> free_scopes_;
    std::deque<Macro> macros_;
    uint32_t call_depth_ = 0;
};

}  // namespace weir::text::jinja
