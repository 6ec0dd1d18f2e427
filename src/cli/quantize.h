#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "cli/model_access.h"
#include "cli/new_file.h"

namespace weir::cli {

struct QuantizeOptions {
    std::string in;
    std::string out;
    std::string type;                 // Q8_0, Q4_0, Q4_K_M or Q6_K
    std::optional<uint32_t> threads;  // nothing: one a core
    Existing existing = Existing::Keep;
};

// Writes the GGUF file `out` from a GGUF file or a folder. A child of this process reads `in`, in
// the sandbox, and can write to nothing but the new file; this process gives that its name when it
// is whole, and removes it otherwise. So call it while there is one thread.
Result<void> quantize(const ModelAccess& access, const QuantizeOptions& options);

struct ConvertOptions {
    std::string in;
    std::string out;
    std::optional<uint32_t> threads;
    Existing existing = Existing::Keep;
};

// A GGUF file of a folder, or a folder of a GGUF file, in the same way: the same model with the
// same tokenizer and chat template. Unsupported, before anything is written, for what the other
// format cannot say.
Result<void> convert(const ModelAccess& access, const ConvertOptions& options);

}  // namespace weir::cli
