#include "model/testing/tiny_families.h"

#include <algorithm>

#include "base/check.h"

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
    };
}

}  // namespace

const TinyTraits& tiny_traits(std::string_view family) {
    static const std::vector<TinyTraits> kAll = all_traits();
    const auto found = std::ranges::find(kAll, family, &TinyTraits::model_type);
    WEIR_ASSERT(found != kAll.end());
    return *found;
}

}  // namespace weir::model::testing
