#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "server/config.h"

namespace weir::server {

// How `weir worker` is asked for a model: --model, --context-tokens, …
std::vector<std::string> worker_arguments(const ModelSource& source);

// The line that a worker says on descriptor 3: {"ready":true}, {"memory_bytes":N} or
// {"error":"…"}. Returns the bytes, 0 for a ready one. Errors: Unavailable, in the worker's words.
Result<uint64_t> parse_worker_line(const std::string& line);

}  // namespace weir::server
