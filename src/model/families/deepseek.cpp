#include <fmt/format.h>

#include <array>
#include <cmath>

#include "model/families/families.h"
#include "model/families/moe_keys.h"
#include "model/layers/latent_attention.h"
#include "model/layers/mixture.h"
#include "model/rope.h"

// DeepSeek V2, V2-Lite (2024), V3, R1 (2025): attention over compressed keys and values
// (layers/latent_attention.h has the formulas), and after some dense layers experts.
//
//   scale     m^2 / sqrt(nope + rope), m = 0.1 mscale_all_dim ln(factor) + 1 with YaRN, else 1
//   V2        s = softmax(Wr m); with topk_method group_limited_greedy only the topk_group groups
//             of the largest s; the best by s, weighted by s * routed_scaling_factor
//   V3        s = sigmoid(Wr m); groups by the sum of their two largest s + b, the best by s + b,
//             weighted by s / (their sum + 1e-20) * routed_scaling_factor (without norm_topk_prob
//             not divided); b (e_score_correction_bias) is in the choice alone
//   out       = the weighted sum of the experts + shared(m), n_shared_experts wide
//
// Rotated pairs are adjacent in both file formats (V3's rope_interleave false: halves).
// GGUF's key and value lengths are those of the heads where attn_kv_b is whole (older files), else
// those of what is kept, with the heads' in key_length_mla and value_length_mla; its
// yarn_log_multiplier is a tenth of mscale_all_dim.
//
// The layers for drafting (num_nextn_predict_layers) are left alone.
namespace weir::model {

namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"deepseek2"};
constexpr std::array<std::string_view, 2> kModelTypes = {"deepseek_v2", "deepseek_v3"};

constexpr std::array kNames = with_experts(std::array{
    TensorName{"attn_q_a", "self_attn.q_a_proj"},
    TensorName{"attn_q_a_norm", "self_attn.q_a_layernorm"},
    TensorName{"attn_q_b", "self_attn.q_b_proj"},
    TensorName{"attn_kv_a_mqa", "self_attn.kv_a_proj_with_mqa"},
    TensorName{"attn_kv_a_norm", "self_attn.kv_a_layernorm"},
    TensorName{"attn_kv_b", "self_attn.kv_b_proj"},
    TensorName{"exp_probs_b.bias", "mlp.gate.e_score_correction_bias"},
    TensorName{"ffn_gate_shexp", "mlp.shared_experts.gate_proj"},
    TensorName{"ffn_up_shexp", "mlp.shared_experts.up_proj"},
    TensorName{"ffn_down_shexp", "mlp.shared_experts.down_proj"},
});

constexpr float kNormalizeEpsilon = 1e-20f;

// Once the latent shape is known, what follows from it.
void set_shape(TransformerConfig& out) {
    const LatentConfig& latent = *out.latent;
    out.head_dim = latent.nope_dim + latent.rope_dim;
    for (RopeConfig& rope : out.ropes) {
        rope.rotary_dim = latent.rope_dim;
    }
    for (LayerConfig& layer : out.layer) {
        layer.head_dim = out.head_dim;
        layer.kv_heads = 1;
    }
}

// `mscale` is mscale_all_dim.
void set_attention_scale(double mscale, TransformerConfig& out) {
    const auto* yarn = std::get_if<YarnScaling>(&out.ropes.front().scaling);
    const double m = yarn == nullptr || mscale == 0 ? 1 : yarn_mscale(yarn->factor, mscale);
    out.attention_scale = m * m / std::sqrt(static_cast<double>(out.head_dim));
}

// So many experts that everybody takes, as one.
Result<void> set_shared_width(uint32_t count, MoeConfig& moe) {
    const uint64_t width = uint64_t{moe.width} * count;
    if (width > kFeedForwardMax) {
        return data_corrupt("{} shared experts of {}", count, moe.width);
    }
    moe.shared_width = static_cast<uint32_t>(width);
    return {};
}

Result<void> read_gguf_shape(GgufConfig& in, TransformerConfig& out) {
    LatentConfig& latent = out.latent.emplace();
    WEIR_TRY_ASSIGN(const auto query_rank, in.size("attention.q_lora_rank"));
    WEIR_TRY_ASSIGN(latent.kv_rank, in.require_size("attention.kv_lora_rank"));
    WEIR_TRY_ASSIGN(latent.rope_dim, in.require_size("rope.dimension_count"));
    WEIR_TRY_ASSIGN(const auto key, in.size("attention.key_length"));
    WEIR_TRY_ASSIGN(const auto value, in.size("attention.value_length"));
    WEIR_TRY_ASSIGN(const auto key_mla, in.size("attention.key_length_mla"));
    WEIR_TRY_ASSIGN(const auto value_mla, in.size("attention.value_length_mla"));
    const bool split = key_mla.value_or(0) != 0 && value_mla.value_or(0) != 0;
    const auto head_dim = split ? key_mla : key;
    const auto value_dim = split ? value_mla : value;
    if (!head_dim || !value_dim || *head_dim <= latent.rope_dim) {
        return data_corrupt("key {}: heads of {} with {} rotated", in.key("attention.key_length"),
                            head_dim.value_or(0), latent.rope_dim);
    }
    latent.query_rank = query_rank.value_or(0);
    latent.nope_dim = *head_dim - latent.rope_dim;
    latent.value_dim = *value_dim;
    set_shape(out);
    return {};
}

