#include "base/log.h"

#include <atomic>
#include <cstdio>
#include <utility>

namespace weir {
namespace {

std::atomic<LogLevel>& threshold() {
    static std::atomic<LogLevel> level{LogLevel::Info};
    return level;
}

LogSink& sink() {
    static LogSink current = [](LogLevel level, std::string_view line) {
        const auto text = fmt::format("weir {}: {}\n", name(level), line);
        std::fwrite(text.data(), 1, text.size(), stderr);
    };
    return current;
}

}  // namespace

std::string_view name(LogLevel level) {
    switch (level) {
        case LogLevel::Debug:
            return "debug";
        case LogLevel::Info:
            return "info";
        case LogLevel::Warning:
            return "warning";
        case LogLevel::Error:
            return "error";
    }
    return "unknown";
}

void set_log_sink(LogSink next) {
    sink() = std::move(next);
}
void set_log_threshold(LogLevel level) {
    threshold().store(level, std::memory_order_relaxed);
}

namespace detail {
bool log_enabled(LogLevel level) {
    return level >= threshold().load(std::memory_order_relaxed);
}
void log(LogLevel level, fmt::string_view format, fmt::format_args args) {
    sink()(level, fmt::vformat(format, args));
}
}  // namespace detail

}  // namespace weir
