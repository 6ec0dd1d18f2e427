#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "model/layers/layer.h"

namespace weir::model {

class WeightBinder;

// Attention over compressed keys and values, as TransformerConfig::latent says.
//
//   q          = Wqb norm(Wqa n), or Wq n; per head [nope | rope]
//   [c | pe]   = Wkva n;  c = norm(c);  pe is one key part for all heads
//   q.rope, pe = rope(q.rope), rope(pe)
//   k          = [Wk c | pe], v = Wv c                  Wk, Wv per head, out of Wkvb
//   out        = Wo softmax(scale * q k^T) v
//
// Computed absorbed, everywhere and in one order, so that promise 2 holds however a sequence is
// cut: (Wk c) . q = c . (Wk^T q), and the softmax's mean of Wv c is Wv times its mean of c. So the
// cache keeps [c | pe] of a token, kv_rank + rope_dim numbers whatever the heads, and attention is
// one KV head whose values are the first kv_rank components of its keys.
//
// What was rejected: the naive form for prompts, with fewer operations but another order of sums.
//
// GGUF has Wkvb whole, or split as it is needed here: attn_k_b [heads, kv_rank, nope], transposed,
// and attn_v_b [heads, value, kv_rank]. Of a whole one the keys' part is transposed at load: in its
// own type where that is a float, else in float32, so that no bit of it is lost.
Result<std::unique_ptr<TokenMixer>> make_latent_attention(WeightBinder& in,
                                                          const TransformerConfig& config,
                                                          uint32_t layer);

}  // namespace weir::model
