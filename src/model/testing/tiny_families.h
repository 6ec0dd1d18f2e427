#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir::model::testing {

// What a family's formulas have that the Llama block does not, written down from their published
// descriptions: the tests' own reading of them. Numbers are those of the tiny models.
struct TinyTraits {
    std::string_view architecture;  // GGUF's name
    std::string_view model_type;    // of config.json

    bool rows_permuted = false;   // GGUF's rows of q and k are, and there pairs are adjacent
    bool adjacent_pairs = false;  // pairs (2i, 2i + 1) of the rows as config.json's files have them
    double rotary_part = 1;
    bool qkv_bias = false;
    bool all_biases = false;

    bool layer_norm = false;  // mean subtracted
    bool norm_bias = false;
    bool norm_offset = false;  // safetensors have w where the formula has 1 + w
    bool parallel = false;     // one norm, attention and feed-forward side by side
    bool norms_after = false;  // of what attention and feed-forward give
    bool head_norm = false;    // RMS, one weight for all heads
    bool head_layer_norm = false;

    bool fused = false;  // q, k, v in one matrix, gate and up in another
    bool gated = true;
    bool gelu = false;  // by tanh, in place of silu

    double embedding_scale = 1;
    double attention_scale = 0;  // 0: 1 / sqrt(head_dim)
    double residual_scale = 1;
    double logit_scale = 1;
    double attention_cap = 0;
    double logit_cap = 0;

    uint32_t pattern = 0;           // with a window: every n-th layer has none; 0: every second
    bool global_unrotated = false;  // layers without a window
    double window_theta = 0;        // of windowed layers, unscaled; 0: as all
    double temperature = 0;         // beta
    bool ties_always = false;

    // Gemma 4's.
    bool value_norm = false;       // of every head of v, without a weight
    bool layer_scale = false;      // every layer multiplies the stream by a number
    uint32_t per_layer_width = 0;  // of an input of its own that every layer has
    uint32_t sharing_layers = 0;   // the last ones: keys of others, twice the width
    uint32_t global_head_dim = 0;  // of layers without a window
    uint32_t global_kv_heads = 0;  // the same
    bool global_keys_are_values = false;
    double global_part = 0;  // of their pairs that turn, over the whole head
    uint32_t experts = 0;    // beside every layer's feed-forward layer
    uint32_t chosen = 0;
    uint32_t expert_width = 0;

    std::string_view epsilon_name = "rms_norm_eps";
    std::string_view json_more;  // further members of config.json
    std::vector<std::pair<std::string_view, double>> gguf_numbers;  // further keys, F32
};

const TinyTraits& tiny_traits(std::string_view family);

}  // namespace weir::model::testing
