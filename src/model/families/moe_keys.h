#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "model/config_gguf.h"
#include "model/config_json.h"
#include "model/family.h"

// The keys of mixtures of experts that several families have.
namespace weir::model {

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
