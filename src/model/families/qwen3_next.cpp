#include <array>

#include "model/families/families.h"
#include "model/families/qwen_hybrid.h"

// Qwen3-Next (families/qwen_hybrid.h). In safetensors the recurrence's inputs are two matrices, in
// which each key head's rows stand together: in_proj_qkvz (q, k, v and z) and in_proj_ba (b and a).
// GGUF takes the first apart into attn_qkv and attn_gate (old files have it whole, as ssm_in); the
// second stays. Value heads keep their order in both.
//
// Experts are weighted by the softmax over all of them, divided by the sum over those chosen where
// norm_topk_prob says so (all published ones; GGUF: always). Layers of mlp_only_layers, and those
// that decoder_sparse_step passes over, are dense.
namespace weir::model {

namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"qwen3next"};
constexpr std::array<std::string_view, 1> kModelTypes = {"qwen3_next"};

Result<void> finish_gguf(GgufConfig& in, TransformerConfig& out) {
    return qwen_hybrid::finish_gguf(in, kernels::HeadMap::Grouped, out);
}

}  // namespace

const Family& qwen3_next_family() {
    static const Family kFamily{.gguf_architectures = kArchitectures,
                                .model_types = kModelTypes,
                                .finish_gguf = finish_gguf,
                                .finish_json = qwen_hybrid::finish_json,
                                .json = qwen_hybrid::kJsonDefaults,
                                .names = qwen_hybrid::tensor_names(),
                                .make_mixer = qwen_hybrid::make_mixer};
    return kFamily;
}

}  // namespace weir::model
