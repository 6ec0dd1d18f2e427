#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "cli/model_access.h"
#include "cli/show.h"

namespace weir::cli {

struct BenchOptions {
    std::optional<uint32_t> threads;
    uint32_t rounds = 3;
    uint32_t prompt_tokens = 512;
    OutputForm form = OutputForm::Text;
};

// Prefill and decode speed through the engine, and decode's share of the memory bandwidth that the
// same threads read with in the same run.
Result<void> bench(const ModelAccess& access, const std::string& model,
                   const BenchOptions& options);

}  // namespace weir::cli
