#pragma once

#include <span>

#include "base/result.h"
#include "model/config_gguf.h"
#include "model/config_json.h"
#include "model/family.h"

// What Qwen3-Next and Qwen3.5 share: three layers of a Gated DeltaNet (layers/delta_net.h) to one
// of attention (layers/self_attention.h) in a Llama block, with
//
//   norms   x / sqrt(mean(x^2) + eps) * (1 + w) in safetensors; GGUF stores 1 + w. Not the norm
//           inside the DeltaNet, whose weight is as it stands.
//   q       Wq has 2 d rows a head: the query's, then its gate's
//   q, k    normed per head, then rotated: pairs (i, i + r/2) of the first r = d / 4 numbers
//   out     Wo (attention * sigmoid(gate))
//
// The feed-forward layer is dense or a mixture with a shared expert that has a gate of its own. The
// published files also have layers that guess the token after the next (MTP), which are not used.
namespace weir::model::qwen_hybrid {

// Reads the recurrence, which layers have it, and all of the above. `map` is the order of the value
// heads in the architecture's files.
Result<void> finish_gguf(GgufConfig& in, kernels::HeadMap map, TransformerConfig& out);
Result<void> finish_json(JsonConfig& in, TransformerConfig& out);

// The mixture: everything but which layers have it and whether weights are normalized, which GGUF's
// reader says too. What config.json leaves out is Hugging Face's config class's.
struct ExpertDefaults {
    uint32_t experts, chosen;
};
Result<void> read_json_experts(JsonConfig& in, const ExpertDefaults& defaults,
                               TransformerConfig& out);
Result<void> read_gguf_experts(GgufConfig& in, TransformerConfig& out);

Result<std::unique_ptr<TokenMixer>> make_mixer(WeightBinder& in, const TransformerConfig& config,
                                               uint32_t layer);
// Of every hybrid: what safetensors call their tensors.
std::span<const TensorName> tensor_names();
inline constexpr std::string_view kDraftTensors = "mtp.";
// Values of Hugging Face's config classes.
inline constexpr JsonDefaults kJsonDefaults = {.head_dim = 256};

}  // namespace weir::model::qwen_hybrid
