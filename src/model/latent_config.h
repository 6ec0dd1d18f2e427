#pragma once

#include <cstdint>

#include "base/result.h"

namespace weir::model {

// Attention over compressed keys and values (DeepSeek-V2, 2024); layers/latent_attention.h has the
// formulas. TransformerConfig::head_dim is the length of a query head, nope_dim + rope_dim.
struct LatentConfig {
    uint32_t query_rank = 0;     // 0: queries are projected at once
    uint32_t kv_rank = 0;        // numbers that a token keeps for keys and values
    uint32_t nope_dim = 0;       // of a head, without positions
    uint32_t rope_dim = 0;       // of a head, rotated; one key part for all heads
    uint32_t value_dim = 0;      // of a head's value
    float norm_epsilon = 1e-6f;  // of the two inner norms: the classes' default, whatever the file

    uint32_t key_dim() const { return kv_rank + rope_dim; }  // what a token keeps

    Result<void> validate() const;
};

}  // namespace weir::model
