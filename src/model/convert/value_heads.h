#pragma once

#include <string_view>

#include "model/config.h"
#include "model/convert/output_tensor.h"

namespace weir::model {

// Qwen3.5's value heads: a folder has those that share a key head one after the other, GGUF the
// first of every key head, then the second of every one.
enum class HeadOrder : uint8_t { Folder, Gguf };

// The tensor `kind` ("ssm_out.weight", …) of a recurrent layer with its value heads as `order` has
// them, from the other order. What has none, and every tensor of a family whose two formats agree,
// stays as it is.
OutputTensor with_value_heads(HeadOrder order, std::string_view kind,
                              const TransformerConfig& config, OutputTensor tensor);

}  // namespace weir::model
