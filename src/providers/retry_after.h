#pragma once

#include <chrono>
#include <optional>

#include "base/clock.h"
#include "net/http_message.h"

namespace weir::providers {

// No peer may make us wait longer.
inline constexpr std::chrono::milliseconds kRetryAfterMax{60'000};

// How long the peer asks to wait: `retry-after-ms`, else `retry-after` in seconds or as an HTTP
// date (RFC 9110 section 10.2.3; IMF-fixdate only). Above the maximum it is the maximum, a date in
// the past is zero; what is negative or not understood is none.
std::optional<std::chrono::milliseconds> retry_after(const net::Headers& headers,
                                                     Clock::WallTime now);

}  // namespace weir::providers
