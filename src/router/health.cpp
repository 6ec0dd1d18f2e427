#include "router/health.h"

#include <algorithm>

#include "base/check.h"

namespace weir::router {

bool is_worth_another_try(const Error& error) {
    if (error.reason == kWorkerDied) {
        return false;
    }
    switch (error.code) {
        case ErrorCode::RateLimited:
        case ErrorCode::DeadlineExceeded:
        case ErrorCode::Overloaded:
        case ErrorCode::Unavailable:
        case ErrorCode::UpstreamFailed:
        case ErrorCode::ResourceExhausted:
        case ErrorCode::Internal:
            return true;
        case ErrorCode::InvalidArgument:
        case ErrorCode::Unauthenticated:
        case ErrorCode::PermissionDenied:
        case ErrorCode::NotFound:
        case ErrorCode::Conflict:
        case ErrorCode::TooLarge:
        case ErrorCode::DataCorrupt:
        case ErrorCode::Unsupported:
        case ErrorCode::Cancelled:
            return false;
    }
    WEIR_ASSERT(false);
}

std::chrono::milliseconds retry_delay(const Error& error, uint32_t attempt, double jitter) {
    constexpr std::chrono::milliseconds kMax{60'000};
    constexpr std::chrono::milliseconds kFirst{250};
    if (error.retry_after) {
        return std::clamp(*error.retry_after, std::chrono::milliseconds(0), kMax);
    }
    const auto full = kFirst * (1 << std::min(attempt, 7u));
    return std::min(kMax, std::chrono::milliseconds(static_cast<int64_t>(
                              static_cast<double>(full.count()) * std::clamp(jitter, 0.0, 1.0))));
}

}  // namespace weir::router
