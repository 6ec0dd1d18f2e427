#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "model/config_gguf.h"
#include "model/config_json.h"
#include "model/family.h"

// The keys and tensors of mixtures of experts that several families have.
namespace weir::model {

// What most families call a router and its experts, one by one and stacked.
inline constexpr std::array kExpertNames = {
    TensorName{"ffn_gate_inp", "mlp.gate"},
    TensorName{"ffn_gate.#", "mlp.experts.#.gate_proj"},
    TensorName{"ffn_up.#", "mlp.experts.#.up_proj"},
    TensorName{"ffn_down.#", "mlp.experts.#.down_proj"},
    TensorName{"ffn_gate_up_exps.weight", "mlp.experts.gate_up_proj"},
    TensorName{"ffn_down_exps.weight", "mlp.experts.down_proj"},
};

// A family's own names, then those.
template <size_t N>
constexpr std::array<TensorName, N + kExpertNames.size()> with_experts(
    const std::array<TensorName, N>& own) {
    std::array<TensorName, N + kExpertNames.size()> out{};
    std::ranges::copy(kExpertNames, std::ranges::copy(own, out.begin()).out);
    return out;
}

// The last layers may be for drafting (nextn_predict_layers), and block_count counts them.
Result<void> drop_draft_layers(GgufConfig& in, TransformerConfig& out);

// expert_count, expert_used_count, the groups, expert_weights_scale and _norm, expert_gating_func,
// expert_feed_forward_length (else `width_otherwise`), leading_dense_block_count and
// interleave_moe_layer_step; a key that is there wins over what `moe` says when this is called.
Result<void> read_gguf_moe(GgufConfig& in, uint32_t width_otherwise, const TransformerConfig& model,
                           MoeConfig& moe);

// The number of experts, whichever of its three names the file uses, else `otherwise`.
Result<uint32_t> read_json_experts(JsonConfig& in, uint32_t otherwise);

// Layers with experts by decoder_sparse_step (1 where absent) and mlp_only_layers.
Result<std::vector<bool>> read_sparse_layers(JsonConfig& in, uint32_t layers);

// Every layer has experts.
inline std::vector<bool> all_layers(const TransformerConfig& model) {
    return std::vector<bool>(model.layers, true);
}

// Numbers of layers, each below `layers`; nothing: absent or null.
Result<std::optional<std::vector<uint32_t>>> read_layer_numbers(JsonConfig& in,
                                                                std::string_view name,
                                                                uint32_t layers);

}  // namespace weir::model
