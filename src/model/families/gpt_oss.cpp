#include <array>

#include "model/families/families.h"
#include "model/families/moe_keys.h"
#include "model/layers/mixture.h"

// gpt-oss (OpenAI 2025): the Llama block (families/llama.cpp) with pairs (i, i + d/2) in both file
// formats, biases on every matrix of attention, router and experts, and
//
//   attention  a learned score per head joins the softmax's sum and has no value (sinks); every
//              other layer, from the first, sees a window
//   rope       YaRN whose range of correction is not rounded to whole pairs
//   l          = Wr m + br;  the best num_experts_per_tok by l, weighted by softmax over their l
//   expert     g = min(Wg m + bg, limit), u = Wu m + bu within ±limit
//              Wd (g sigmoid(alpha g) (u + 1)) + bd
//
// Safetensors hold gate and up in one, by turns: as bfloat16 with the input dimension outermost, or
// as blocks and scales of MXFP4. GGUF has them apart, calls the second norm post_attention_norm,
// and has no keys for the rounding, the limit and alpha.
namespace weir::model {

namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"gpt-oss"};
constexpr std::array<std::string_view, 1> kModelTypes = {"gpt_oss"};

constexpr std::array kNames = {
    TensorName{"attn_sinks.weight", "self_attn.sinks"},
    TensorName{"ffn_gate_inp", "mlp.router"},
    TensorName{"ffn_gate_up_exps.weight", "mlp.experts.gate_up_proj"},
    TensorName{"ffn_gate_up_exps.bias", "mlp.experts.gate_up_proj_bias"},
    TensorName{"ffn_down_exps.weight", "mlp.experts.down_proj"},
    TensorName{"ffn_down_exps.bias", "mlp.experts.down_proj_bias"},
};

constexpr uint32_t kWindowDefault = 128;
constexpr uint32_t kExpertsDefault = 128;
constexpr uint32_t kChosenDefault = 4;
constexpr uint32_t kHeadDimDefault = 64;

// The same in both formats.
MoeConfig& begin(TransformerConfig& out) {
    out.set_rope_pairs(kernels::RopePairs::Halves);
    out.attention_sinks = true;
    MoeConfig& moe = out.moe.emplace();
    moe.router.score = RouterScore::SoftmaxOfChosen;
    moe.router_bias = true;
    moe.expert_bias = true;
    moe.clamp.emplace();
    moe.layers = all_layers(out);
    return moe;
}

Result<void> finish_gguf(GgufConfig& in, TransformerConfig& out) {
    MoeConfig& moe = begin(out);
    WEIR_TRY(read_gguf_moe(in, out.feed_forward, out, moe));
    moe.router.score = RouterScore::SoftmaxOfChosen;  // whatever a key calls it
    out.qkv_bias = BiasRule::Always;
    out.output_bias = BiasRule::Always;
    out.feed_forward_norm = "post_attention_norm";
    for (RopeConfig& rope : out.ropes) {
        if (auto* yarn = std::get_if<YarnScaling>(&rope.scaling)) {
            yarn->truncate = false;
        }
    }
    WEIR_TRY_ASSIGN(const auto window, in.size("attention.sliding_window"));
    return in.read_window_pattern(window.value_or(0), 2, out);
}

Result<void> read_windows(JsonConfig& in, TransformerConfig& out) {
    WEIR_TRY_ASSIGN(const auto window, in.window(kWindowDefault));
    if (in.has("layer_types")) {
        return in.read_windows(window, 0, out);
    }
    return in.read_window_pattern(window, 2, out);
}

Result<void> finish_json(JsonConfig& in, TransformerConfig& out) {
    MoeConfig& moe = begin(out);
    WEIR_TRY_ASSIGN(moe.router.experts, read_json_experts(in, kExpertsDefault));
    WEIR_TRY_ASSIGN(const auto chosen, in.size("num_experts_per_tok"));
    WEIR_TRY_ASSIGN(const auto old_chosen, in.size("experts_per_token"));
    moe.router.chosen = chosen.value_or(old_chosen.value_or(kChosenDefault));
    moe.width = out.feed_forward;
    moe.rows = ExpertRows::InOutInterleaved;
    WEIR_TRY_ASSIGN(const auto limit, in.number("swiglu_limit"));
    WEIR_TRY_ASSIGN(const auto alpha, in.number("swiglu_alpha"));
    moe.clamp->limit = static_cast<float>(limit.value_or(double{moe.clamp->limit}));
    moe.clamp->alpha = static_cast<float>(alpha.value_or(double{moe.clamp->alpha}));
    WEIR_TRY_ASSIGN(const bool bias, in.flag("attention_bias", true));
    out.qkv_bias = bias ? BiasRule::Always : BiasRule::Never;
    out.output_bias = out.qkv_bias;
    return read_windows(in, out);
}

}  // namespace

const Family& gpt_oss_family() {
    static constexpr Family kFamily{
        .gguf_architectures = kArchitectures,
        .model_types = kModelTypes,
        .finish_gguf = finish_gguf,
        .finish_json = finish_json,
        .json = {.epsilon = 1e-5, .rope_theta = 150000, .head_dim = kHeadDimDefault},
        .names = kNames,
        .make_feed_forward = make_mixture};
    return kFamily;
}

}  // namespace weir::model
