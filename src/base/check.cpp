#include "base/check.h"

#include <cstdio>
#include <cstdlib>

#include "base/log.h"

namespace weir {

std::atomic<uint64_t>& bug_count() {
    static std::atomic<uint64_t> count{0};
    return count;
}

namespace detail {

void assert_failed(const char* expression, const char* file, int line) {
    std::fprintf(stderr, "weir: assertion failed: %s (%s:%d)\n", expression, file, line);
    std::abort();
}

void report_bug(const char* what, const char* file, int line) {
    bug_count().fetch_add(1, std::memory_order_relaxed);
    log(LogLevel::Error, "bug: {} ({}:{})", what, file, line);
#ifndef NDEBUG
    std::abort();
#endif
}

}  // namespace detail
}  // namespace weir
