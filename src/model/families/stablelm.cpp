#include <array>

#include "model/config_gguf.h"
#include "model/config_json.h"
#include "model/families/families.h"

// StableLM 2 and StableLM 3B (Stability AI 2024): the Llama block (families/llama.cpp) with
// LayerNorms, with weight and bias, in place of RMSNorms, biases on q, k and v where use_qkv_bias
// says so, and pairs (i, i + r/2) over the first quarter of each head.
//
//   use_parallel_residual   x = x + attention(n) + mlp(n), n = layernorm(x); no second norm
//   qk_layernorm            every head of q and k has a LayerNorm of its own before the rotation,
//                           without a bias
//
// In GGUF the tensors say both.
namespace weir::model {

namespace {

constexpr std::array<std::string_view, 1> kNames = {"stablelm"};
constexpr std::array kTensorNames = {
    TensorName{"attn_q_norm.#", "self_attn.q_layernorm.norms.#"},
    TensorName{"attn_k_norm.#", "self_attn.k_layernorm.norms.#"},
};
constexpr double kRotaryPart = 0.25;

void start(TransformerConfig& out) {
    out.set_rope_pairs(kernels::RopePairs::Halves);
    out.norm = NormKind::Layer;
    out.norm_bias = BiasRule::Always;
}

Result<void> finish_gguf(GgufConfig& in, TransformerConfig& out) {
    start(out);
    out.qkv_bias = BiasRule::IfPresent;
    WEIR_TRY_ASSIGN(const auto parallel, in.flag("use_parallel_residual"));
    if (parallel.value_or(!in.has_tensor("blk.0.ffn_norm.weight"))) {
        out.block = BlockForm::Parallel;
    }
    if (in.has_tensor("blk.0.attn_q_norm.weight")) {
        out.qk_norm = HeadNorm::LayerEachHead;
    }
    return {};
}

Result<void> finish_json(JsonConfig& in, TransformerConfig& out) {
    start(out);
    WEIR_TRY(in.take_rotary_part(kRotaryPart, out));
    WEIR_TRY_ASSIGN(const bool bias, in.flag("use_qkv_bias"));
    out.qkv_bias = bias ? BiasRule::Always : BiasRule::Never;
    WEIR_TRY_ASSIGN(const bool parallel, in.flag("use_parallel_residual"));
    out.block = parallel ? BlockForm::Parallel : BlockForm::Sequential;
    WEIR_TRY_ASSIGN(const bool qk_norm, in.flag("qk_layernorm"));
    out.qk_norm = qk_norm ? HeadNorm::LayerEachHead : HeadNorm::None;
    return {};
}

}  // namespace

const Family& stablelm_family() {
    static constexpr Family kFamily{.gguf_architectures = kNames,
                                    .model_types = kNames,
                                    .finish_gguf = finish_gguf,
                                    .finish_json = finish_json,
                                    .json = {.epsilon_name = "layer_norm_eps", .epsilon = 1e-5},
                                    .names = kTensorNames};
    return kFamily;
}

}  // namespace weir::model
