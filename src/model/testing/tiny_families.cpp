#include "model/testing/tiny_families.h"

#include <algorithm>

#include "base/check.h"
#include "model/testing/tiny_model.h"

namespace weir::model::testing {

namespace {

std::vector<TinyTraits> all_traits() {
    return {
        {.architecture = "llama", .model_type = "llama", .rows_permuted = true},
        {.architecture = "qwen2", .model_type = "qwen2", .qkv_bias = true},
        {.architecture = "qwen3", .model_type = "qwen3", .head_norm = true},
        {.architecture = "mistral3",
         .model_type = "ministral3",
         .rows_permuted = true,
         .temperature = 0.1,
         .gguf_numbers = {{"attention.temperature_scale", 0.1},
                          {"rope.scaling.yarn_log_multiplier", 1}}},
        {.architecture = "gemma2",
         .model_type = "gemma2",
         .norm_offset = true,
         .norms_after = true,
         .gelu = true,
         .embedding_scale = 8,
         .attention_cap = 2,
         .logit_cap = 3,
         .pattern = 2,
         .ties_always = true,
         .json_more = R"(, "query_pre_attn_scalar": 16, "attn_logit_softcapping": 2.0,
             "final_logit_softcapping": 3.0, "hidden_activation": "gelu_pytorch_tanh")",
         .gguf_numbers = {{"attn_logit_softcapping", 2}, {"final_logit_softcapping", 3}}},
        {.architecture = "gemma3",
         .model_type = "gemma3_text",
         .norm_offset = true,
         .norms_after = true,
         .head_norm = true,
         .gelu = true,
         .embedding_scale = 8,
         .pattern = 3,
         .window_theta = 500,
         .ties_always = true,
         .json_more = R"(, "query_pre_attn_scalar": 16, "sliding_window_pattern": 3,
             "rope_local_base_freq": 500.0, "hidden_activation": "gelu_pytorch_tanh")",
         .gguf_numbers = {{"rope.freq_base_swa", 500}}},
        {.architecture = "phi3",
         .model_type = "phi3",
         .rotary_part = 0.75,
         .fused = true,
         .json_more = R"(, "partial_rotary_factor": 0.75)"},
        {.architecture = "command-r",
         .model_type = "cohere",
         .adjacent_pairs = true,
         .layer_norm = true,
         .parallel = true,
         .head_layer_norm = true,
         .logit_scale = 0.75,
         .ties_always = true,
         .epsilon_name = "layer_norm_eps",
         .json_more = R"(, "use_qk_norm": true, "logit_scale": 0.75)",
         .gguf_numbers = {{"logit_scale", 0.75}}},
        {.architecture = "cohere2",
         .model_type = "cohere2",
         .adjacent_pairs = true,
         .layer_norm = true,
         .parallel = true,
         .logit_scale = 0.25,
         .pattern = 4,
         .global_unrotated = true,
         .ties_always = true,
         .epsilon_name = "layer_norm_eps",
         .json_more = R"(, "logit_scale": 0.25)",
         .gguf_numbers = {{"logit_scale", 0.25}}},
        {.architecture = "granite",
         .model_type = "granite",
         .rows_permuted = true,
         .embedding_scale = 3,
         .attention_scale = 0.125,
         .residual_scale = 0.25,
         .logit_scale = 0.25,
         .json_more = R"(, "embedding_multiplier": 3.0, "attention_multiplier": 0.125,
             "residual_multiplier": 0.25, "logits_scaling": 4.0)",
         .gguf_numbers = {{"embedding_scale", 3},
                          {"attention.scale", 0.125},
                          {"residual_scale", 0.25},
                          {"logit_scale", 4}}},
        {.architecture = "stablelm",
         .model_type = "stablelm",
         .rotary_part = 0.25,
         .qkv_bias = true,
         .layer_norm = true,
         .norm_bias = true,
         .epsilon_name = "layer_norm_eps",
         .json_more = R"(, "use_qkv_bias": true, "partial_rotary_factor": 0.25)"},
        {.architecture = "stablelm",
         .model_type = "stablelm parallel",
         .rotary_part = 0.25,
         .layer_norm = true,
         .norm_bias = true,
         .parallel = true,
         .head_layer_norm = true,
         .epsilon_name = "layer_norm_eps",
         .json_more = R"(, "use_parallel_residual": true, "qk_layernorm": true)"},
        {.architecture = "starcoder2",
         .model_type = "starcoder2",
         .qkv_bias = true,
         .all_biases = true,
         .layer_norm = true,
         .norm_bias = true,
         .gated = false,
         .gelu = true,
         .epsilon_name = "norm_epsilon"},
        {.architecture = "gemma4",
         .model_type = "gemma4_text",
         .norms_after = true,
         .head_norm = true,
         .gelu = true,
         .embedding_scale = 8,
         .attention_scale = 1,
         .logit_cap = 3,
         .pattern = 3,
         .window_theta = 500,
         .ties_always = true,
         .value_norm = true,
         .layer_scale = true,
         .per_layer_width = 8,
         .sharing_layers = 3,
         .global_head_dim = 32,
         .global_kv_heads = 1,
         .global_keys_are_values = true,
         .global_part = 0.5,
         .json_more = R"(, "final_logit_softcapping": 3.0, "sliding_window_pattern": 3,
             "hidden_activation": "gelu_pytorch_tanh", "hidden_size_per_layer_input": 8,
             "num_kv_shared_layers": 3, "use_double_wide_mlp": true, "global_head_dim": 32,
             "num_global_key_value_heads": 1, "attention_k_eq_v": true)",
         .gguf_numbers = {{"final_logit_softcapping", 3}, {"rope.freq_base_swa", 500}}},
        {.architecture = "gemma4",
         .model_type = "gemma4_text experts",
         .norms_after = true,
         .head_norm = true,
         .gelu = true,
         .embedding_scale = 8,
         .attention_scale = 1,
         .pattern = 3,
         .window_theta = 500,
         .ties_always = true,
         .value_norm = true,
         .layer_scale = true,
         .global_head_dim = 32,
         .global_kv_heads = 1,
         .global_keys_are_values = true,
         .global_part = 0.5,
         .experts = 6,
         .chosen = 2,
         .expert_width = 40,
         .json_more = R"(, "sliding_window_pattern": 3, "hidden_activation": "gelu_pytorch_tanh",
             "global_head_dim": 32, "num_global_key_value_heads": 1, "attention_k_eq_v": true,
             "enable_moe_block": true, "num_experts": 6, "top_k_experts": 2,
             "moe_intermediate_size": 40)",
         .gguf_numbers = {{"rope.freq_base_swa", 500}}},
    };
}

}  // namespace