Result<void> finish_gguf(GgufConfig& in, TransformerConfig& out) {
    WEIR_TRY(drop_draft_layers(in, out));
    WEIR_TRY(read_gguf_shape(in, out));
    out.set_rope_pairs(kernels::RopePairs::Adjacent);
    out.qkv_bias = BiasRule::IfPresent;
    out.output_bias = BiasRule::IfPresent;
    WEIR_TRY_ASSIGN(const auto lambda, in.number("rope.scaling.yarn_log_multiplier"));
    set_attention_scale(10 * lambda.value_or(0), out);
    if (auto* yarn = std::get_if<YarnScaling>(&out.ropes.front().scaling);
        yarn != nullptr && lambda.value_or(0) != 0) {
        yarn->attention_factor = 1;  // mscale / mscale_all_dim, which are the same in all models
    }
    WEIR_TRY_ASSIGN(const auto beta, in.number("attention.temperature_scale"));
    if (beta.value_or(0) != 0) {
        WEIR_TRY_ASSIGN(const uint32_t length, in.require_size("attention.temperature_length"));
        out.temperature = QueryTemperature{.beta = *beta, .length = length};
    } else {
        in.ignore("attention.temperature_length");
    }

    MoeConfig& moe = out.moe.emplace();
    WEIR_TRY(read_gguf_moe(in, out.feed_forward, out, moe));
    // Files of GLM-4.7-Flash, which are of this architecture, leave the key out.
    if (!in.has_key("expert_gating_func") && (out.layers == 47 || out.layers == 48) &&
        out.vocabulary == 154880) {
        moe.router.score = RouterScore::Sigmoid;
    }
    WEIR_TRY_ASSIGN(const auto shared, in.size("expert_shared_count"));
    WEIR_TRY(set_shared_width(shared.value_or(0), moe));
    in.ignore("expert_shared_feed_forward_length");
    const bool sigmoid = moe.router.score == RouterScore::Sigmoid;
    moe.router.group_score = sigmoid ? GroupScore::SumOfTwoLargest : GroupScore::Largest;
    moe.router.normalize_epsilon = kNormalizeEpsilon;
    for (uint32_t i = 0; i < out.layers && !moe.selection_bias; ++i) {
        moe.selection_bias = in.has_tensor(fmt::format("blk.{}.exp_probs_b.bias", i));
    }
    return {};
}

Result<void> read_json_shape(JsonConfig& in, TransformerConfig& out) {
    LatentConfig& latent = out.latent.emplace();
    WEIR_TRY_ASSIGN(const auto query_rank, in.size("q_lora_rank"));
    latent.query_rank = query_rank.value_or(0);
    WEIR_TRY_ASSIGN(latent.kv_rank, in.require_size("kv_lora_rank"));
    WEIR_TRY_ASSIGN(latent.nope_dim, in.require_size("qk_nope_head_dim"));
    WEIR_TRY_ASSIGN(latent.rope_dim, in.require_size("qk_rope_head_dim"));
    WEIR_TRY_ASSIGN(latent.value_dim, in.require_size("v_head_dim"));
    if (latent.nope_dim > kHeadDimMax || latent.rope_dim > kHeadDimMax) {
        return data_corrupt("{}: heads of {} and {}", in.fields().path_of("qk_nope_head_dim"),
                            latent.nope_dim, latent.rope_dim);
    }
    set_shape(out);
    WEIR_TRY_ASSIGN(const auto head_dim, in.size("qk_head_dim"));
    if (head_dim.value_or(out.head_dim) != out.head_dim) {
        return data_corrupt("{} is {}, but qk_nope_head_dim and qk_rope_head_dim are {} and {}",
                            in.fields().path_of("qk_head_dim"), *head_dim, latent.nope_dim,
                            latent.rope_dim);
    }
    return {};
}

// YaRN's member that the rope itself does not need.
Result<double> read_mscale_all_dim(JsonConfig& in) {
    double mscale = 0;
    for (const std::string_view name : {"rope_parameters", "rope_scaling"}) {
        WEIR_TRY_ASSIGN(const json::Object* object, in.fields().object(name));
        if (object != nullptr) {
            json::Fields fields(*object, in.fields().path_of(name));
            WEIR_TRY(fields.read("mscale_all_dim", json::in_range(0.0, 1e9), mscale));
            break;
        }
    }
    return mscale;
}

