#include <algorithm>
#include <array>

#include "model/families/families.h"
#include "model/families/moe_keys.h"
#include "model/families/qwen_hybrid.h"
#include "model/layers/mixture.h"

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

constexpr JsonDefaults kJson = {.feed_forward = 5632, .head_dim = 256};

Result<void> finish_gguf(GgufConfig& in, TransformerConfig& out) {
    WEIR_TRY(qwen_hybrid::finish_gguf(in, kernels::HeadMap::Grouped, out));
    WEIR_TRY_ASSIGN(const auto experts, in.size("expert_count"));
    return experts.value_or(0) == 0 ? Result<void>() : qwen_hybrid::read_gguf_experts(in, out);
}

Result<void> finish_json(JsonConfig& in, TransformerConfig& out) {
    WEIR_TRY(qwen_hybrid::finish_json(in, out));
    WEIR_TRY_ASSIGN(const auto experts, in.size("num_experts"));
    if (experts == 0u) {
        return {};
    }
    WEIR_TRY(qwen_hybrid::read_json_experts(in, {.experts = 512, .chosen = 10}, out));
    WEIR_TRY_ASSIGN(out.moe->layers, read_sparse_layers(in, out.layers));
    WEIR_TRY_ASSIGN(out.moe->router.normalize, in.flag("norm_topk_prob", true));
    return {};
}

Result<std::unique_ptr<FeedForward>> make_feed_forward(WeightBinder& in,
                                                       const TransformerConfig& config,
                                                       uint32_t layer) {
    return config.moe ? make_mixture(in, config, layer) : make_mlp(in, config, layer);
}

}  // namespace

const Family& qwen3_next_family() {
    static const Family kFamily{.gguf_architectures = kArchitectures,
                                .model_types = kModelTypes,
                                .finish_gguf = finish_gguf,
                                .finish_json = finish_json,
                                .json = kJson,
                                .names = qwen_hybrid::tensor_names(),
                                .draft_tensors = qwen_hybrid::kDraftTensors,
                                .make_mixer = qwen_hybrid::make_mixer,
                                .make_feed_forward = make_feed_forward};
    return kFamily;
}

}  // namespace weir::model
