#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "model/config.h"
#include "model/tensor_index.h"
#include "tensor/matrix_view.h"

namespace weir::model {

// y = weight x + bias
struct Linear {
    tensor::MatrixView weight;
    std::span<const float> bias;  // [weight.rows], or empty
};

struct LayerWeights {
    std::span<const float> attn_norm;  // [hidden]
    Linear q;                          // [heads * head_dim, hidden]
    Linear k;                          // [kv_heads * head_dim, hidden]
    Linear v;                          // [kv_heads * head_dim, hidden]
    std::span<const float> q_norm;     // [head_dim], or empty
    std::span<const float> k_norm;     // [head_dim], or empty
    Linear output;                     // [hidden, heads * head_dim]
    std::span<const float> ffn_norm;   // [hidden]
    Linear gate;                       // [feed_forward, hidden]
    Linear up;                         // [feed_forward, hidden]
    Linear down;                       // [hidden, feed_forward]
};

// How much there is of a model's weights. Every byte counts once: a widened vector as copied, and
// not as mapped too, since nothing reads it in the file again.
struct WeightCounts {
    uint64_t parameters = 0;
    uint64_t mapped_bytes = 0;  // of the tensors that are used where they lie
    uint64_t copied_bytes = 0;
    bool all_float32 = true;  // every matrix is F32
};

// A model's tensors, bound by name to what the forward pass multiplies with. Every shape has been
// checked against the config, every row is whole blocks of its type, and no tensor of the file was
// left unbound (but for a few that are known to mean nothing).
//
// Matrices are views into the mapping: binding reads headers and the few vectors (norms, biases)
// that are not float32. A repacked copy, once there is one, is bound here in the mapping's place.
//
// Ownership: `owned` holds the vectors that were widened and the tensors that were not aligned as
// their type needs; the rest belongs to the mapped files, which outlive this.
struct DecoderWeights {
    tensor::MatrixView embedding;  // [vocabulary, hidden]
    std::vector<LayerWeights> layers;
    std::span<const float> output_norm;    // [hidden]
    tensor::MatrixView output;             // [vocabulary, hidden]
    std::span<const float> rope_divisors;  // [rotary_dim / 2], or empty

    WeightCounts counts;
    std::vector<std::vector<std::byte>> owned;
};

// Errors name the tensor as the file does.
Result<DecoderWeights> bind_weights(const TensorIndex& index, const TransformerConfig& config);

// What binding would take, with the same checks of names, types and shapes, but without a byte
// copied: for a plan of a model that is larger than the machine.
Result<WeightCounts> count_weights(const TensorIndex& index, const TransformerConfig& config);

}  // namespace weir::model
