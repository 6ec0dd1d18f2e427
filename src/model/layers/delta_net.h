#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "model/layers/layer.h"

namespace weir::model {

class WeightBinder;

// Gated DeltaNet (Yang, Kautz, Hatamizadeh 2024), as Qwen3-Next and Qwen3.5 have it in three of
// four layers: instead of keys and values a sequence keeps one matrix a value head, and the last
// inputs of a convolution. With key heads of d numbers:
//
//   u = Wqkv n;  z = Wz n;  b = Wb n;  a = Wa n        u is q | k | v; b and a a number a value
//   head c = silu(convolution(u))                           each channel by itself, causal q = l2(q
//   of c) / sqrt(d);  k = l2(k of c);  v of c beta = sigmoid(b);  decay = exp(-exp(A) softplus(a +
//   t)) o = gated delta rule of q, k, v, decay, beta       kernels/recurrent.h out = Wo (rmsnorm(o)
//   * silu(z))                    the norm a head, its weight as the file has it
//
// l2(y) = y / sqrt(sum of y^2 + 1e-6). The state is float32 whatever the cache's type is.
Result<std::unique_ptr<TokenMixer>> make_delta_net(WeightBinder& in,
                                                   const TransformerConfig& config);

}  // namespace weir::model
