#pragma once

#include <cstdint>
#include <optional>

#include "chat/event.h"
#include "json/value.h"

namespace weir::providers {

// More than this a request cannot have used; by default, what no model reads or writes.
struct UsageBounds {
    uint64_t prompt_tokens_max = uint64_t{1} << 24;
    uint64_t completion_tokens_max = uint64_t{1} << 20;
};

// A `usage` object, checked (UP10): nothing if a count is missing, negative, no whole number, above
// its bound, or if a part is more than its whole. The caller then has to count for itself.
std::optional<chat::Usage> read_usage(const json::Value& usage, const UsageBounds& bounds);

}  // namespace weir::providers
