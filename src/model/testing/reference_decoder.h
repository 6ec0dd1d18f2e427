#pragma once

#include <cstdint>
#include <vector>

#include "base/token_id.h"
#include "model/testing/tiny_model.h"

namespace weir::model::testing {

// Logits of every position, [tokens][vocabulary], by the formulas of families/llama.cpp written
// down plainly in double precision: no cache, no batch, no blocks. Weights as tiny_tensors has
// them, unquantized.
std::vector<std::vector<double>> reference_logits(const TinyModel& model,
                                                  const std::vector<TokenId>& tokens);

}  // namespace weir::model::testing
