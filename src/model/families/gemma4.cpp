#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string>

#include "model/config_gguf.h"
#include "model/config_json.h"
#include "model/families/families.h"
#include "model/families/gemma.h"
#include "model/families/moe_keys.h"
#include "model/layers/experts_beside_mlp.h"

// Gemma 4, dense and mixtures, the part that handles text. Norms are RMSNorms with plain weights.
//
//   x = embedding * sqrt(hidden)
//   x = x + norm(Wo attention(rope(norm(Wq n)), rope(norm(Wk n)), rms(Wv n)))   n = norm(x)
//   x = x + norm(Wdown (gelu_tanh(Wgate m) * Wup m))                            m = norm(x)
//   x = (x + norm(Wproj (gelu_tanh(Wgate x) * input))) * scalar
//   logits = cap(embedding norm(x), 30)
//
// Scores are q k, unscaled; v is normed without a weight. Where attention_k_eq_v says so, layers
// that see everything have no Wv: v is what Wk gives, before its norm. Windowed layers and those
// that see everything have heads of different size and number and different ropes: base 1e4 over
// the whole head, and base 1e6 with the first quarter of the pairs turning (rope.h, proportional).
// `input` is the layer's own of the token (layers/layer_input.h), if hidden_size_per_layer_input is
// not 0. The last num_kv_shared_layers layers have no keys and values of their own, but read those
// of the last layer of their kind that has; use_double_wide_mlp doubles their feed-forward width.
// Mixtures have experts beside the dense layer, not in its place (layers/experts_beside_mlp.h).
namespace weir::model {

namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"gemma4"};
constexpr std::array<std::string_view, 1> kModelTypes = {"gemma4_text"};
constexpr std::array kWrapped = {WrappedType{"gemma4", "gemma4_text"}};
constexpr std::array kNames = {
    kGemmaNames[0],
    kGemmaNames[1],
    kGemmaNames[2],
    TensorName{"layer_output_scale.weight", "layer_scalar"},
    TensorName{"inp_gate", "per_layer_input_gate"},
    TensorName{"proj", "per_layer_projection"},
    TensorName{"post_norm", "post_per_layer_input_norm"},
    TensorName{"per_layer_token_embd", "model.embed_tokens_per_layer"},
    TensorName{"per_layer_model_proj", "model.per_layer_model_projection"},
    TensorName{"per_layer_proj_norm", "model.per_layer_projection_norm"},
    TensorName{"post_ffw_norm_1", "post_feedforward_layernorm_1"},
    TensorName{"post_ffw_norm_2", "post_feedforward_layernorm_2"},
    TensorName{"pre_ffw_norm_2", "pre_feedforward_layernorm_2"},
    TensorName{"ffn_gate_inp.weight", "router.proj.weight"},
    TensorName{"ffn_gate_inp.scale", "router.scale"},
    TensorName{"ffn_down_exps.scale", "router.per_expert_scale"},
    TensorName{"ffn_gate_up_exps.weight", "experts.gate_up_proj"},
    TensorName{"ffn_down_exps.weight", "experts.down_proj"},
};
constexpr uint32_t kWindowDefault = 512;
constexpr uint32_t kGlobalHeadDim = 512;
constexpr uint32_t kPattern = 6;
constexpr double kGlobalTheta = 1e6;
constexpr double kLocalTheta = 1e4;
constexpr double kGlobalPart = 0.25;

void start(TransformerConfig& out) {
    out.embedding_scale = std::sqrt(static_cast<double>(out.hidden));
    out.rounds_embedding_scale = true;
    out.norms_after = true;
    out.qk_norm = HeadNorm::Rms;
    out.value_norm = true;
    out.attention_scale = 1;
    out.layer_scales = true;
}

bool sees_all(const LayerConfig& layer) {
    return layer.visible.sight == Sight::All;
}

// Layers that share read the last one before them all that is of their kind.
Result<void> share_keys(uint32_t shared, TransformerConfig& out) {
    if (shared >= out.layers) {
        return data_corrupt("{} of {} layers share the keys of others", shared, out.layers);
    }
    const uint32_t own = out.layers - shared;
    for (uint32_t i = own; i < out.layers; ++i) {
        for (uint32_t other = own; other-- > 0 && !out.layer[i].kv_of;) {
            if (sees_all(out.layer[other]) == sees_all(out.layer[i])) {
                out.layer[i].kv_of = other;
            }
        }
        if (!out.layer[i].kv_of) {
            return data_corrupt("layer {} shares keys, but no layer before {} is of its kind", i,
                                own);
        }
    }
    return {};
}

// All layers of a kind must have heads of one size: they turn by one rope.
Result<void> assign_ropes(TransformerConfig& out) {
    for (const bool global : {true, false}) {
        const uint32_t index = global ? 0 : 1;
        uint32_t head_dim = 0;
        for (LayerConfig& layer : out.layer) {
            if (sees_all(layer) != global) {
                continue;
            }
            if (head_dim != 0 && layer.head_dim != head_dim) {
                return unsupported("layers of one kind with heads of {} and {}", head_dim,
                                   layer.head_dim);
            }
            head_dim = layer.head_dim;
            layer.rope = index;
        }
        out.ropes[index].rotary_dim = head_dim == 0 ? out.head_dim : head_dim;
        out.ropes[index].pairs = kernels::RopePairs::Halves;
    }
    return {};
}

