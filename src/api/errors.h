#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace weir::api {

// The one place where failures become HTTP.
int http_status(ErrorCode code);

// OpenAI's `type`. Each class of failures that a caller treats in its own way has one, so that a
// gateway can tell a worker's errors apart inside a stream, where there is no status.
std::string_view error_type(ErrorCode code);

// {"error":{"message":…,"type":…,"param":…,"code":…}}. `param` is Error::field, `code` is
// Error::reason ("unsupported_parameter" for what is Unsupported); empty ones are null. Long texts
// (a client chooses its field names) are cut.
std::string error_body(const Error& error);

// The same as an event of a stream that cannot be answered with a status any more. No [DONE]
// follows.
void append_error_event(std::string& out, const Error& error);

// Retry-After, in whole seconds rounded up, where there is something to wait for; and for failures
// that no wait mends but whose status says otherwise (429 for an empty account), the header by
// which OpenAI's clients let themselves be stopped.
std::vector<std::pair<std::string, std::string>> error_headers(const Error& error);

}  // namespace weir::api
