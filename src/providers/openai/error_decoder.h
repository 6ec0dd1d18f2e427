#pragma once

#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "json/value.h"
#include "net/http_message.h"

namespace weir::providers {

// Whose errors these are: a stranger's are translated and sanitised; a worker's are this
// program's own and come back as they went in.
enum class ErrorSource : uint8_t { Provider, Worker };

// An answer whose status is no success. What concerns the gateway and not its client (our key,
// our configuration) becomes UpstreamFailed. `reason` is "insufficient_quota" where no wait helps.
Error decode_error_answer(ErrorSource source, int status, const net::Headers& headers,
                          std::string_view body, Clock::WallTime now);

// The `error` member of an event or body that came with status 200.
Error decode_error_object(ErrorSource source, const json::Value& error);

}  // namespace weir::providers
