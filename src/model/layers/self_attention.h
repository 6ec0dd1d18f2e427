#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "model/layers/layer.h"

namespace weir::model {

class WeightBinder;

// Attention with keys and values of its own heads, several query heads to each:
//
//   q, k, v = Wq n + bq, Wk n + bk, Wv n + bv, cut into heads
//   q, k    = rope(norm(q)), rope(norm(k))             norm per head, if there is one
//   q       = q * temperature(position)                if there is one
//   out     = Wo softmax(cap(scale * q k^T)) v + bo    over the keys that are seen
//             times sigmoid(gate) before Wo, if Wq has a gate beside each head's query
//
// What there is and what not, TransformerConfig and its LayerConfig say.
Result<std::unique_ptr<TokenMixer>> make_self_attention(WeightBinder& in,
                                                        const TransformerConfig& config,
                                                        uint32_t layer);

}  // namespace weir::model
