#pragma once

#include <filesystem>

#include "base/result.h"
#include "cli/show.h"

namespace weir::cli {

// Looks at what Weir needs of this machine and says, line by line, what is well and what to do
// about the rest. Fails if something is wrong.
Result<void> doctor(const std::filesystem::path& home, const std::filesystem::path& config,
                    OutputForm form);

}  // namespace weir::cli
