// The expression half of the parser, from the loosest operator to primaries and literals: one
// grammar whose rules call each other in a circle, so that cutting it would only scatter it.

#include <fmt/format.h>

#include "text/jinja/parser.h"

namespace weir::text::jinja {

const Expr* Parser::constant(const Value& value) {
    Expr& expr = make(ExprKind::Constant);
    expr.constant = value;
    return &expr;
}

Parser::Parsed Parser::conditional() {
    const Depth depth(depth_);
    if (depth.too_deep()) {
        return too_deep();
    }
    const size_t unknown = unknown_.size();
    WEIR_TRY_ASSIGN(const Expr* value, disjunction());
    while (is_name("if")) {
        Expr& expr = make(ExprKind::Conditional);
        advance();
        WEIR_TRY_ASSIGN(const Expr* condition, disjunction());
        expr.items = {condition, value};
        if (skip_name("else")) {
            WEIR_TRY_ASSIGN(const Expr* otherwise, conditional());
            expr.items.push_back(otherwise);
        }
        unknown_.resize(unknown);
        value = &expr;
    }
    return value;
}

Parser::Parsed Parser::disjunction() {
    WEIR_TRY_ASSIGN(const Expr* first, conjunction());
    if (!is_name("or")) {
        return first;
    }
    Expr& expr = make(ExprKind::Or);
    expr.items.push_back(first);
    while (skip_name("or")) {
        WEIR_TRY_ASSIGN(const Expr* next, conjunction());
        expr.items.push_back(next);
    }
    return &expr;
}

Parser::Parsed Parser::conjunction() {
    WEIR_TRY_ASSIGN(const Expr* first, negation());
    if (!is_name("and")) {
        return first;
    }
    Expr& expr = make(ExprKind::And);
    expr.items.push_back(first);
    while (skip_name("and")) {
        WEIR_TRY_ASSIGN(const Expr* next, negation());
        expr.items.push_back(next);
    }
    return &expr;
}

Parser::Parsed Parser::negation() {
    if (!is_name("not")) {
        return comparison();
    }
    const Depth depth(depth_);
    if (depth.too_deep()) {
        return too_deep();
    }
    Expr& expr = make(ExprKind::Not);
    advance();
    WEIR_TRY_ASSIGN(const Expr* operand, negation());
    expr.items.push_back(operand);
    return &expr;
}

std::optional<Comparison> Parser::take_comparison() {
    static constexpr std::pair<std::string_view, Comparison> kComparisons[] = {
        {"==", Comparison::Equal},  {"!=", Comparison::NotEqual},
        {"<", Comparison::Less},    {"<=", Comparison::LessEqual},
        {">", Comparison::Greater}, {">=", Comparison::GreaterEqual},
    };
    for (const auto& [text, comparison] : kComparisons) {
        if (skip_op(text)) {
            return comparison;
        }
    }
    if (skip_name("in")) {
        return Comparison::In;
    }
    if (is_name("not") && look().kind == TokenKind::Name && look().text == "in") {
        advance();
        advance();
        return Comparison::NotIn;
    }
    return std::nullopt;
}

Parser::Parsed Parser::comparison() {
    WEIR_TRY_ASSIGN(const Expr* first, sum());
    auto op = take_comparison();
    if (!op) {
        return first;
    }
    Expr& expr = make(ExprKind::Compare);
    expr.items.push_back(first);
    for (; op; op = take_comparison()) {
        expr.comparisons.push_back(*op);
        WEIR_TRY_ASSIGN(const Expr* next, sum());
        expr.items.push_back(next);
    }
    return &expr;
}

Parser::Parsed Parser::sum() {
    WEIR_TRY_ASSIGN(const Expr* first, concatenation());
    if (!is_op("+") && !is_op("-")) {
        return first;
    }
    Expr& expr = make(ExprKind::Arithmetic);
    expr.items.push_back(first);
    while (is_op("+") || is_op("-")) {
        expr.ops.push_back(is_op("+") ? Operator::Add : Operator::Subtract);
        advance();
        WEIR_TRY_ASSIGN(const Expr* next, concatenation());
        expr.items.push_back(next);
    }
    return &expr;
}

Parser::Parsed Parser::concatenation() {
    WEIR_TRY_ASSIGN(const Expr* first, product());
    if (!is_op("~")) {
        return first;
    }
    Expr& expr = make(ExprKind::Concat);
    expr.items.push_back(first);
    while (skip_op("~")) {
        WEIR_TRY_ASSIGN(const Expr* next, product());
        expr.items.push_back(next);
    }
    return &expr;
}

Parser::Parsed Parser::product() {
    static constexpr std::pair<std::string_view, Operator> kProducts[] = {
        {"*", Operator::Multiply},
        {"/", Operator::Divide},
        {"//", Operator::FloorDivide},
        {"%", Operator::Modulo},
    };
    const auto take = [this]() -> std::optional<Operator> {
        for (const auto& [text, op] : kProducts) {
            if (skip_op(text)) {
                return op;
            }
        }
        return std::nullopt;
    };
    WEIR_TRY_ASSIGN(const Expr* first, power());
    auto op = take();
    if (!op) {
        return first;
    }
    Expr& expr = make(ExprKind::Arithmetic);
    expr.items.push_back(first);
    for (; op; op = take()) {
        expr.ops.push_back(*op);
        WEIR_TRY_ASSIGN(const Expr* next, power());
        expr.items.push_back(next);
    }
    return &expr;
}

Parser::Parsed Parser::power() {
    WEIR_TRY_ASSIGN(const Expr* first, unary(Filters::Take));
    if (!is_op("**")) {
        return first;
    }
    Expr& expr = make(ExprKind::Arithmetic);
    expr.items.push_back(first);
    while (skip_op("**")) {
        expr.ops.push_back(Operator::Power);
        WEIR_TRY_ASSIGN(const Expr* next, unary(Filters::Take));
        expr.items.push_back(next);
    }
    return &expr;
}

Parser::Parsed Parser::unary(Filters filters) {
    const Depth depth(depth_);
    if (depth.too_deep()) {
        return too_deep();
    }
    const Expr* node = nullptr;
    if (is_op("-") || is_op("+")) {
        Expr& expr = make(is_op("-") ? ExprKind::Negative : ExprKind::Positive);
        advance();
        WEIR_TRY_ASSIGN(const Expr* operand, unary(Filters::Leave));
        expr.items.push_back(operand);
        node = &expr;
    } else {
        WEIR_TRY_ASSIGN(node, primary());
    }
    WEIR_TRY_ASSIGN(node, postfix(node));
    return filters == Filters::Take ? filter_chain(node) : Parsed(node);
}

Parser::Parsed Parser::primary() {
    const Token& token = current();
    switch (token.kind) {
        case TokenKind::Name:
            return name_primary();
        case TokenKind::String:
            return string_primary();
        case TokenKind::Integer:
            advance();
            return constant(Value::integer(token.integer));
        case TokenKind::Float:
            advance();
            return constant(Value::real(token.real));
        default:
            break;
    }
    if (skip_op("(")) {
        WEIR_TRY_ASSIGN(const Expr* inner, tuple(TupleStyle::Parentheses));
        WEIR_TRY(expect_op(")"));
        return inner;
    }
    if (skip_op("[")) {
        return list();
    }
    if (skip_op("{")) {
        return dict();
    }
    return error(token.kind == TokenKind::Operator ? fmt::format("unexpected '{}'", token.text)
                                                   : "unexpected end of the expression");
}

// Strings beside each other are one.
Parser::Parsed Parser::string_primary() {
    std::string text(current().text);
    advance();
    while (current().kind == TokenKind::String) {
        text += current().text;
        advance();
    }
    return constant(literal(text));
}

Parser::Parsed Parser::name_primary() {
    const std::string_view name = current().text;
    if (name == "true" || name == "True" || name == "false" || name == "False") {
        advance();
        return constant(Value::boolean(name == "true" || name == "True"));
    }
    if (name == "none" || name == "None") {
        advance();
        return constant(Value());
    }
    Expr& expr = make(ExprKind::Name);
    advance();
    expr.name = intern(name);
    for (Stmt* scope : scopes_) {
        scope->uses_loop = scope->uses_loop || name == "loop";
        scope->uses_caller = scope->uses_caller || name == "caller";
        scope->uses_varargs = scope->uses_varargs || name == "varargs";
        scope->uses_kwargs = scope->uses_kwargs || name == "kwargs";
    }
    return &expr;
}

bool Parser::at_tuple_end(TupleStyle style) const {
    return current().kind == TokenKind::VariableEnd || current().kind == TokenKind::BlockEnd ||
           is_op(")") || (style == TupleStyle::Iterable && is_name("recursive"));
}

Parser::Parsed Parser::tuple(TupleStyle style) {
    const auto element = [&] {
        return style == TupleStyle::NoConditional || style == TupleStyle::Iterable ? disjunction()
                                                                                   : expression();
    };
    Expr* all = nullptr;
    const Expr* first = nullptr;
    while (!at_tuple_end(style)) {
        WEIR_TRY_ASSIGN(const Expr* next, element());
        if (first == nullptr) {
            first = next;
        } else {
            all->items.push_back(next);
        }
        if (!is_op(",")) {
            break;
        }
        if (all == nullptr) {
            all = &make(ExprKind::Tuple);
            all->items.push_back(first);
        }
        advance();
    }
    if (all != nullptr) {
        return all;
    }
    if (first != nullptr) {
        return first;
    }
    if (style == TupleStyle::Parentheses) {
        return &make(ExprKind::Tuple);
    }
    return error("expected an expression");
}

Parser::Parsed Parser::list() {
    Expr& expr = make(ExprKind::List);
    while (!is_op("]")) {
        if (!expr.items.empty()) {
            WEIR_TRY(expect_op(","));
            if (is_op("]")) {
                break;
            }
        }
        WEIR_TRY_ASSIGN(const Expr* item, expression());
        expr.items.push_back(item);
    }
    WEIR_TRY(expect_op("]"));
    return &expr;
}

Parser::Parsed Parser::dict() {
    Expr& expr = make(ExprKind::Dict);
    while (!is_op("}")) {
        if (!expr.items.empty()) {
            WEIR_TRY(expect_op(","));
            if (is_op("}")) {
                break;
            }
        }
        WEIR_TRY_ASSIGN(const Expr* key, expression());
        WEIR_TRY(expect_op(":"));
        WEIR_TRY_ASSIGN(const Expr* value, expression());
        expr.items.push_back(key);
        expr.items.push_back(value);
    }
    WEIR_TRY(expect_op("}"));
    return &expr;
}

Parser::Parsed Parser::postfix(const Expr* node) {
    while (true) {
        if (is_op(".") || is_op("[")) {
            WEIR_TRY_ASSIGN(node, subscript(node));
        } else if (is_op("(")) {
            WEIR_TRY_ASSIGN(node, call(node));
        } else {
            return node;
        }
    }
}

Parser::Parsed Parser::filter_chain(const Expr* node) {
    while (true) {
        if (skip_op("|")) {
            WEIR_TRY_ASSIGN(node, filter(node));
        } else if (is_name("is")) {
            WEIR_TRY_ASSIGN(node, test(node));
        } else if (is_op("(")) {
            WEIR_TRY_ASSIGN(node, call(node));
        } else {
            return node;
        }
    }
}

Parser::Parsed Parser::subscript(const Expr* node) {
    if (skip_op("[")) {
        return subscribed(node);
    }
    Expr& expr = make(ExprKind::Attribute);
    expr.items.push_back(node);
    advance();
    const Token& name = current();
    if (name.kind == TokenKind::Integer) {
        expr.kind = ExprKind::Item;
        advance();
        expr.items.push_back(constant(Value::integer(name.integer)));
        return &expr;
    }
    if (name.kind != TokenKind::Name) {
        return error("expected a name or a number after '.'");
    }
    advance();
    expr.text = name.text;
    return &expr;
}

// What stands between square brackets: an expression, a slice, or several, which are a tuple.
Parser::Parsed Parser::subscribed(const Expr* node) {
    Expr& expr = make(ExprKind::Item);
    expr.items.push_back(node);
    if (is_op("]")) {
        return error("expected an expression");
    }
    const Expr* first = nullptr;
    if (!is_op(":")) {
        WEIR_TRY_ASSIGN(first, expression());
    }
    if (is_op(",")) {
        Expr& key = make(ExprKind::Tuple);
        key.items.push_back(first);
        while (skip_op(",") && !is_op("]")) {
            WEIR_TRY_ASSIGN(const Expr* next, expression());
            key.items.push_back(next);
        }
        first = &key;
    }
    expr.items.push_back(first);
    if (is_op(":")) {
        expr.kind = ExprKind::Slice;
        for (int part = 0; part < 2; ++part) {
            const bool here = skip_op(":");
            const Expr* bound = nullptr;
            if (here && !is_op(":") && !is_op("]")) {
                WEIR_TRY_ASSIGN(bound, expression());
            }
            expr.items.push_back(bound);
        }
    }
    WEIR_TRY(expect_op("]"));
    return &expr;
}

Outcome<CallArgs> Parser::call_args() {
    CallArgs args;
    WEIR_TRY(expect_op("("));
    bool first = true;
    while (!is_op(")")) {
        if (!first) {
            WEIR_TRY(expect_op(","));
            if (is_op(")")) {
                break;
            }
        }
        first = false;
        if (skip_op("**")) {
            if (args.star_star != nullptr) {
                return error("'**' twice in one call");
            }
            WEIR_TRY_ASSIGN(args.star_star, expression());
        } else if (args.star_star != nullptr) {
            return error("an argument after '**'");
        } else if (skip_op("*")) {
            if (args.star != nullptr) {
                return error("'*' twice in one call");
            }
            WEIR_TRY_ASSIGN(args.star, expression());
        } else if (current().kind == TokenKind::Name && look().kind == TokenKind::Operator &&
                   look().text == "=") {
            const std::string_view name = current().text;
            advance();
            advance();
            WEIR_TRY_ASSIGN(const Expr* value, expression());
            args.named.emplace_back(name, value);  // a view into ast_.source
        } else if (!args.named.empty() || args.star != nullptr) {
            return error("a positional argument after a named one");
        } else {
            WEIR_TRY_ASSIGN(const Expr* value, expression());
            args.positional.push_back(value);
        }
    }
    WEIR_TRY(expect_op(")"));
    return args;
}

Parser::Parsed Parser::call(const Expr* node) {
    Expr& expr = make(ExprKind::Call);
    expr.items.push_back(node);
    WEIR_TRY_ASSIGN(expr.args, call_args());
    return &expr;
}

Outcome<std::string> Parser::dotted_name() {
    WEIR_TRY_ASSIGN(const std::string_view first, take_name());
    std::string name(first);
    while (skip_op(".")) {
        WEIR_TRY_ASSIGN(const std::string_view next, take_name());
        name += '.';
        name += next;
    }
    return name;
}

Parser::Parsed Parser::filter(const Expr* node) {
    Expr& expr = make(ExprKind::Filter);
    expr.items.push_back(node);
    WEIR_TRY_ASSIGN(expr.text, dotted_name());
    expr.filter = find_filter(expr.text, ast_.mode);
    if (expr.filter == nullptr) {
        unknown_.push_back(fmt::format("line {}: no filter named '{}'", expr.line, expr.text));
    }
    if (is_op("(")) {
        WEIR_TRY_ASSIGN(expr.args, call_args());
    }
    return &expr;
}

Parser::Parsed Parser::test(const Expr* node) {
    Expr& expr = make(ExprKind::Test);
    expr.items.push_back(node);
    advance();  // is
    const bool negated = skip_name("not");
    WEIR_TRY_ASSIGN(expr.text, dotted_name());
    const Token& next = current();
    const bool starts_operand =
        next.kind == TokenKind::String || next.kind == TokenKind::Integer ||
        next.kind == TokenKind::Float || is_op("[") || is_op("{") ||
        (next.kind == TokenKind::Name && !is_name("else") && !is_name("or") && !is_name("and"));
    if (is_op("(")) {
        WEIR_TRY_ASSIGN(expr.args, call_args());
    } else if (is_name("is")) {
        return error("tests cannot be chained with 'is'");
    } else if (starts_operand) {
        WEIR_TRY_ASSIGN(const Expr* operand, primary());
        WEIR_TRY_ASSIGN(operand, postfix(operand));
        expr.args.positional.push_back(operand);
    }
    expr.test = find_test(expr.text);
    if (expr.test == nullptr) {
        unknown_.push_back(fmt::format("line {}: no test named '{}'", expr.line, expr.text));
    }
    if (!negated) {
        return &expr;
    }
    Expr& inverse = make(ExprKind::Not);
    inverse.items.push_back(&expr);
    return &inverse;
}

}  // namespace weir::text::jinja
