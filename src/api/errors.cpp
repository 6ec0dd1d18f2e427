#include "api/errors.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/utf8.h"
#include "json/write.h"
#include "net/sse.h"

namespace weir::api {
namespace {

constexpr size_t kMessageBytesMax = 1000;
constexpr size_t kFieldBytesMax = 200;

// The beginning of `text` that fits, cut between characters.
std::string_view cut(std::string_view text, size_t bytes_max) {
    if (text.size() <= bytes_max) {
        return text;
    }
    text = text.substr(0, bytes_max);
    return text.substr(0, text.size() - utf8::incomplete_tail_bytes(text));
}

void write_or_null(json::Writer& writer, std::string_view name, std::string_view text) {
    writer.key(name);
    if (text.empty()) {
        writer.null();
    } else {
        writer.value(cut(text, kFieldBytesMax));
    }
}

}  // namespace

int http_status(ErrorCode code) {
    switch (code) {
        case ErrorCode::InvalidArgument:
        case ErrorCode::Unsupported:
            return 400;
        case ErrorCode::Unauthenticated:
            return 401;
        case ErrorCode::PermissionDenied:
            return 403;
        case ErrorCode::NotFound:
            return 404;
        case ErrorCode::Conflict:
            return 409;
        case ErrorCode::TooLarge:
            return 413;
        case ErrorCode::RateLimited:
            return 429;
        case ErrorCode::Cancelled:
            return 499;
        case ErrorCode::DataCorrupt:
        case ErrorCode::Internal:
            return 500;
        case ErrorCode::UpstreamFailed:
            return 502;
        case ErrorCode::Overloaded:
        case ErrorCode::ResourceExhausted:
        case ErrorCode::Unavailable:
            return 503;
        case ErrorCode::DeadlineExceeded:
            return 504;
    }
    WEIR_ASSERT(false);
}

std::string_view error_type(ErrorCode code) {
    switch (code) {
        case ErrorCode::InvalidArgument:
        case ErrorCode::Unsupported:
            return "invalid_request_error";
        case ErrorCode::Unauthenticated:
            return "authentication_error";
        case ErrorCode::PermissionDenied:
            return "permission_error";
        case ErrorCode::NotFound:
            return "not_found_error";
        case ErrorCode::Conflict:
            return "conflict_error";
        case ErrorCode::TooLarge:
            return "request_too_large";
        case ErrorCode::RateLimited:
            return "rate_limit_error";
        case ErrorCode::Cancelled:
            return "cancelled_error";
        case ErrorCode::DataCorrupt:
        case ErrorCode::Internal:
            return "server_error";
        case ErrorCode::UpstreamFailed:
            return "upstream_error";
        case ErrorCode::Overloaded:
        case ErrorCode::ResourceExhausted:
            return "overloaded_error";
        case ErrorCode::Unavailable:
            return "unavailable_error";
        case ErrorCode::DeadlineExceeded:
            return "timeout_error";
    }
    WEIR_ASSERT(false);
}

std::string error_body(const Error& error) {
    std::string out;
    json::Writer writer(out);
    writer.begin_object().key("error").begin_object();
    writer.member("message", cut(error.message, kMessageBytesMax));
    writer.member("type", error_type(error.code));
    write_or_null(writer, "param", error.field);
    const bool is_unsupported = error.code == ErrorCode::Unsupported && error.reason.empty();
    write_or_null(writer, "code", is_unsupported ? "unsupported_parameter" : error.reason);
    writer.end_object().end_object();
    return out;
}

void append_error_event(std::string& out, const Error& error) {
    net::append_sse_data(out, error_body(error));
}

std::vector<std::pair<std::string, std::string>> error_headers(const Error& error) {
    std::vector<std::pair<std::string, std::string>> headers;
    if (error.retry_after) {
        const auto seconds = std::chrono::ceil<std::chrono::seconds>(*error.retry_after);
        headers.emplace_back("retry-after",
                             fmt::format("{}", std::max<int64_t>(0, seconds.count())));
    }
    if (error.reason == "insufficient_quota") {
        headers.emplace_back("x-should-retry", "false");
    }
    return headers;
}

}  // namespace weir::api
