#pragma once

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir {

// What went wrong, by what the caller should do about it. HTTP statuses are given in one place
// (api::http_status), never here.
enum class ErrorCode : uint8_t {
    InvalidArgument,   // the request is wrong; `field` says where
    Unauthenticated,   // no key, or one that is not known
    PermissionDenied,  // the key or the policy does not allow it
    NotFound,
    Conflict,
    TooLarge,  // a body, header or file over its limit
    RateLimited,
    DataCorrupt,  // a file or a peer's bytes break their format
    Unsupported,  // well formed, but not something this build can do
    Cancelled,
    DeadlineExceeded,
    Overloaded,         // a queue or pool is full; try again later
    ResourceExhausted,  // memory or disk
    Unavailable,        // a peer, worker or disk does not answer
    UpstreamFailed,     // a provider answered with something that is no answer
    Internal,
};

std::string_view name(ErrorCode code);

// A failure as a value. The message is safe to show to a client: no paths outside the model
// folder, no addresses, no secrets, no prompt text.
struct Error {
    ErrorCode code = ErrorCode::Internal;
    std::string message;
    std::string field;   // the request field or file key at fault; empty if none
    std::string reason;  // a stable machine code, e.g. "context_length_exceeded"; empty if none
    std::optional<std::chrono::milliseconds> retry_after;

    // The same error, said by somebody further up: "context: message".
    Error with_context(std::string_view context) &&;
    Error with_field(std::string_view name) &&;
    Error with_reason(std::string_view code_text) &&;
};

namespace detail {
Error make_error(ErrorCode code, fmt::string_view format, fmt::format_args args);
}

template <typename... Args>
Error make_error(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
    return detail::make_error(code, format, fmt::make_format_args(args...));
}

}  // namespace weir
