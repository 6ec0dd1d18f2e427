#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/result.h"
#include "cli/show.h"

// The verbs that talk to a running gateway, over its admin socket.
namespace weir::cli {

Result<void> ps(const std::filesystem::path& home, OutputForm form);
Result<void> ls(const std::filesystem::path& home, OutputForm form);
Result<void> stop(const std::filesystem::path& home, OutputForm form);

// Asks for `target` over the admin socket. Errors: Unavailable if nobody runs there.
Result<std::string> ask_gateway(const std::filesystem::path& home, const std::string& method,
                                const std::string& target);

}  // namespace weir::cli
