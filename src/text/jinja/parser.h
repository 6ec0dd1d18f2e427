#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/lexer.h"

namespace weir::text::jinja {

// Recursive descent over the tokens, with Jinja's precedences and its oddities (`**` binds from the
// left, `x is y` takes one primary as its argument). Chains are loops; only what brackets, unary
// operators and blocks put inside each other recurses, and that is limited.
//
// Threads: one parser, one thread.
class Parser {
  public:
    static constexpr uint32_t kDepthMax = 100;

    Parser(TokenList tokens, Ast& ast) : list_(std::move(tokens)), ast_(ast) {}
    Outcome<void> parse();  // fills ast.body

  private:
    using Parsed = Outcome<const Expr*>;

    class Depth {
      public:
        explicit Depth(uint32_t& depth) : depth_(depth) { ++depth_; }
        ~Depth() { --depth_; }
        Depth(const Depth&) = delete;
        Depth& operator=(const Depth&) = delete;
        bool too_deep() const { return depth_ > kDepthMax; }

      private:
        uint32_t& depth_;
    };
    std::unexpected<Raised> too_deep() const {
        return error("the template nests deeper than 100 levels");
    }

    // Tokens.
    const Token& current() const { return list_.tokens[at_]; }
    const Token& look() const {
        return list_.tokens[at_ + 1 < list_.tokens.size() ? at_ + 1 : at_];
    }
    void advance() { at_ += at_ + 1 < list_.tokens.size() ? 1 : 0; }
    bool is_op(std::string_view text) const {
        return current().kind == TokenKind::Operator && current().text == text;
    }
    bool is_name(std::string_view text) const {
        return current().kind == TokenKind::Name && current().text == text;
    }
    bool skip_op(std::string_view text);
    bool skip_name(std::string_view text);
    Outcome<void> expect_op(std::string_view text);
    Outcome<void> expect_name(std::string_view text);
    Outcome<void> expect(TokenKind kind, std::string_view what);
    Outcome<std::string_view> take_name();
    std::unexpected<Raised> error(std::string_view message) const;

    // Nodes.
    Expr& make(ExprKind kind);
    Stmt& make(StmtKind kind);
    NameId intern(std::string_view name);
    const Expr* constant(const Value& value);
    Value literal(std::string_view text);

    // Expressions, loosest first (parser_expr.cpp).
    Parsed expression() { return conditional(); }
    Parsed conditional();
    Parsed disjunction();
    Parsed conjunction();
    Parsed negation();
    Parsed comparison();
    Parsed sum();
    Parsed concatenation();
    Parsed product();
    Parsed power();
    enum class Filters : uint8_t { Take, Leave };
    Parsed unary(Filters filters);
    Parsed primary();
    Parsed string_primary();
    Parsed name_primary();
    Parsed postfix(const Expr* node);
    Parsed filter_chain(const Expr* node);
    Parsed subscript(const Expr* node);
    Parsed subscribed(const Expr* node);
    Parsed call(const Expr* node);
    Parsed filter(const Expr* node);
    Parsed test(const Expr* node);
    Parsed list();
    Parsed dict();
    enum class TupleStyle : uint8_t { Plain, NoConditional, Iterable, Parentheses };
    Parsed tuple(TupleStyle style);
    bool at_tuple_end(TupleStyle style) const;
    Outcome<CallArgs> call_args();
    Outcome<std::string> dotted_name();
    std::optional<Comparison> take_comparison();

    // Statements (parser.cpp).
    Outcome<Block> block(std::initializer_list<std::string_view> ends);
    bool at_one_of(std::initializer_list<std::string_view> names) const;
    Outcome<Block> body(std::initializer_list<std::string_view> ends);
    Outcome<const Stmt*> statement();
    Outcome<const Stmt*> output();
    Outcome<const Stmt*> if_statement();
    Outcome<const Stmt*> for_statement();
    Outcome<const Stmt*> set_statement();
    Outcome<const Stmt*> macro_statement();
    Outcome<const Stmt*> call_statement();
    Outcome<const Stmt*> filter_statement();
    Outcome<const Stmt*> with_statement();
    Outcome<const Stmt*> print_statement();
    Outcome<const Stmt*> block_statement();
    Outcome<const Stmt*> scope_statement(std::string_view end);
    Outcome<const Stmt*> loop_control(StmtKind kind);
    Outcome<void> signature(Stmt& stmt);
    Outcome<void> macro_body(Stmt& stmt, std::string_view end);
    enum class Attributes : uint8_t { Allowed, Refused };
    Outcome<Target> target(Attributes attributes);
    Outcome<Target> single_target(Attributes attributes);

    TokenList list_;
    Ast& ast_;
    size_t at_ = 0;
    uint32_t depth_ = 0;
    // Filters and tests that do not exist. Inside an if or a conditional expression that is an
    // error only where they run, so those are taken out again.
    std::vector<std::string> unknown_;
    uint32_t loops_ = 0;         // for statements around this place, in this macro
    uint32_t loop_targets_ = 0;  // how often something was assigned to the name "loop" so far
    std::set<std::string_view> block_names_;
    std::vector<Stmt*> scopes_;  // for, macro and call statements around this place
    std::map<std::string_view, NameId> ids_;
};

}  // namespace weir::text::jinja
