#include <algorithm>
#include <array>

#include "model/families/families.h"
#include "model/families/moe_keys.h"
#include "model/layers/mixture.h"

// Qwen2-MoE (Qwen1.5-MoE, Qwen2-57B-A14B): attention as Qwen2 (families/qwen2.cpp), and
//
//   p   = softmax(Wr m) over all experts, in float32
//   out = sum over the best num_experts_per_tok of p[e] expert_e(m)  + sigmoid(Ws m) shared(m)
//
// Qwen3-MoE: attention as Qwen3 (families/qwen3.cpp), no shared expert, and with norm_topk_prob the
// p of those chosen are divided by their sum (all published ones; GGUF: always). Layers of
// mlp_only_layers, and those that decoder_sparse_step passes over, are dense.
namespace weir::model {

namespace {

constexpr std::array<std::string_view, 1> kQwen2Architectures = {"qwen2moe"};
constexpr std::array<std::string_view, 1> kQwen2Types = {"qwen2_moe"};
constexpr std::array<std::string_view, 1> kQwen3Architectures = {"qwen3moe"};
constexpr std::array<std::string_view, 1> kQwen3Types = {"qwen3_moe"};

constexpr std::array kNames = with_experts(std::array{
    TensorName{"ffn_gate_shexp", "mlp.shared_expert.gate_proj"},
    TensorName{"ffn_up_shexp", "mlp.shared_expert.up_proj"},
    TensorName{"ffn_down_shexp", "mlp.shared_expert.down_proj"},
    TensorName{"ffn_gate_inp_shexp", "mlp.shared_expert_gate"},
});

// What Hugging Face's config class has for absent keys.
struct Defaults {
    uint32_t experts, chosen, width;
};

Result<void> read_json(JsonConfig& in, const Defaults& defaults, TransformerConfig& out) {
    MoeConfig& moe = out.moe.emplace();
    WEIR_TRY_ASSIGN(moe.router.experts, read_json_experts(in, defaults.experts));
    WEIR_TRY_ASSIGN(const auto chosen, in.size("num_experts_per_tok"));
    WEIR_TRY_ASSIGN(const auto width, in.size("moe_intermediate_size"));
    WEIR_TRY_ASSIGN(moe.router.normalize, in.flag("norm_topk_prob"));
    WEIR_TRY_ASSIGN(moe.layers, read_sparse_layers(in, out.layers));
    moe.router.chosen = chosen.value_or(defaults.chosen);
    moe.width = width.value_or(defaults.width);
    out.set_rope_pairs(kernels::RopePairs::Halves);
    return in.read_switched_windows(out);
}

Result<void> finish_qwen2_json(JsonConfig& in, TransformerConfig& out) {
    WEIR_TRY(read_json(in, {.experts = 60, .chosen = 4, .width = 1408}, out));
    WEIR_TRY_ASSIGN(const auto shared, in.size("shared_expert_intermediate_size"));
    out.moe->shared_width = shared.value_or(5632);
    out.moe->shared_gate = true;
    WEIR_TRY_ASSIGN(const bool bias, in.flag("qkv_bias", true));
    out.qkv_bias = bias ? BiasRule::Always : BiasRule::Never;
    return {};
}

Result<void> finish_qwen3_json(JsonConfig& in, TransformerConfig& out) {
    WEIR_TRY(read_json(in, {.experts = 128, .chosen = 8, .width = 768}, out));
    out.qk_norm = HeadNorm::Rms;
    WEIR_TRY_ASSIGN(const bool bias, in.flag("attention_bias"));
    out.qkv_bias = bias ? BiasRule::Always : BiasRule::Never;
    out.output_bias = out.qkv_bias;
    return {};
}

// Files from before there was a key for the experts' width have the shared expert's as
// feed_forward_length, which is that of the experts that a row takes, together.
Result<void> finish_qwen2_gguf(GgufConfig& in, TransformerConfig& out) {
    WEIR_TRY_ASSIGN(const auto chosen, in.size("expert_used_count"));
    MoeConfig& moe = out.moe.emplace();
    WEIR_TRY(read_gguf_moe(in, out.feed_forward / std::max(chosen.value_or(1), 1u), out, moe));
    WEIR_TRY_ASSIGN(const auto shared, in.size("expert_shared_feed_forward_length"));
    moe.shared_width = shared.value_or(0) == 0 ? out.feed_forward : *shared;
    moe.shared_gate = true;
    out.set_rope_pairs(kernels::RopePairs::Halves);
    out.qkv_bias = BiasRule::IfPresent;
    return {};
}

Result<void> finish_qwen3_gguf(GgufConfig& in, TransformerConfig& out) {
    MoeConfig& moe = out.moe.emplace();
    moe.router.normalize = true;
    WEIR_TRY(read_gguf_moe(in, out.feed_forward, out, moe));
    out.set_rope_pairs(kernels::RopePairs::Halves);
    out.qk_norm = HeadNorm::Rms;
    out.qkv_bias = BiasRule::IfPresent;
    out.output_bias = BiasRule::IfPresent;
    return {};
}

}  // namespace

const Family& qwen2_moe_family() {
    static constexpr Family kFamily{.gguf_architectures = kQwen2Architectures,
                                    .model_types = kQwen2Types,
                                    .finish_gguf = finish_qwen2_gguf,
                                    .finish_json = finish_qwen2_json,
                                    .names = kNames,
                                    .make_feed_forward = make_mixture};
    return kFamily;
}

const Family& qwen3_moe_family() {
    static constexpr Family kFamily{.gguf_architectures = kQwen3Architectures,
                                    .model_types = kQwen3Types,
                                    .finish_gguf = finish_qwen3_gguf,
                                    .finish_json = finish_qwen3_json,
                                    .names = kNames,
                                    .make_feed_forward = make_mixture};
    return kFamily;
}

}  // namespace weir::model
