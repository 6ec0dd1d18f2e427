#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "cli/model_access.h"

namespace weir::cli {

struct QuantizeOptions {
    std::string in;
    std::string out;
    std::string type;                 // Q8_0, Q4_0, Q4_K_M or Q6_K
    std::optional<uint32_t> threads;  // nothing: one a core
};

// Writes the GGUF file `out`, which must not exist yet, from the GGUF file `in`. A child of this
// process reads `in`, in the sandbox, and can write to nothing but the new file; this process gives
// that its name when it is whole, and removes it otherwise. So call it while there is one thread.
Result<void> quantize(const ModelAccess& access, const QuantizeOptions& options);

}  // namespace weir::cli
