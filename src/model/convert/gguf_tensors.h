#pragma once

#include <vector>

#include "base/result.h"
#include "model/config.h"
#include "model/convert/output_tensor.h"
#include "model/tensor_index.h"

namespace weir::model {

// The tensors of a Hugging Face folder as a GGUF file of the same model has them: called as there,
// experts in one tensor for all, rows of queries and keys and value heads in that format's order,
// norms with their offset, vectors as float32, and divisors of frequencies as tensors. Sorted by
// name. What the forward pass leaves alone (drafting layers, other modalities) is left out.
//
// `index` has been bound to `config` without error and outlives the result.
Result<std::vector<OutputTensor>> gguf_tensors(const TensorIndex& index,
                                               const TransformerConfig& config);

// A vector that no file has.
OutputTensor vector_of(std::string name, std::vector<float> values);

}  // namespace weir::model
