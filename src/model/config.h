#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "json/value.h"
#include "kernels/recurrent.h"
#include "kernels/row_ops.h"
#include "model/gguf.h"
#include "model/latent_config.h"
#include "model/moe_config.h"
#include "model/weight_packing.h"

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
inline constexpr uint32_t kTokenTypesMax = 1u << 16;

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
// Phi's longrope: a divisor a pair, from one of two lists, chosen for a sequence once, when it is
// admitted: the long one where its length may pass the original context. Empty lists: the file has
// them as tensors (rope_factors_short, rope_factors_long).
struct LongropeScaling {
    std::vector<float> short_divisors;  // [rotary_dim / 2]
    std::vector<float> long_divisors;   // [rotary_dim / 2]
    uint32_t original_context = 0;
    double attention_factor = 1;
};
// Gemma 4's global layers: pairs span the whole head, but only the first `part` of them turn.
struct ProportionalScaling {
    double part = 1;
    double factor = 1;
};
using RopeScaling = std::variant<std::monostate, LinearScaling, Llama3Scaling, YarnScaling,
                                 LongropeScaling, ProportionalScaling>;

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
    OwnIfPresent,  // else the embedding; so also where a config says that they are tied
};

// Which earlier tokens a layer's queries see.
enum class Sight : uint8_t {
    All,
    Window,  // query - key < tokens
    Chunk,   // key >= query / tokens * tokens
};
struct Visibility {
    Sight sight = Sight::All;
    uint32_t tokens = 0;

    static constexpr Visibility all() { return {}; }
    static constexpr Visibility window(uint32_t tokens) { return {Sight::Window, tokens}; }
    static constexpr Visibility chunk(uint32_t tokens) { return {Sight::Chunk, tokens}; }

    // The first key that the query at `position` sees.
    constexpr uint32_t first_key(uint32_t position) const {
        switch (sight) {
            case Sight::All:
                return 0;
            case Sight::Window:
                return position >= tokens ? position - tokens + 1 : 0;
            case Sight::Chunk:
                return position / tokens * tokens;
        }
        return 0;
    }

    friend bool operator==(const Visibility&, const Visibility&) = default;
};

// What may differ from layer to layer.
struct LayerConfig {
    uint32_t kv_heads = 0;
    uint32_t head_dim = 0;
    uint32_t feed_forward = 0;
    Visibility visible;
    std::optional<uint32_t> rope = 0;  // of TransformerConfig::ropes; nothing: no positions
    // Keys and values are those of this earlier layer, which is of the same shape.
    std::optional<uint32_t> kv_of;
    bool keys_are_values = false;  // v is what k was before its norm
};

enum class NormKind : uint8_t {
    Rms,
    Layer,  // mean subtracted
};

// A norm of every head of queries and keys, before the rotation.
enum class HeadNorm : uint8_t {
    None,
    Rms,            // one weight [head_dim] for all heads
    LayerEachHead,  // mean subtracted, a weight [heads, head_dim]
    UnitAfterRope,  // root mean square without a weight, after the rotation, on rotated layers
};

enum class Activation : uint8_t {
    Silu,
    GeluTanh,  // the approximation by tanh
    Gelu,      // by the error function
};

enum class MlpForm : uint8_t {
    Gated,       // down(act(gate x) * up x)
    FusedGated,  // the same, one matrix with the rows of gate, then of up
    Plain,       // down(act(up x))
};

enum class BlockForm : uint8_t {
    Sequential,  // x += mixer(norm(x)); x += feed_forward(norm(x))
    Parallel,    // n = norm(x); x += mixer(n) + feed_forward(n)
    NormBehind,  // x = norm(x + mixer(x)); x = norm(x + feed_forward(x))
};

// Queries grow with their position: q *= 1 + beta * ln(1 + floor((position + shift) / length)).
struct QueryTemperature {
    double beta = 0;
    uint32_t length = 1;
    uint32_t shift = 0;
    bool rotated_too = true;  // else only on layers without positions
};

