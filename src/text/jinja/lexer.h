#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/outcome.h"
#include "text/jinja/value.h"

namespace weir::text::jinja {

enum class TokenKind : uint8_t {
    Data,
    BlockBegin,
    BlockEnd,
    VariableBegin,
    VariableEnd,
    Name,
    String,
    Integer,
    Float,
    Operator,
    End,
};

struct Token {
    TokenKind kind = TokenKind::End;
    uint32_t line = 1;
    std::string_view text;  // of a String: decoded. Of an Operator: its characters
    Whole integer = 0;
    double real = 0;
};

// A template's tokens, white space already taken away as trim_blocks, lstrip_blocks and the signs
// in the tags demand, comments dropped and raw blocks turned into Data. The last one is End.
//
// Ownership: the views point into `source` and `decoded`; not copyable, so that they stay right.
struct TokenList {
    TokenList() = default;
    TokenList(TokenList&&) = default;
    TokenList& operator=(TokenList&&) = default;

    std::vector<Token> tokens;
    std::deque<std::string> decoded;
};

// `source` is valid UTF-8 with newlines normalised, and outlives the list. Errors name the line.
Outcome<TokenList> tokenize(std::string_view source);

// What Jinja does to a source before anything else: "\r\n" and "\r" become "\n", and one newline
// at the end goes.
std::string normalize_source(std::string_view source);

}  // namespace weir::text::jinja