// The experts of every layer, where the file says that there are any.
Result<void> read_gguf_experts(GgufConfig& in, TransformerConfig& out) {
    WEIR_TRY_ASSIGN(const auto experts, in.size("expert_count"));
    if (experts.value_or(0) == 0) {
        return {};
    }
    MoeConfig& moe = out.moe.emplace();
    moe.router.normalize = true;
    return read_gguf_moe(in, out.feed_forward, out, moe);
}

Result<void> read_experts(JsonConfig& in, TransformerConfig& out) {
    WEIR_TRY_ASSIGN(const bool experts, in.flag("enable_moe_block"));
    if (!experts) {  // then the others mean nothing, whatever they are
        in.fields().ignore({"num_experts", "moe_intermediate_size"});
        return {};
    }
    MoeConfig& moe = out.moe.emplace();
    moe.router.normalize = true;
    moe.layers = all_layers(out);
    WEIR_TRY_ASSIGN(moe.router.experts, in.require_size("num_experts"));
    WEIR_TRY_ASSIGN(moe.router.chosen, in.require_size("top_k_experts"));
    WEIR_TRY_ASSIGN(moe.width, in.require_size("moe_intermediate_size"));
    return {};
}

Result<std::unique_ptr<FeedForward>> make_feed_forward(WeightBinder& in,
                                                       const TransformerConfig& config,
                                                       uint32_t layer) {
    return config.moe ? make_experts_beside_mlp(in, config, layer) : make_mlp(in, config, layer);
}

// Of heads that turn only in part, the tensor rope_freqs says so.
Result<void> check_whole_heads_turn(GgufConfig& in, uint32_t local_dim,
                                    const TransformerConfig& out) {
    const auto check = [&](std::string_view name, uint32_t head_dim) -> Result<void> {
        WEIR_TRY_ASSIGN(const auto turning, in.size(name));
        if (turning.value_or(head_dim) != head_dim) {
            return unsupported("key {}: {} of a head's {}; only all are supported", in.key(name),
                               *turning, head_dim);
        }
        return {};
    };
    WEIR_TRY(check("rope.dimension_count", out.head_dim));
    return check("rope.dimension_count_swa", local_dim);
}

Result<void> finish_gguf(GgufConfig& in, TransformerConfig& out) {
    start(out);
    out.activation = Activation::GeluTanh;
    WEIR_TRY_ASSIGN(const auto cap, in.number("final_logit_softcapping"));
    out.logit_soft_cap = static_cast<float>(cap.value_or(0));
    WEIR_TRY_ASSIGN(const auto width, in.size("embedding_length_per_layer_input"));
    out.per_layer_width = width.value_or(0);
    WEIR_TRY(read_gguf_experts(in, out));
    WEIR_TRY_ASSIGN(const auto window, in.size("attention.sliding_window"));
    WEIR_TRY(in.read_window_pattern(window.value_or(kWindowDefault), kPattern, out));
    WEIR_TRY_ASSIGN(const auto local_dim, in.size("attention.key_length_swa"));
    WEIR_TRY_ASSIGN(const auto local_value_dim, in.size("attention.value_length_swa"));
    if (local_value_dim != local_dim) {
        return unsupported("key {}: keys have another length",
                           in.key("attention.value_length_swa"));
    }
    for (uint32_t i = 0; i < out.layers; ++i) {
        LayerConfig& layer = out.layer[i];
        layer.head_dim = sees_all(layer) ? out.head_dim : local_dim.value_or(out.head_dim);
        layer.keys_are_values =
            sees_all(layer) &&
            !in.has_tensor(std::string("blk.") + std::to_string(i) + ".attn_v.weight");
    }
    WEIR_TRY_ASSIGN(const auto theta, in.number("rope.freq_base"));
    WEIR_TRY_ASSIGN(const auto local_theta, in.number("rope.freq_base_swa"));
    WEIR_TRY(check_whole_heads_turn(in, local_dim.value_or(out.head_dim), out));
    out.ropes.resize(2);
    out.ropes[0].theta = theta.value_or(kGlobalTheta);
    out.ropes[1].theta = local_theta.value_or(kLocalTheta);
    WEIR_TRY_ASSIGN(const auto shared, in.size("attention.shared_kv_layers"));
    WEIR_TRY(share_keys(shared.value_or(0), out));
    return assign_ropes(out);
}

