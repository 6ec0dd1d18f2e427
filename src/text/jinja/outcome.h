#pragma once

#include <expected>
#include <memory>
#include <string>
#include <utility>

#include "base/result.h"

namespace weir::text::jinja {

// Inside the engine an error travels as one pointer, so that the frames of the recursive evaluator
// stay small; at its edge it becomes a weir::Error again.
struct Raised {
    std::unique_ptr<Error> error;
};

template <typename T>
using Outcome = std::expected<T, Raised>;

// What a template does wrong, or says with raise_exception: the client can do something about it.
inline constexpr const char* kTemplateError = "template_error";
inline constexpr const char* kTemplateRaised = "template_raised";
// What stops a template that would use too much: fuel, memory, depth, output.
inline constexpr const char* kTemplateLimit = "template_limit";

inline std::unexpected<Raised> raise_text(const char* reason, std::string message) {
    return std::unexpected(Raised{std::make_unique<Error>(
        Error{ErrorCode::InvalidArgument, std::move(message), {}, reason, {}})});
}

template <typename... Args>
std::unexpected<Raised> raise(fmt::format_string<Args...> format, Args&&... args) {
    return raise_text(kTemplateError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace weir::text::jinja
