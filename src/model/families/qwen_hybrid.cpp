#include "model/families/qwen_hybrid.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "model/families/moe_keys.h"
#include "model/file_errors.h"
#include "model/layers/delta_net.h"
#include "model/weight_binder.h"

namespace weir::model::qwen_hybrid {

namespace {

constexpr uint32_t kIntervalDefault = 4;
constexpr double kRotaryPartDefault = 0.25;

constexpr std::array kNames = with_experts(std::array{
    TensorName{"post_attention_norm", "post_attention_layernorm"},
    TensorName{"attn_qkv", "linear_attn.in_proj_qkv"},
    TensorName{"attn_gate", "linear_attn.in_proj_z"},
    TensorName{"ssm_beta", "linear_attn.in_proj_b"},
    TensorName{"ssm_alpha", "linear_attn.in_proj_a"},
    TensorName{"ssm_in", "linear_attn.in_proj_qkvz"},
    TensorName{"ssm_ba", "linear_attn.in_proj_ba"},
    TensorName{"ssm_conv1d", "linear_attn.conv1d"},
    TensorName{"ssm_a", "linear_attn.A_log"},
    TensorName{"ssm_dt.bias", "linear_attn.dt_bias"},
    TensorName{"ssm_norm", "linear_attn.norm"},
    TensorName{"ssm_out", "linear_attn.out_proj"},
    TensorName{"ffn_gate_inp_shexp", "mlp.shared_expert_gate"},
    TensorName{"ffn_gate_shexp", "mlp.shared_expert.gate_proj"},
    TensorName{"ffn_up_shexp", "mlp.shared_expert.up_proj"},
    TensorName{"ffn_down_shexp", "mlp.shared_expert.down_proj"},
});

void set_common(TransformerConfig& out) {
    out.set_rope_pairs(kernels::RopePairs::Halves);
    out.qk_norm = HeadNorm::Rms;
    out.attention_output_gate = true;
    out.feed_forward_norm = "post_attention_norm";
}

// Every n-th layer is attention.
std::vector<bool> recurrent_layers(uint32_t layers, uint32_t interval) {
    std::vector<bool> found(layers);
    for (uint32_t i = 0; i < layers; ++i) {
        found[i] = (i + 1) % interval != 0;
    }
    return found;
}

Result<std::vector<bool>> read_layer_types(JsonConfig& in, uint32_t layers) {
    WEIR_TRY_ASSIGN(auto recurrent, in.layers_of_type("linear_attention", layers));
    WEIR_TRY_ASSIGN(const auto interval, in.size("full_attention_interval"));
    if (recurrent) {
        return *std::move(recurrent);
    }
    if (interval == 0u) {
        return data_corrupt("{} is 0", in.fields().path_of("full_attention_interval"));
    }
    return recurrent_layers(layers, interval.value_or(kIntervalDefault));
}

}  // namespace

std::span<const TensorName> tensor_names() {
    return kNames;
}

Result<void> finish_json(JsonConfig& in, TransformerConfig& out) {
    set_common(out);
    out.norm_offset = 1;
    WEIR_TRY(in.take_rotary_part(kRotaryPartDefault, out));
    WEIR_TRY_ASSIGN(const bool bias, in.flag("attention_bias"));
    out.qkv_bias = bias ? BiasRule::Always : BiasRule::Never;
    out.output_bias = out.qkv_bias;
    WEIR_TRY_ASSIGN(out.attention_output_gate, in.flag("attn_output_gate", true));

    DeltaNetConfig net{.map = kernels::HeadMap::Grouped, .rate_is_log = true};
    struct Size {
        std::string_view name;
        uint32_t* to;
        uint32_t otherwise;
    };
    const Size sizes[] = {{"linear_conv_kernel_dim", &net.taps, 4},
                          {"linear_num_key_heads", &net.key_heads, 16},
                          {"linear_num_value_heads", &net.value_heads, 32},
                          {"linear_key_head_dim", &net.key_dim, 128},
                          {"linear_value_head_dim", &net.value_dim, 128}};
    for (const auto& [name, to, otherwise] : sizes) {
        WEIR_TRY_ASSIGN(const auto said, in.size(name));
        *to = said.value_or(otherwise);
    }
    WEIR_TRY_ASSIGN(net.layers, read_layer_types(in, out.layers));
    out.delta_net = std::move(net);
    return {};
}

Result<void> finish_gguf(GgufConfig& in, kernels::HeadMap map, TransformerConfig& out) {
    set_common(out);
    DeltaNetConfig net{.map = map, .rate_is_log = false};
    WEIR_TRY_ASSIGN(net.taps, in.require_size("ssm.conv_kernel"));
    WEIR_TRY_ASSIGN(net.key_dim, in.require_size("ssm.state_size"));
    WEIR_TRY_ASSIGN(net.key_heads, in.require_size("ssm.group_count"));
    WEIR_TRY_ASSIGN(net.value_heads, in.require_size("ssm.time_step_rank"));
    WEIR_TRY_ASSIGN(const uint32_t values, in.require_size("ssm.inner_size"));
    if (net.value_heads == 0 || values % net.value_heads != 0) {
        return data_corrupt("key {}: {} do not divide {}", in.key("ssm.time_step_rank"),
                            net.value_heads, values);
    }
    net.value_dim = values / net.value_heads;
    WEIR_TRY_ASSIGN(const auto interval, in.size("full_attention_interval"));
    if (interval == 0u) {
        return data_corrupt("key {} is 0", in.key("full_attention_interval"));
    }
    const uint32_t blocks = out.layers;
    WEIR_TRY(drop_draft_layers(in, out));
    WEIR_TRY_ASSIGN(const auto said, in.flags("attention.recurrent_layers", blocks));
    net.layers = said ? *said : recurrent_layers(blocks, interval.value_or(kIntervalDefault));
    net.layers.resize(out.layers);
    in.ignore("rope.dimension_sections");  // of images; a text's are all equal
    out.delta_net = std::move(net);
    return {};
}

Result<void> read_json_experts(JsonConfig& in, const ExpertDefaults& defaults,
                               TransformerConfig& out) {
    constexpr uint32_t kWidthDefault = 512;
    MoeConfig& moe = out.moe.emplace();
    WEIR_TRY_ASSIGN(moe.router.experts, model::read_json_experts(in, defaults.experts));
    WEIR_TRY_ASSIGN(const auto chosen, in.size("num_experts_per_tok"));
    WEIR_TRY_ASSIGN(const auto width, in.size("moe_intermediate_size"));
    WEIR_TRY_ASSIGN(const auto shared, in.size("shared_expert_intermediate_size"));
    moe.router.chosen = chosen.value_or(defaults.chosen);
    moe.width = width.value_or(kWidthDefault);
    moe.shared_width = shared.value_or(kWidthDefault);
    moe.shared_gate = true;
    return {};
}

Result<void> read_gguf_experts(GgufConfig& in, TransformerConfig& out) {
    MoeConfig& moe = out.moe.emplace();
    moe.router.normalize = true;
    WEIR_TRY(read_gguf_moe(in, out.feed_forward, out, moe));
    WEIR_TRY_ASSIGN(moe.shared_width, in.require_size("expert_shared_feed_forward_length"));
    moe.shared_gate = true;
    return {};
}

Result<std::unique_ptr<TokenMixer>> make_mixer(WeightBinder& in, const TransformerConfig& config,
                                               uint32_t layer) {
    return config.delta_net->layers[layer] ? make_delta_net(in, config)
                                           : make_self_attention(in, config, layer);
}

}  // namespace weir::model::qwen_hybrid
