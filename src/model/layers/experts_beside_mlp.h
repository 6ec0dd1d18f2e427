#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "model/layers/layer.h"

namespace weir::model {

class WeightBinder;

// Gemma 4's feed-forward layer with experts, of the stream x and its norm m:
//
//   out    = norm(mlp(m)) + norm(sum over the chosen experts of weight * expert(norm(x)))
//   logits = Wr (rms(x) * scale / sqrt(hidden))                      no weight in this rms
//   weight = softmax(logits)[e], divided by the sum over those chosen, times the expert's own scale
Result<std::unique_ptr<FeedForward>> make_experts_beside_mlp(WeightBinder& in,
                                                             const TransformerConfig& config,
                                                             uint32_t layer);

}  // namespace weir::model
