#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "cli/model_access.h"
#include "cli/show.h"

namespace weir::cli {

struct PerplexityArguments {
    std::string file;
    std::optional<uint32_t> threads;
    std::optional<uint32_t> window_tokens;  // absent: 512, or the context where that is shorter
    std::optional<uint32_t> cache_bits;     // 8, 16 or 32; nothing: as a worker has it
    OutputForm form = OutputForm::Text;
};

// How well a model foretells the text of a file (model/perplexity.h).
Result<void> perplexity(const ModelAccess& access, const std::string& model,
                        const PerplexityArguments& arguments);

}  // namespace weir::cli
