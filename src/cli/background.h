#pragma once

#include <filesystem>
#include <functional>
#include <string>

namespace weir::cli {

// Runs `body` in a process of its own that goes on when the terminal closes, its output in `log`.
// Returns here once the child has called `ready` (prints the given text, status 0) or has ended
// (shows the end of its log, status 1). Must be called while there is one thread only.
int run_in_background(const std::filesystem::path& log,
                      const std::function<int(std::function<void(std::string)> ready)>& body);

}  // namespace weir::cli
