#pragma once

#include <atomic>
#include <cstdint>

namespace weir {

// Counts contained bugs. Gateway and workers show it as weir_bugs_total, and it should be zero.
std::atomic<uint64_t>& bug_count();

namespace detail {
[[noreturn]] void assert_failed(const char* expression, const char* file, int line);
void report_bug(const char* what, const char* file, int line);
}  // namespace detail

}  // namespace weir

// Memory or shared state can no longer be trusted: ends the process. Never on bytes from outside.
#define WEIR_ASSERT(condition) \
    ((condition) ? void(0) : ::weir::detail::assert_failed(#condition, __FILE__, __LINE__))

// Believed impossible, but containable: aborts where assertions are on (every build but release),
// otherwise counts and logs. The caller then fails the one request at hand.
#define WEIR_BUG(what) ::weir::detail::report_bug(what, __FILE__, __LINE__)
