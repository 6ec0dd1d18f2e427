#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <string_view>

namespace weir {

enum class LogLevel : uint8_t { Debug, Info, Warning, Error };

std::string_view name(LogLevel level);

// Receives every line at or above the threshold. Threads: called from any thread, must be safe.
using LogSink = std::function<void(LogLevel, std::string_view)>;

// Set once, before threads start (`serve` installs spdlog; the default writes to standard error).
void set_log_sink(LogSink sink);
void set_log_threshold(LogLevel level);

namespace detail {
bool log_enabled(LogLevel level);
void log(LogLevel level, fmt::string_view format, fmt::format_args args);
}  // namespace detail

// Never put prompts, answers or secrets here.
template <typename... Args>
void log(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
    if (detail::log_enabled(level)) {
        detail::log(level, format, fmt::make_format_args(args...));
    }
}

}  // namespace weir
