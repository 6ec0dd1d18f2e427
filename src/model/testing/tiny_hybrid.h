#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/token_id.h"

namespace weir::model::testing {

// How the two families write the same layers down.
enum class HybridFamily : uint8_t { Qwen3Next, Qwen35 };

// A Gated DeltaNet hybrid with random float32 weights: every second layer is a recurrence, the
// others gated attention, all with a dense MLP, or experts and a shared one.
struct TinyHybrid {
    HybridFamily family = HybridFamily::Qwen35;
    uint32_t layers = 4;
    uint32_t hidden = 32;
    uint32_t heads = 4;
    uint32_t kv_heads = 2;
    uint32_t head_dim = 16;
    uint32_t rotary_dim = 4;
    uint32_t feed_forward = 40;
    uint32_t experts = 0;  // 0: dense
    uint32_t chosen = 2;
    uint32_t expert_width = 20;
    uint32_t shared_width = 24;
    uint32_t vocabulary = 61;
    uint32_t context = 1024;
    uint32_t taps = 4;
    uint32_t key_heads = 2;
    uint32_t value_heads = 6;
    uint32_t key_dim = 8;
    uint32_t value_dim = 12;
    bool wrapped = false;  // inside the folder of a model that sees images, with MTP tensors
    uint64_t seed = 1;
    std::optional<uint32_t> dense_layer;  // among those with experts

    bool has_experts(uint32_t layer) const { return experts != 0 && layer != dense_layer; }
    bool is_recurrent(uint32_t layer) const { return layer % 2 == 0; }
    uint32_t keys() const { return key_heads * key_dim; }
    uint32_t values() const { return value_heads * value_dim; }
    uint32_t channels() const { return 2 * keys() + values(); }
};

inline constexpr double kHybridEpsilon = 1e-5;
inline constexpr double kHybridTheta = 10000;

// The weights in Qwen3.5's form, by Hugging Face's names ("layers.0.linear_attn.A_log"); norms as
// they are there, one less than what is multiplied with.
struct HybridTensor {
    std::vector<uint64_t> shape;
    std::vector<float> values;
};
using HybridTensors = std::map<std::string, HybridTensor>;
HybridTensors hybrid_tensors(const TinyHybrid& model);

// The two published forms; a folder with another config.json, if one is given. Experts are one
// tensor each in the folders of Qwen3-Next, and stacked in those of Qwen3.5. A GGUF has no key for
// a dense layer among those with experts.
void write_hybrid_folder(const TinyHybrid& model, const std::filesystem::path& folder,
                         const std::string& config = {});
std::vector<std::byte> hybrid_gguf(const TinyHybrid& model);
std::string hybrid_config_json(const TinyHybrid& model);

// Logits of every position, [tokens][vocabulary], in double precision, by the formulas of
// layers/delta_net.h and families/qwen_hybrid.h written down plainly: token after token, one state.
std::vector<std::vector<double>> hybrid_logits(const TinyHybrid& model,
                                               const std::vector<TokenId>& tokens);

}  // namespace weir::model::testing
