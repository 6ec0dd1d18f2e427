#pragma once

#include <cstdint>
#include <filesystem>

#include "base/result.h"
#include "cli/show.h"

namespace weir::cli {

// What requests have cost since `days` ago (0: since ever), by backend and model: as the running
// gateway says, or, where none runs, as its ledger file says.
Result<void> spend(const std::filesystem::path& home, uint32_t days, OutputForm form);

}  // namespace weir::cli
