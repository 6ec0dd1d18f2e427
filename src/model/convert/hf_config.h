#pragma once

#include "base/result.h"
#include "json/value.h"
#include "model/config.h"
#include "model/tensor_index.h"

namespace weir::model {

// config.json that says `config`, which was read from a GGUF file with the tensors of `index`: they
// say who has a bias, and some ropes. What there is no member for is left out; read it back and
// compare (same_config.h). Unsupported for divisors of frequencies that no scaling makes.
Result<json::Object> config_json_of(const TransformerConfig& config, const TensorIndex& index);

}  // namespace weir::model
