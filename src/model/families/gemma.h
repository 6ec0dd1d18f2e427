#pragma once

#include <array>
#include <cstdint>

#include "base/result.h"
#include "model/family.h"

// What the families of Gemma share; gemma2.cpp has it.
namespace weir::model {

inline constexpr std::array kGemmaNames = {
    TensorName{"post_attention_norm", "post_attention_layernorm"},
    TensorName{"ffn_norm", "pre_feedforward_layernorm"},
    TensorName{"post_ffw_norm", "post_feedforward_layernorm"},
};
inline constexpr JsonDefaults kGemmaJson = {.activation_name = "hidden_activation",
                                            .activation = Activation::GeluTanh,
                                            .head_dim = 256,
                                            .tied = true};
inline constexpr double kGemmaQueryScalar = 256;  // query_pre_attn_scalar where no file says it

// The block with four norms, the scaled embedding, the gate.
void start_gemma(TransformerConfig& out);
// The attention's scale in GGUF, where nothing says it but the number of layers.
void set_gemma_gguf_scale(uint32_t layers_of_27b, TransformerConfig& out);
// Refuses text that is read in both directions.
Result<void> refuse_both_ways(JsonConfig& in);
// All of that in config.json that Gemma 2 and 3 have in common.
Result<void> read_gemma_json(JsonConfig& in, TransformerConfig& out);

}  // namespace weir::model