// Head sizes and numbers of the layers that see everything: in global_head_dim and
// num_global_key_value_heads, or by layer in per_layer_config, whose keys may have leading zeros.
Result<void> read_heads(JsonConfig& in, TransformerConfig& out) {
    WEIR_TRY_ASSIGN(const bool keys_are_values, in.flag("attention_k_eq_v"));
    WEIR_TRY_ASSIGN(const auto global_dim, in.size("global_head_dim"));
    WEIR_TRY_ASSIGN(const auto global_kv_heads, in.size("num_global_key_value_heads"));
    WEIR_TRY_ASSIGN(const json::Object* by_layer, in.fields().object("per_layer_config"));
    for (LayerConfig& layer : out.layer) {
        if (sees_all(layer)) {
            layer.head_dim =
                global_dim.value_or(by_layer == nullptr ? kGlobalHeadDim : out.head_dim);
            layer.keys_are_values = keys_are_values;
            layer.kv_heads =
                keys_are_values ? global_kv_heads.value_or(out.kv_heads) : out.kv_heads;
        }
    }
    if (by_layer == nullptr) {
        return {};
    }
    const std::string path = in.fields().path_of("per_layer_config");
    for (const auto& [name, value] : *by_layer) {
        uint32_t index = 0;
        const auto parsed = std::from_chars(name.data(), name.data() + name.size(), index);
        if (parsed.ec != std::errc() || parsed.ptr != name.data() + name.size() ||
            index >= out.layers) {
            return data_corrupt("{}.{}: no layer", path, name);
        }
        WEIR_TRY_ASSIGN(json::Fields fields, json::Fields::of(value, path + "." + name));
        LayerConfig& layer = out.layer[index];
        WEIR_TRY(fields.read("head_dim", json::in_range(1u, kHeadDimMax), layer.head_dim));
        WEIR_TRY(fields.read("num_key_value_heads", json::in_range(1u, kHeadsMax), layer.kv_heads));
        WEIR_TRY(fields.refuse_unknown());
    }
    return {};
}

Result<void> read_shared(JsonConfig& in, TransformerConfig& out) {
    WEIR_TRY_ASSIGN(const auto shared, in.size("num_kv_shared_layers"));
    WEIR_TRY_ASSIGN(const bool double_wide, in.flag("use_double_wide_mlp"));
    WEIR_TRY(share_keys(shared.value_or(0), out));
    for (LayerConfig& layer : out.layer) {
        if (layer.kv_of && double_wide) {
            layer.feed_forward = 2 * std::min(layer.feed_forward, kFeedForwardMax);
        }
    }
    return {};
}

// What the class has where a file says nothing of ropes. One that is not by layer type could be
// meant for either.
Result<void> set_missing_ropes(JsonConfig& in, TransformerConfig& out) {
    if (in.has_ropes_by_type()) {
        return {};
    }
    for (const std::string_view name :
         {"rope_parameters", "rope_scaling", "rope_theta", "partial_rotary_factor"}) {
        if (in.has(name)) {
            return unsupported("{}: only rope parameters by layer type are supported",
                               in.fields().path_of(name));
        }
    }
    out.ropes = {{.theta = kGlobalTheta, .scaling = ProportionalScaling{.part = kGlobalPart}},
                 {.theta = kLocalTheta}};
    return {};
}

Result<void> finish_json(JsonConfig& in, TransformerConfig& out) {
    start(out);
    WEIR_TRY(read_experts(in, out));
    WEIR_TRY_ASSIGN(const auto cap, in.number("final_logit_softcapping"));
    out.logit_soft_cap = static_cast<float>(cap.value_or(0));
    WEIR_TRY_ASSIGN(const auto width, in.size("hidden_size_per_layer_input"));
    out.per_layer_width = width.value_or(0);
    WEIR_TRY_ASSIGN(const auto inputs, in.size("vocab_size_per_layer_input"));
    if (out.per_layer_width != 0 && inputs.value_or(out.vocabulary) != out.vocabulary) {
        return unsupported("{}: {}, where vocab_size is {}",
                           in.fields().path_of("vocab_size_per_layer_input"), *inputs,
                           out.vocabulary);
    }
    WEIR_TRY(refuse_both_ways(in));
    WEIR_TRY_ASSIGN(const bool bias, in.flag("attention_bias"));
    out.qkv_bias = bias ? BiasRule::Always : BiasRule::Never;
    out.output_bias = out.qkv_bias;
    WEIR_TRY_ASSIGN(const auto window, in.window(kWindowDefault));
    WEIR_TRY(in.read_window_pattern(window, kPattern, out));
    WEIR_TRY(read_heads(in, out));
    WEIR_TRY(set_missing_ropes(in, out));
    WEIR_TRY(read_shared(in, out));
    return assign_ropes(out);
}

// Gemma4TextConfig.
constexpr JsonDefaults kJson = {.activation_name = kGemmaJson.activation_name,
                                .activation = kGemmaJson.activation,
                                .rope_theta = kGlobalTheta,
                                .head_dim = kGemmaJson.head_dim,
                                .tied = true};

}  // namespace

const Family& gemma4_family() {
    static constexpr Family kFamily{.gguf_architectures = kArchitectures,
                                    .model_types = kModelTypes,
                                    .finish_gguf = finish_gguf,
                                    .finish_json = finish_json,
                                    .json = kJson,
                                    .wrapped = kWrapped,
                                    .names = kNames,
                                    .make_feed_forward = make_feed_forward};
    return kFamily;
}

}  // namespace weir::model