// Gated DeltaNet layers (layers/delta_net.h).
struct DeltaNetConfig {
    uint32_t taps = 0;  // of the convolution
    uint32_t key_heads = 0;
    uint32_t value_heads = 0;  // a multiple of key_heads
    uint32_t key_dim = 0;
    uint32_t value_dim = 0;
    kernels::HeadMap map = kernels::HeadMap::Grouped;
    bool rate_is_log =
        false;  // the file has the logarithm of the decay's rate, else minus the rate
    std::vector<bool> layers;  // [layers] that are this; the others are attention

    uint64_t keys() const { return uint64_t{key_heads} * key_dim; }
    uint64_t values() const { return uint64_t{value_heads} * value_dim; }
    uint64_t channels() const { return 2 * keys() + values(); }

    // Against a model of so many layers.
    Result<void> validate(uint32_t layer_count) const;
};

struct Family;

// One decoder-only transformer, as far as the families at hand differ: everything that the forward
// pass needs to know. Read from a file, checked, and from then on true: no size is zero or over its
// limit, each layer's head_dim is even and its kv_heads divide heads, and every rope, a layer's or
// not, can be made.
struct TransformerConfig {
    const Family* family = nullptr;  // static
    std::string architecture;        // GGUF's name
    std::string name;

    uint32_t layers = 0;
    uint32_t hidden = 0;
    uint32_t feed_forward = 0;  // of a layer, unless it differs
    uint32_t heads = 0;
    uint32_t kv_heads = 0;  // of a layer, unless it differs
    uint32_t head_dim = 0;  // of a layer, unless it differs
    uint32_t vocabulary = 0;
    uint32_t context_tokens = 0;
    WeightPacking packing = WeightPacking::None;  // of a folder's tensors

    std::vector<RopeConfig> ropes = std::vector<RopeConfig>(1);
    std::vector<LayerConfig> layer;  // [layers]

    // Norms.
    NormKind norm = NormKind::Rms;
    BiasRule norm_bias = BiasRule::Never;
    float norm_epsilon = 0;
    float norm_offset = 0;  // what the file's norm weights lack: 1 for Gemma's safetensors

    // The residual stream.
    BlockForm block = BlockForm::Sequential;
    bool norms_after = false;  // of the mixer's and the feed-forward's outputs
    float residual_scale = 1;  // of what is added
    double embedding_scale = 1;
    bool rounds_embedding_scale = false;  // to the embedding's type, if that is half precision
    float logit_scale = 1;
    bool layer_scales = false;     // every layer multiplies the stream by a number
    uint32_t per_layer_width = 0;  // of an input of its own that every layer has; 0: none
    float logit_soft_cap = 0;      // cap * tanh(logit / cap); 0: none

    // Attention.
    QkRows qk_rows = QkRows::AsRotated;
    HeadNorm qk_norm = HeadNorm::None;
    bool value_norm = false;  // an RMSNorm without a weight on every head of v
    BiasRule qkv_bias = BiasRule::Never;
    BiasRule output_bias = BiasRule::Never;
    double attention_scale = 0;  // 0: 1 / sqrt(head_dim)
    float attention_soft_cap = 0;
    bool attention_sinks = false;
    std::optional<QueryTemperature> temperature;
    bool attention_output_gate = false;  // Wq has a gate beside each head's query

    std::optional<DeltaNetConfig> delta_net;

    // Feed-forward.
    MlpForm mlp = MlpForm::Gated;
    Activation activation = Activation::Silu;
    BiasRule mlp_bias = BiasRule::Never;

    // What the norm before it is called in GGUF.
    std::string_view feed_forward_norm = "ffn_norm";  // static

    std::optional<MoeConfig> moe;        // experts in place of the feed-forward layer
    std::optional<LatentConfig> latent;  // compressed keys and values

    OutputMatrix output_matrix = OutputMatrix::Own;

    // Layers after the last that draft tokens (multi-token prediction): their tensors are left
    // alone.
    uint32_t draft_layers = 0;
    uint32_t token_types = 0;  // of an encoder: rows of the table of segments
    // Of an encoder that counts positions from behind this number on, and not in this token, which
    // has the position of its number.
    std::optional<uint32_t> padding;

    // Every layer like the common values, seeing everything: what families start from.
    void make_layers();
    void set_rope_pairs(kernels::RopePairs pairs);

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