Result<void> read_scoring(JsonConfig& in, bool v3, RouterRule& rule) {
    std::string scoring = v3 ? "sigmoid" : "softmax";
    std::string method = v3 ? "noaux_tc" : "greedy";
    WEIR_TRY(in.fields().read("scoring_func", scoring));
    WEIR_TRY(in.fields().read("topk_method", method));
    if (scoring != (v3 ? "sigmoid" : "softmax")) {
        return unsupported("{}: \"{}\" is not supported for this family",
                           in.fields().path_of("scoring_func"), scoring);
    }
    if (v3 ? method != "noaux_tc" : method != "greedy" && method != "group_limited_greedy") {
        return unsupported("{}: \"{}\" is not supported for this family",
                           in.fields().path_of("topk_method"), method);
    }
    WEIR_TRY_ASSIGN(const auto groups, in.size("n_group"));
    WEIR_TRY_ASSIGN(const auto groups_chosen, in.size("topk_group"));
    if (method != "greedy") {
        rule.groups = groups.value_or(v3 ? 8 : 1);
        rule.groups_chosen = groups_chosen.value_or(v3 ? 4 : 1);
    }
    WEIR_TRY_ASSIGN(rule.normalize, in.flag("norm_topk_prob", v3));
    if (!v3 && rule.normalize) {
        // No published model has it, and the references disagree: the code that came with the
        // models divides and then leaves the factor out, the library's ignores the key, llama.cpp
        // divides and multiplies.
        return unsupported("{}: not supported for this family",
                           in.fields().path_of("norm_topk_prob"));
    }
    WEIR_TRY_ASSIGN(const auto scale, in.number("routed_scaling_factor"));
    rule.scale = static_cast<float>(scale.value_or(v3 ? 2.5 : 1.0));
    rule.score = v3 ? RouterScore::Sigmoid : RouterScore::Softmax;
    rule.group_score = v3 ? GroupScore::SumOfTwoLargest : GroupScore::Largest;
    rule.normalize_epsilon = kNormalizeEpsilon;
    return {};
}

Result<void> read_experts(JsonConfig& in, bool v3, TransformerConfig& out) {
    MoeConfig& moe = out.moe.emplace();
    WEIR_TRY_ASSIGN(moe.router.experts, read_json_experts(in, v3 ? 256 : 64));
    WEIR_TRY_ASSIGN(moe.router.chosen, in.require_size("num_experts_per_tok"));
    WEIR_TRY(read_scoring(in, v3, moe.router));
    moe.selection_bias = v3;
    WEIR_TRY_ASSIGN(moe.width, in.require_size("moe_intermediate_size"));
    WEIR_TRY_ASSIGN(const auto shared, in.size("n_shared_experts"));
    WEIR_TRY(set_shared_width(shared.value_or(0), moe));
    WEIR_TRY_ASSIGN(const auto dense, in.size("first_k_dense_replace"));
    WEIR_TRY_ASSIGN(const auto step, in.size("moe_layer_freq"));
    if (step == 0u) {
        return data_corrupt("{} is 0", in.fields().path_of("moe_layer_freq"));
    }
    moe.layers.assign(out.layers, false);
    for (uint32_t i = dense.value_or(v3 ? 3 : 0); i < out.layers; ++i) {
        moe.layers[i] = i % step.value_or(1) == 0;
    }
    return {};
}

Result<void> finish_json(JsonConfig& in, TransformerConfig& out) {
    std::string model_type;
    WEIR_TRY(in.fields().read("model_type", model_type));
    const bool v3 = model_type == "deepseek_v3";
    WEIR_TRY(read_json_shape(in, out));
    WEIR_TRY_ASSIGN(const double mscale, read_mscale_all_dim(in));
    set_attention_scale(mscale, out);
    WEIR_TRY_ASSIGN(const bool interleaved, in.flag("rope_interleave", true));
    out.set_rope_pairs(interleaved || !v3 ? kernels::RopePairs::Adjacent
                                          : kernels::RopePairs::Halves);
    WEIR_TRY_ASSIGN(const bool bias, in.flag("attention_bias"));
    out.qkv_bias = bias ? BiasRule::Always : BiasRule::Never;
    out.output_bias = out.qkv_bias;
    WEIR_TRY_ASSIGN(const bool mlp_bias, in.flag("mlp_bias"));
    if (mlp_bias) {
        return unsupported("{}: not supported for this family", in.fields().path_of("mlp_bias"));
    }
    WEIR_TRY_ASSIGN(const auto draft_layers, in.size("num_nextn_predict_layers"));
    out.draft_layers = draft_layers.value_or(0);
    return read_experts(in, v3, out);
}

}  // namespace

const Family& deepseek_family() {
    static constexpr Family kFamily{.gguf_architectures = kArchitectures,
                                    .model_types = kModelTypes,
                                    .finish_gguf = finish_gguf,
                                    .finish_json = finish_json,
                                    .published_with_code = true,
                                    .names = kNames,
                                    .make_mixer = make_latent_attention,
                                    .make_feed_forward = make_mixture};
    return kFamily;
}

}  // namespace weir::model
