#pragma once

#include <cstdint>

#include "base/error.h"

namespace weir::router {

// What to try after a backend failed before its answer began.
enum class NextTry : uint8_t {
    None,          // the request itself is at fault, or nobody waits any more
    OtherBackend,  // this one would fail, or charge, again
    Any,           // it may have been bad luck: the same one will do, after a pause
};

NextTry next_try(const Error& error);

// The provider did the work, and charges for it; what failed was the telling.
bool was_worked_on(const Error& error);

}  // namespace weir::router