const TinyTraits& tiny_traits(std::string_view family) {
    static const std::vector<TinyTraits> kAll = all_traits();
    const auto found = std::ranges::find(kAll, family, &TinyTraits::model_type);
    WEIR_ASSERT(found != kAll.end());
    return *found;
}

std::vector<TinyModel> tiny_models() {
    return {
        {.rope = TinyRope::Llama3},
        {.kv_heads = 4, .tied = true},
        {.attention_bias = true, .mlp_bias = true, .rope = TinyRope::Linear},
        {.head_dim = 24},
        {.kv_heads = 1, .window = 7},
        {.family = "qwen2", .rope = TinyRope::Yarn},
        {.family = "qwen2", .window = 16},
        {.family = "qwen3", .head_dim = 32, .tied = true},
        {.family = "qwen3", .attention_bias = true},
        {.family = "ministral3", .rope = TinyRope::YarnUnscaled},
        {.family = "gemma2", .layers = 3, .window = 9},
        {.family = "gemma3_text", .layers = 4, .window = 9, .rope = TinyRope::Linear},
        {.family = "phi3"},
        {.family = "phi3", .tied = true, .rope = TinyRope::Longrope},
        {.family = "cohere"},
        {.family = "cohere2", .layers = 5, .window = 9},
        {.family = "granite"},
        {.family = "stablelm"},
        {.family = "stablelm parallel"},
        {.family = "starcoder2"},
        {.family = "starcoder2", .window = 9},
        {.family = "gemma4_text", .layers = 6, .window = 9},
        {.family = "gemma4_text experts", .layers = 3, .window = 9},
    };
}

namespace {

bool is_global(const TinyModel& model, uint32_t layer) {
    return !tiny_layer_has_window(model, layer);
}

}  // namespace

uint32_t tiny_head_dim(const TinyModel& model, uint32_t layer) {
    const uint32_t global = tiny_traits(model.family).global_head_dim;
    return global != 0 && is_global(model, layer) ? global : model.head_dim;
}

uint32_t tiny_kv_heads(const TinyModel& model, uint32_t layer) {
    const uint32_t global = tiny_traits(model.family).global_kv_heads;
    return global != 0 && is_global(model, layer) ? global : model.kv_heads;
}

uint32_t tiny_feed_forward(const TinyModel& model, uint32_t layer) {
    return model.feed_forward * (tiny_keys_of(model, layer) ? 2 : 1);
}

std::optional<uint32_t> tiny_keys_of(const TinyModel& model, uint32_t layer) {
    const uint32_t own = model.layers - tiny_traits(model.family).sharing_layers;
    for (uint32_t other = own; layer >= own && other-- > 0;) {
        if (is_global(model, other) == is_global(model, layer)) {
            return other;
        }
    }
    return std::nullopt;
}

}  // namespace weir::model::testing
