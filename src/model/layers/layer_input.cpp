#include "model/layers/layer_input.h"

#include <cmath>
#include <cstring>

#include "kernels/row_ops.h"
#include "model/layers/mlp.h"
#include "model/weight_binder.h"

namespace weir::model {

Result<LayerInputs> bind_layer_inputs(WeightBinder& in, const TransformerConfig& config) {
    LayerInputs out{.layers = config.layers, .width = config.per_layer_width};
    WEIR_TRY_ASSIGN(out.table,
                    in.matrix("per_layer_token_embd.weight", config.vocabulary, out.row()));
    WEIR_TRY_ASSIGN(out.projection,
                    in.linear("per_layer_model_proj", out.row(), config.hidden, BiasRule::Never));
    WEIR_TRY_ASSIGN(out.norm, in.norm("per_layer_proj_norm", out.width));
    return out;
}

uint64_t scratch_bytes(const LayerInputs& inputs, size_t rows, size_t hidden) {
    return float_bytes(uint64_t{rows} * inputs.row()) + quantized_bytes(rows, hidden);
}

void make_layer_inputs(const LayerInputs& inputs, const kernels::Compute& compute,
                       std::span<const TokenId> tokens, std::span<const float> x,
                       ScratchArena& scratch, std::span<float> out) {
    const size_t rows = tokens.size();
    const size_t hidden = x.size() / rows;
    const size_t count = rows * inputs.row();
    const ScratchArena::Mark mark = scratch.mark();
    const std::span token = scratch.take_floats(count);
    const std::span quantized = scratch.take(kernels::Activations::scratch_bytes(rows, hidden));
    kernels::Activations activations(x.data(), rows, hidden, quantized);
    multiply(compute, inputs.projection, activations, out);
    const auto inverse_root = 1 / std::sqrt(static_cast<double>(hidden));
    kernels::scale(compute, static_cast<float>(inverse_root), count, out.data());
    apply(compute, inputs.norm, out.data(), rows * inputs.layers, inputs.width, out.data());
    kernels::lookup_rows(compute, inputs.table, tokens, token.data());
    const auto root = static_cast<float>(std::sqrt(static_cast<double>(inputs.width)));
    kernels::scale(compute, root, count, token.data());
    kernels::add(compute, out.data(), token.data(), count, out.data());
    kernels::scale(compute, static_cast<float>(std::sqrt(0.5)), count, out.data());
    scratch.rewind(mark);
}

Result<LayerInputGate> bind_layer_input_gate(WeightBinder& in, const TransformerConfig& config,
                                             uint32_t layer) {
    const uint32_t width = config.per_layer_width;
    LayerInputGate out{.activation = config.activation, .layer = layer};
    WEIR_TRY_ASSIGN(out.gate, in.linear("inp_gate", width, config.hidden, BiasRule::Never));
    WEIR_TRY_ASSIGN(out.projection, in.linear("proj", config.hidden, width, BiasRule::Never));
    WEIR_TRY_ASSIGN(out.norm, in.norm("post_norm", config.hidden));
    return out;
}

uint64_t scratch_bytes(const LayerInputGate& gate, size_t rows) {
    const size_t width = gate.gate.weight.rows;
    return 2 * float_bytes(uint64_t{rows} * width) + quantized_bytes(rows, width);
}

void run(const LayerInputGate& gate, const Pass& pass, kernels::Activations& x,
         std::span<float> out) {
    const size_t width = gate.gate.weight.rows;
    const std::span gated = pass.scratch.take_floats(pass.rows * width);
    const std::span own = pass.scratch.take_floats(pass.rows * width);
    const std::span quantized =
        pass.scratch.take(kernels::Activations::scratch_bytes(pass.rows, width));
    multiply(pass.compute, gate.gate, x, gated);
    const size_t stride = pass.layer_inputs.size() / pass.rows;
    for (size_t r = 0; r < pass.rows; ++r) {
        std::memcpy(own.data() + r * width,
                    pass.layer_inputs.data() + r * stride + gate.layer * width,
                    width * sizeof(float));
    }
    gate_mul(pass.compute, gate.activation, gated.data(), own.data(), gated.size(), gated.data());
    kernels::Activations activations(gated.data(), pass.rows, width, quantized);
    multiply(pass.compute, gate.projection, activations, out);
    apply(pass.compute, gate.norm, out.data(), pass.rows, x.columns(), out.data());
}

}  // namespace weir::model
