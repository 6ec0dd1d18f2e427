#pragma once

#include "base/result.h"
#include "model/config_gguf.h"

namespace weir::model {

// GGUF has no architecture for it: it is "llama" with expert_count. Reads the experts' keys.
Result<void> read_gguf_mixtral(GgufConfig& in, TransformerConfig& out);

}  // namespace weir::model
