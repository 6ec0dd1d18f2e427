#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "model/layers/layer.h"

namespace weir::model {

class WeightBinder;

// A mixture of experts, as TransformerConfig::moe says:
//
//   logits = Wr n + br
//   out    = sum over the chosen experts of weight * expert(n), in ascending order
//   out   += shared(n), times sigmoid(Ws n) where the shared expert has a gate
//
// layers/router.h chooses and weights, layers/experts.h computes. On layers that have no experts,
// the dense feed-forward layer.
Result<std::unique_ptr<FeedForward>> make_mixture(WeightBinder& in, const TransformerConfig& config,
                                                  uint32_t layer);

}  // namespace weir::model
