#pragma once

#include "base/result.h"
#include "json/value.h"
#include "model/config.h"
#include "model/tensor_index.h"

namespace weir::model {

// The members of config.json that say how queries and keys are rotated (rope_theta, rope_scaling,
// …); nothing for a model that has none. Unsupported, naming the tensor, for divisors in a GGUF
// file that no rope scaling makes: what is guessed of them counts only if it gives them again.
Result<json::Object> ropes_json_of(const TransformerConfig& config, const TensorIndex& index);

}  // namespace weir::model
