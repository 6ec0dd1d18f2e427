#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "model/layers/linear.h"
#include "model/layers/norm.h"
#include "model/layers/pass.h"

namespace weir::model {

class WeightBinder;

// An input of its own that each layer gets for a token, beside the stream (Gemma 4's per-layer
// embeddings): P numbers for each of L layers, made once before the first layer of x, the scaled
// embedding.
//
//   token   = table[id] * sqrt(P)                    cut into L rows of P
//   context = norm((projection x) / sqrt(hidden))    each row of P
//   input   = (token + context) / sqrt(2)
struct LayerInputs {
    tensor::MatrixView table;  // [vocabulary, L * P]
    Linear projection;         // [L * P, hidden]
    Norm norm;                 // [P]
    uint32_t layers = 0;       // L
    uint32_t width = 0;        // P

    size_t row() const { return size_t{layers} * width; }
};
Result<LayerInputs> bind_layer_inputs(WeightBinder& in, const TransformerConfig& config);

// Scratch that making them takes.
uint64_t scratch_bytes(const LayerInputs& inputs, size_t rows, size_t hidden);
// out [rows, L, P] for x [rows, hidden].
void make_layer_inputs(const LayerInputs& inputs, const kernels::Compute& compute,
                       std::span<const TokenId> tokens, std::span<const float> x,
                       ScratchArena& scratch, std::span<float> out);

// What a layer does with its own: x += norm(projection (act(gate x) * input)).
struct LayerInputGate {
    Linear gate;        // [P, hidden]
    Linear projection;  // [hidden, P]
    Norm norm;          // [hidden]
    Activation activation = Activation::GeluTanh;
    uint32_t layer = 0;
};
Result<LayerInputGate> bind_layer_input_gate(WeightBinder& in, const TransformerConfig& config,
                                             uint32_t layer);

uint64_t scratch_bytes(const LayerInputGate& gate, size_t rows);
// out [pass.rows, hidden] is what is added; input.x is the stream itself.
void run(const LayerInputGate& gate, const Pass& pass, kernels::Activations& x,
         std::span<float> out);

}  // namespace weir::model
