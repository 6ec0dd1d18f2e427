#include "text/jinja/parser.h"

#include <fmt/format.h>

namespace weir::text::jinja {
namespace {

// Sets a member for the life of a scope.
template <typename T>
class Saved {
  public:
    Saved(T& place, T value) : place_(place), before_(std::exchange(place, value)) {}
    ~Saved() { place_ = before_; }
    Saved(const Saved&) = delete;
    Saved& operator=(const Saved&) = delete;

  private:
    T& place_;
    T before_;
};

}  // namespace

std::unexpected<Raised> Parser::error(std::string_view message) const {
    return raise("line {}: {}", current().line, message);
}

bool Parser::skip_op(std::string_view text) {
    const bool here = is_op(text);
    if (here) {
        advance();
    }
    return here;
}

bool Parser::skip_name(std::string_view text) {
    const bool here = is_name(text);
    if (here) {
        advance();
    }
    return here;
}

Outcome<void> Parser::expect_op(std::string_view text) {
    return skip_op(text) ? Outcome<void>() : error(fmt::format("expected '{}'", text));
}

Outcome<void> Parser::expect_name(std::string_view text) {
    return skip_name(text) ? Outcome<void>() : error(fmt::format("expected '{}'", text));
}

Outcome<void> Parser::expect(TokenKind kind, std::string_view what) {
    if (current().kind != kind) {
        return error(fmt::format("expected {}", what));
    }
    advance();
    return {};
}

Outcome<std::string_view> Parser::take_name() {
    const Token& token = current();
    WEIR_TRY(expect(TokenKind::Name, "a name"));
    return token.text;
}

Expr& Parser::make(ExprKind kind) {
    Expr& expr = ast_.exprs.emplace_back();
    expr.kind = kind;
    expr.line = current().line;
    return expr;
}

Stmt& Parser::make(StmtKind kind) {
    Stmt& stmt = ast_.stmts.emplace_back();
    stmt.kind = kind;
    stmt.line = current().line;
    return stmt;
}

NameId Parser::intern(std::string_view name) {
    const auto [entry, added] = ids_.try_emplace(name, static_cast<NameId>(ast_.names.size()));
    if (added) {
        ast_.names.emplace_back(name);
    }
    return entry->second;
}

Value Parser::literal(std::string_view text) {
    return Value::of(
        ast_.literals.emplace_back(Str{MarkedText(std::string(text), Trust::Template)}));
}

Outcome<void> Parser::parse() {
    WEIR_TRY_ASSIGN(ast_.body, block({}));
    if (current().kind != TokenKind::End) {
        return error(fmt::format("'{}' ends nothing", current().text));
    }
    if (!unknown_.empty()) {
        return raise("{}", unknown_.front());
    }
    return {};
}

bool Parser::at_one_of(std::initializer_list<std::string_view> names) const {
    for (const std::string_view name : names) {
        if (is_name(name)) {
            return true;
        }
    }
    return false;
}

// Statements up to a tag named in `ends`, whose name is then the current token, or to the end of
// the template if `ends` is empty.
Outcome<Block> Parser::block(std::initializer_list<std::string_view> ends) {
    const Depth depth(depth_);
    if (depth.too_deep()) {
        return too_deep();
    }
    Block block;
    while (current().kind != TokenKind::End) {
        if (current().kind == TokenKind::Data) {
            Stmt& data = make(StmtKind::Data);
            data.constant = literal(current().text);
            block.push_back(&data);
            advance();
        } else if (current().kind == TokenKind::VariableBegin) {
            advance();
            WEIR_TRY_ASSIGN(const Stmt* stmt, output());
            block.push_back(stmt);
            WEIR_TRY(expect(TokenKind::VariableEnd, "the end of the print statement"));
        } else {
            WEIR_TRY(expect(TokenKind::BlockBegin, "a tag"));
            if (at_one_of(ends)) {
                return block;
            }
            WEIR_TRY_ASSIGN(const Stmt* stmt, statement());
            block.push_back(stmt);
            WEIR_TRY(expect(TokenKind::BlockEnd, "the end of the tag"));
        }
    }
    if (ends.size() != 0) {
        return error(fmt::format("the template ends before '{}'", *(ends.end() - 1)));
    }
    return block;
}

// The rest of a tag that opens a block, and the block.
Outcome<Block> Parser::body(std::initializer_list<std::string_view> ends) {
    skip_op(":");
    WEIR_TRY(expect(TokenKind::BlockEnd, "the end of the tag"));
    return block(ends);
}

Outcome<const Stmt*> Parser::output() {
    Stmt& stmt = make(StmtKind::Output);
    WEIR_TRY_ASSIGN(const Expr* expr, tuple(TupleStyle::Plain));
    stmt.exprs.push_back(expr);
    return &stmt;
}

Outcome<const Stmt*> Parser::statement() {
    using Handler = Outcome<const Stmt*> (Parser::*)();
    static constexpr std::pair<std::string_view, Handler> kHandlers[] = {
        {"if", &Parser::if_statement},     {"for", &Parser::for_statement},
        {"set", &Parser::set_statement},   {"macro", &Parser::macro_statement},
        {"call", &Parser::call_statement}, {"filter", &Parser::filter_statement},
        {"with", &Parser::with_statement}, {"print", &Parser::print_statement},
    };
    WEIR_TRY_ASSIGN(const std::string_view tag, take_name());
    for (const auto& [name, handler] : kHandlers) {
        if (tag == name) {
            return (this->*handler)();
        }
    }
    if (tag == "generation") {
        return scope_statement("endgeneration");
    }
    if (tag == "block") {
        return block_statement();
    }
    if (tag == "break" || tag == "continue") {
        return loop_control(tag == "break" ? StmtKind::Break : StmtKind::Continue);
    }
    for (const std::string_view refused : {"include", "import", "from", "extends", "autoescape"}) {
        if (tag == refused) {
            return error(fmt::format("'{}' is not supported in chat templates", tag));
        }
    }
    return error(fmt::format("unknown tag '{}'", tag));
}

Outcome<const Stmt*> Parser::if_statement() {
    const size_t unknown = unknown_.size();
    Stmt& stmt = make(StmtKind::If);
    while (true) {
        WEIR_TRY_ASSIGN(const Expr* condition, tuple(TupleStyle::NoConditional));
        stmt.exprs.push_back(condition);
        WEIR_TRY_ASSIGN(Block then, body({"elif", "else", "endif"}));
        stmt.blocks.push_back(std::move(then));
        if (!skip_name("elif")) {
            break;
        }
    }
    if (skip_name("else")) {
        WEIR_TRY_ASSIGN(Block otherwise, body({"endif"}));
        stmt.blocks.push_back(std::move(otherwise));
    }
    WEIR_TRY(expect_name("endif"));
    unknown_.resize(unknown);
    return &stmt;
}

Outcome<const Stmt*> Parser::for_statement() {
    Stmt& stmt = make(StmtKind::For);
    const uint32_t loop_names = loop_targets_;
    WEIR_TRY_ASSIGN(Target into, target(Attributes::Refused));
    if (loop_targets_ != loop_names) {
        return error("a loop cannot assign to its own variable 'loop'");
    }
    stmt.targets.push_back(std::move(into));
    WEIR_TRY(expect_name("in"));
    WEIR_TRY_ASSIGN(const Expr* iterable, tuple(TupleStyle::Iterable));
    stmt.exprs.push_back(iterable);
    scopes_.push_back(&stmt);
    ++loops_;
    const Expr* filter = nullptr;
    if (skip_name("if")) {
        WEIR_TRY_ASSIGN(filter, expression());
    }
    stmt.exprs.push_back(filter);
    stmt.recursive = skip_name("recursive");
    WEIR_TRY_ASSIGN(Block each, body({"else", "endfor"}));
    stmt.blocks.push_back(std::move(each));
    scopes_.pop_back();
    --loops_;
    if (skip_name("else")) {
        WEIR_TRY_ASSIGN(Block otherwise, body({"endfor"}));
        stmt.blocks.push_back(std::move(otherwise));
    }
    WEIR_TRY(expect_name("endfor"));
    return &stmt;
}

Outcome<const Stmt*> Parser::loop_control(StmtKind kind) {
    if (loops_ == 0) {
        return error("'break' and 'continue' stand inside of loops");
    }
    return &make(kind);
}

Outcome<Target> Parser::single_target(Attributes attributes) {
    const Depth depth(depth_);
    if (depth.too_deep()) {
        return too_deep();
    }
    if (skip_op("(")) {
        WEIR_TRY_ASSIGN(Target inner, target(attributes));
        WEIR_TRY(expect_op(")"));
        return inner;
    }
    WEIR_TRY_ASSIGN(const std::string_view name, take_name());
    for (const std::string_view constant : {"true", "false", "none", "True", "False", "None"}) {
        if (name == constant) {
            return error(fmt::format("can't assign to '{}'", name));
        }
    }
    loop_targets_ += name == "loop" ? 1 : 0;
    Target single;
    single.name = intern(name);
    if (attributes == Attributes::Allowed && skip_op(".")) {
        WEIR_TRY_ASSIGN(single.attribute, take_name());
    }
    return single;
}

Outcome<Target> Parser::target(Attributes attributes) {
    WEIR_TRY_ASSIGN(Target first, single_target(attributes));
    if (!is_op(",")) {
        return first;
    }
    Target all;
    all.is_tuple = true;
    all.parts.push_back(std::move(first));
    while (skip_op(",")) {
        if (is_name("in") || is_op("=") || is_op(")") || current().kind == TokenKind::BlockEnd) {
            break;
        }
        WEIR_TRY_ASSIGN(Target next, single_target(attributes));
        all.parts.push_back(std::move(next));
    }
    return all;
}

Outcome<const Stmt*> Parser::set_statement() {
    Stmt& stmt = make(StmtKind::Set);
    WEIR_TRY_ASSIGN(Target into, target(Attributes::Allowed));
    stmt.targets.push_back(std::move(into));
    if (skip_op("=")) {
        WEIR_TRY_ASSIGN(const Expr* value, tuple(TupleStyle::Plain));
        stmt.exprs.push_back(value);
        return &stmt;
    }
    stmt.kind = StmtKind::SetBlock;
    const Expr* filters = nullptr;
    while (skip_op("|")) {
        WEIR_TRY_ASSIGN(filters, filter(filters));
    }
    stmt.exprs.push_back(filters);
    WEIR_TRY_ASSIGN(Block inner, body({"endset"}));
    stmt.blocks.push_back(std::move(inner));
    WEIR_TRY(expect_name("endset"));
    return &stmt;
}

Outcome<void> Parser::signature(Stmt& stmt) {
    WEIR_TRY(expect_op("("));
    while (!is_op(")")) {
        if (!stmt.parameters.names.empty()) {
            WEIR_TRY(expect_op(","));
        }
        WEIR_TRY_ASSIGN(const std::string_view name, take_name());
        for (const auto& [earlier, id] : stmt.parameters.names) {
            if (earlier == name) {
                return error(fmt::format("two parameters named '{}'", name));
            }
        }
        stmt.parameters.names.emplace_back(name, intern(name));
        if (skip_op("=")) {
            WEIR_TRY_ASSIGN(const Expr* value, expression());
            stmt.parameters.defaults.push_back(value);
        } else if (name == "caller") {
            return error("the parameter 'caller' needs a default");
        } else if (!stmt.parameters.defaults.empty()) {
            return error("a parameter without default after one with default");
        }
    }
    return expect_op(")");
}

// The body of a macro or of a call block: a scope of its own, in which loops outside do not count.
Outcome<void> Parser::macro_body(Stmt& stmt, std::string_view end) {
    const Saved loops(loops_, uint32_t{0});
    scopes_.push_back(&stmt);
    WEIR_TRY_ASSIGN(Block inner, body({end}));
    stmt.blocks.push_back(std::move(inner));
    scopes_.pop_back();
    return expect_name(end);
}

Outcome<const Stmt*> Parser::macro_statement() {
    Stmt& stmt = make(StmtKind::Macro);
    WEIR_TRY_ASSIGN(stmt.text, take_name());
    stmt.name = intern(stmt.text);
    WEIR_TRY(signature(stmt));
    WEIR_TRY(macro_body(stmt, "endmacro"));
    return &stmt;
}

Outcome<const Stmt*> Parser::call_statement() {
    Stmt& stmt = make(StmtKind::Call);
    stmt.text = "caller";
    if (is_op("(")) {
        WEIR_TRY(signature(stmt));
    }
    WEIR_TRY_ASSIGN(const Expr* callee, expression());
    if (callee->kind != ExprKind::Call) {
        return error("expected a call");
    }
    stmt.exprs.push_back(callee);
    WEIR_TRY(macro_body(stmt, "endcall"));
    return &stmt;
}

Outcome<const Stmt*> Parser::filter_statement() {
    Stmt& stmt = make(StmtKind::Filter);
    const Expr* filters = nullptr;
    do {
        WEIR_TRY_ASSIGN(filters, filter(filters));
    } while (skip_op("|"));
    stmt.exprs.push_back(filters);
    WEIR_TRY_ASSIGN(Block inner, body({"endfilter"}));
    stmt.blocks.push_back(std::move(inner));
    WEIR_TRY(expect_name("endfilter"));
    return &stmt;
}

Outcome<const Stmt*> Parser::with_statement() {
    Stmt& stmt = make(StmtKind::With);
    while (current().kind != TokenKind::BlockEnd) {
        if (!stmt.exprs.empty()) {
            WEIR_TRY(expect_op(","));
        }
        WEIR_TRY_ASSIGN(Target into, single_target(Attributes::Refused));
        stmt.targets.push_back(std::move(into));
        WEIR_TRY(expect_op("="));
        WEIR_TRY_ASSIGN(const Expr* value, expression());
        stmt.exprs.push_back(value);
    }
    WEIR_TRY_ASSIGN(Block inner, body({"endwith"}));
    stmt.blocks.push_back(std::move(inner));
    WEIR_TRY(expect_name("endwith"));
    return &stmt;
}

Outcome<const Stmt*> Parser::print_statement() {
    Stmt& stmt = make(StmtKind::Output);
    while (current().kind != TokenKind::BlockEnd) {
        if (!stmt.exprs.empty()) {
            WEIR_TRY(expect_op(","));
        }
        WEIR_TRY_ASSIGN(const Expr* expr, expression());
        stmt.exprs.push_back(expr);
    }
    return &stmt;
}

// Nothing extends a chat template: a block stands for its content. Its name is still its own.
Outcome<const Stmt*> Parser::block_statement() {
    WEIR_TRY_ASSIGN(const std::string_view name, take_name());
    if (!block_names_.insert(name).second) {
        return error(fmt::format("block '{}' defined twice", name));
    }
    skip_name("scoped");
    return scope_statement("endblock");
}

// Tags that only wrap their content here: `generation` marks what a trainer masks.
Outcome<const Stmt*> Parser::scope_statement(std::string_view end) {
    Stmt& stmt = make(StmtKind::Scope);
    WEIR_TRY_ASSIGN(Block inner, body({end}));
    stmt.blocks.push_back(std::move(inner));
    WEIR_TRY(expect_name(end));
    if (current().kind == TokenKind::Name) {  // {% endblock name %}
        advance();
    }
    return &stmt;
}

}  // namespace weir::text::jinja
