#pragma once

#include <expected>
#include <utility>

#include "base/error.h"

namespace weir {

// What input, disk, peers or load can make fail returns one of these.
template <typename T>
using Result = std::expected<T, Error>;

// `return fail(ErrorCode::NotFound, "no model {}", name);`
template <typename... Args>
std::unexpected<Error> fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
    return std::unexpected(make_error(code, format, std::forward<Args>(args)...));
}

template <typename... Args>
std::unexpected<Error> invalid_argument(std::string_view field, fmt::format_string<Args...> format,
                                        Args&&... args) {
    return std::unexpected(
        make_error(ErrorCode::InvalidArgument, format, std::forward<Args>(args)...)
            .with_field(field));
}

template <typename... Args>
std::unexpected<Error> data_corrupt(fmt::format_string<Args...> format, Args&&... args) {
    return fail(ErrorCode::DataCorrupt, format, std::forward<Args>(args)...);
}

template <typename... Args>
std::unexpected<Error> unsupported(fmt::format_string<Args...> format, Args&&... args) {
    return fail(ErrorCode::Unsupported, format, std::forward<Args>(args)...);
}

}  // namespace weir

#define WEIR_CONCAT_INNER(a, b) a##b
#define WEIR_CONCAT(a, b) WEIR_CONCAT_INNER(a, b)

// Returns the error of `expr` from the enclosing function, if it has one.
#define WEIR_TRY(expr)                                           \
    do {                                                         \
        if (auto weir_try = (expr); !weir_try) {                 \
            return std::unexpected(std::move(weir_try).error()); \
        }                                                        \
    } while (false)

// `WEIR_TRY_ASSIGN(const auto header, read_header(in));`  Two statements: not for an unbraced `if`.
#define WEIR_TRY_ASSIGN(decl, expr) \
    WEIR_TRY_ASSIGN_NAMED(decl, expr, WEIR_CONCAT(weir_try_, __LINE__))
#define WEIR_TRY_ASSIGN_NAMED(decl, expr, name)          \
    auto name = (expr);                                  \
    if (!name) {                                         \
        return std::unexpected(std::move(name).error()); \
    }                                                    \
    decl = *std::move(name)
