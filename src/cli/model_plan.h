#pragma once

#include <cstdint>
#include <filesystem>

#include "base/result.h"
#include "server/config.h"

namespace weir::cli {

// How many bytes a local model will take, as `program` worker --plan says: model files are read in
// a process of its own, sandboxed, here as under the gateway. Errors: why it cannot be loaded, for
// its tokenizer or its chat template too.
Result<uint64_t> plan_in_worker(const std::filesystem::path& program,
                                const server::ModelSource& source);

}  // namespace weir::cli
