#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "json/value.h"
#include "kernels/row_ops.h"
#include "model/gguf.h"

namespace weir::model {

// Limits on what a file may ask for. Far above every published model, and low enough that products
// of a few of these fit in 64 bits.
inline constexpr uint32_t kLayersMax = 1024;
inline constexpr uint32_t kHiddenMax = 1u << 20;
inline constexpr uint32_t kFeedForwardMax = 1u << 22;
inline constexpr uint32_t kHeadsMax = 1u << 12;
inline constexpr uint32_t kHeadDimMax = 1024;
inline constexpr uint32_t kVocabularyMax = 1u << 24;
inline constexpr uint32_t kContextMax = 1u << 28;

// How rotary embeddings stretch to longer contexts; rope.h has the formulas.
struct LinearScaling {
    double factor = 1;
};
struct Llama3Scaling {
    double factor = 1;
    double low_freq_factor = 1;
    double high_freq_factor = 4;
    uint32_t original_context = 8192;
};
struct YarnScaling {
    double factor = 1;
    uint32_t original_context = 0;
    double beta_fast = 32;
    double beta_slow = 1;
    bool truncate = true;         // the correction range is rounded outwards to whole pairs
    double attention_factor = 1;  // cosines and sines are multiplied by it
};
using RopeScaling = std::variant<std::monostate, LinearScaling, Llama3Scaling, YarnScaling>;

// The context that a model reaches of which a file says `context_tokens`. Published configs that
// switch YaRN on keep max_position_embeddings at the length before scaling (Qwen2.5: 32768, with
// factor 4), so there the original length times the factor counts where that is more. Other
// scalings are published with the length they reach.
uint32_t context_reached(uint32_t context_tokens, const RopeScaling& scaling);

struct RopeConfig {
    double theta = 10000;
    uint32_t rotary_dim = 0;
    kernels::RopePairs pairs = kernels::RopePairs::Halves;
    RopeScaling scaling;
};

// Which pairs the rows of the query and key matrices are in, where that is not `rope.pairs`: GGUF
// converters permute the rows of the Llama family so that pairs are adjacent.
enum class QkRows : uint8_t {
    AsRotated,
    HalvesToAdjacent,  // outputs are interleaved after the product, then rotated as adjacent pairs
};

// May a linear layer have a bias?
enum class BiasRule : uint8_t { Never, IfPresent, Always };

enum class OutputMatrix : uint8_t {
    Own,           // a matrix of its own, which must be there
    OwnIfPresent,  // else the embedding
    Tied,          // the embedding, whatever else is there
};

// One decoder-only transformer, as far as the families at hand differ: everything that the forward
// pass needs to know. Read from a file, checked, and from then on true: no zero, no value over its
// limit, heads a multiple of kv_heads, head_dim even.
struct TransformerConfig {
    std::string architecture;  // GGUF's name
    std::string name;

    uint32_t layers = 0;
    uint32_t hidden = 0;
    uint32_t feed_forward = 0;
    uint32_t heads = 0;
    uint32_t kv_heads = 0;
    uint32_t head_dim = 0;
    uint32_t vocabulary = 0;
    uint32_t context_tokens = 0;
    float norm_epsilon = 0;
    RopeConfig rope;

    // Layer i sees the last layer_windows[i] tokens; nothing: all. [layers]
    std::vector<std::optional<uint32_t>> layer_windows;

    QkRows qk_rows = QkRows::AsRotated;
    bool qk_norm = false;  // an RMSNorm per head on queries and keys before the rotation
    BiasRule qkv_bias = BiasRule::Never;
    BiasRule output_bias = BiasRule::Never;
    BiasRule mlp_bias = BiasRule::Never;
    OutputMatrix output_matrix = OutputMatrix::Own;

    uint32_t query_dim() const { return heads * head_dim; }
    uint32_t kv_dim() const { return kv_heads * head_dim; }

    // Everything that is checked whatever the file's format. DataCorrupt or Unsupported, naming
    // the value.
    Result<void> validate() const;
};

// Reads the configuration of a family that this build knows. Refused by name: an unknown family,
// and a key with a value that would change the results in a way that is not implemented. Errors
// name the key.
//
// GGUF: every key under the architecture's prefix that nobody asked for is refused, so nothing is
// ignored by oversight.
Result<TransformerConfig> config_from_gguf(const GgufFile& file);
// config.json is full of keys of training and of classes, most without effect, and fine-tuners add
// their own: here only keys that are known to change the results are refused (kRefused in
// config_json.cpp), unknown members of the rope parameters too, and others are ignored. What adds a
// branch also adds tensors, and one that nobody binds is refused (weights.h). Absent keys have the
// value of Hugging Face's config class.
Result<TransformerConfig> config_from_json(const json::Object& config);

}  // namespace weir::model
