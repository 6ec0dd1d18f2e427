#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/builtins.h"
#include "text/jinja/data_model.h"

namespace weir::text::jinja {

// Index into Ast::names: variables are found by number.
enum class NameId : uint32_t {};

struct Expr;
struct Stmt;
using Exprs = std::vector<const Expr*>;
using Block = std::vector<const Stmt*>;

struct CallArgs {
    Exprs positional;
    std::vector<std::pair<std::string_view, const Expr*>> named;
    const Expr* star = nullptr;       // *args
    const Expr* star_star = nullptr;  // **kwargs
};

enum class ExprKind : uint8_t {
    Constant,     // constant
    Name,         // name
    Tuple,        // items
    List,         // items
    Dict,         // items: key, value, key, value, …
    Not,          // items[0]
    Negative,     // items[0]
    Positive,     // items[0]
    Arithmetic,   // items[0] ops[0] items[1] ops[1] …, from the left: long chains stay flat
    Concat,       // items
    And,          // items
    Or,           // items
    Compare,      // items[0] comparisons[0] items[1] …
    Conditional,  // items: condition, value, and perhaps what else
    Attribute,    // items[0] . text
    Item,         // items[0] [ items[1] ]
    Slice,        // items[0] [ items[1] : items[2] : items[3] ], nullptr where absent
    Call,         // items[0] ( args )
    Filter,       // items[0] | text ( args ); items[0] is nullptr in front of a filter block
    Test,         // items[0] is text ( args )
};

enum class Comparison : uint8_t {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    NotIn
};

struct Expr {
    ExprKind kind = ExprKind::Constant;
    uint32_t line = 1;
    NameId name{};
    Value constant;
    std::string text;
    Exprs items;
    std::vector<Operator> ops;
    std::vector<Comparison> comparisons;
    CallArgs args;
    const Filter* filter = nullptr;  // nullptr: unknown, which is an error only where it runs
    const Test* test = nullptr;
};

// What a value is assigned to: a name, an attribute of a namespace, or a tuple of targets.
struct Target {
    NameId name{};
    std::string attribute;  // not empty: name.attribute
    std::vector<Target> parts;
    bool is_tuple = false;
};

struct Parameters {
    std::vector<std::pair<std::string, NameId>> names;
    Exprs defaults;  // of the last ones
};

enum class StmtKind : uint8_t {
    Data,      // constant
    Output,    // exprs
    If,        // exprs[i] guards blocks[i]; one block more than exprs is the else
    For,       // target in exprs[0] if exprs[1] (or nullptr); blocks: body, else
    Set,       // target = exprs[0]
    SetBlock,  // target = blocks[0] through exprs[0], a chain of filters (or nullptr)
    Macro,     // name, parameters, blocks[0]
    Call,      // exprs[0] called with blocks[0] as its caller
    Filter,    // blocks[0] through exprs[0]
    With,      // targets = exprs, around blocks[0]
    Scope,     // blocks[0]
    Break,
    Continue,
};

struct Stmt {
    StmtKind kind = StmtKind::Data;
    uint32_t line = 1;
    Value constant;
    Exprs exprs;
    std::vector<Block> blocks;
    std::vector<Target> targets;
    NameId name{};
    std::string text;  // a macro's name
    Parameters parameters;
    bool recursive = false;
    bool uses_loop = false;    // of a for: whether its body has the name `loop`
    bool uses_caller = false;  // of a macro: which of the special names its body has
    bool uses_varargs = false;
    bool uses_kwargs = false;
};

// A parsed template. Nodes, literals and names live as long as it does.
//
// Threads: immutable once parsed.
struct Ast {
    Ast() = default;
    Ast(const Ast&) = delete;
    Ast& operator=(const Ast&) = delete;

    std::string source;
    Mode mode = Mode::Strict;
    std::deque<Expr> exprs;
    std::deque<Stmt> stmts;
    std::deque<Str> literals;
    std::vector<std::string> names;
    Block body;
};

}  // namespace weir::text::jinja
