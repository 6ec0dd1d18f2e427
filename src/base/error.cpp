#include "base/error.h"

#include <utility>

#include "base/check.h"

namespace weir {

std::string_view name(ErrorCode code) {
    switch (code) {
        case ErrorCode::InvalidArgument:
            return "invalid_argument";
        case ErrorCode::Unauthenticated:
            return "unauthenticated";
        case ErrorCode::PermissionDenied:
            return "permission_denied";
        case ErrorCode::NotFound:
            return "not_found";
        case ErrorCode::Conflict:
            return "conflict";
        case ErrorCode::TooLarge:
            return "too_large";
        case ErrorCode::RateLimited:
            return "rate_limited";
        case ErrorCode::DataCorrupt:
            return "data_corrupt";
        case ErrorCode::Unsupported:
            return "unsupported";
        case ErrorCode::Cancelled:
            return "cancelled";
        case ErrorCode::DeadlineExceeded:
            return "deadline_exceeded";
        case ErrorCode::Overloaded:
            return "overloaded";
        case ErrorCode::ResourceExhausted:
            return "resource_exhausted";
        case ErrorCode::Unavailable:
            return "unavailable";
        case ErrorCode::UpstreamFailed:
            return "upstream_failed";
        case ErrorCode::Internal:
            return "internal";
    }
    WEIR_ASSERT(false);
}

Error Error::with_context(std::string_view context) && {
    message = fmt::format("{}: {}", context, message);
    return std::move(*this);
}

Error Error::with_field(std::string_view name) && {
    field = name;
    return std::move(*this);
}

Error Error::with_reason(std::string_view code_text) && {
    reason = code_text;
    return std::move(*this);
}

namespace detail {
Error make_error(ErrorCode code, fmt::string_view format, fmt::format_args args) {
    Error error;
    error.code = code;
    error.message = fmt::vformat(format, args);
    return error;
}
}  // namespace detail

}  // namespace weir
