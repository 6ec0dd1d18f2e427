#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/result.h"
#include "model/layers/layer.h"

namespace weir::model {

class WeightBinder;

// The dense feed-forward layer, gated or plain; MlpForm has the formulas.
Result<std::unique_ptr<FeedForward>> make_mlp(WeightBinder& in, const TransformerConfig& config,
                                              uint32_t layer);

// A gated one with matrices of other names or another width, such as a shared expert.
struct GatedMlpShape {
    std::string_view gate = "ffn_gate";
    std::string_view up = "ffn_up";
    std::string_view down = "ffn_down";
    uint32_t width = 0;
};
Result<std::unique_ptr<FeedForward>> make_gated_mlp(WeightBinder& in,
                                                    const TransformerConfig& config,
                                                    const GatedMlpShape& shape);

// out[i] = activation(gate[i]) * up[i]
void gate_mul(const kernels::Compute& compute, Activation activation, const float* gate,
              const float* up, size_t count, float* out);

}  // namespace weir::model
