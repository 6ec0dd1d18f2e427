#include <array>

#include "model/config_gguf.h"
#include "model/config_json.h"
#include "model/families/cohere.h"
#include "model/families/families.h"

// Command R and R+ (Cohere 2024).
//
//   n = layernorm(x)                                  mean subtracted, a weight, no bias
//   x = x + Wo attention(rope(Wq n), rope(Wk n), Wv n) + Wdown (silu(Wgate n) * Wup n)
//   logits = logit_scale * embedding layernorm(x)
//
// Pairs are (2i, 2i + 1) in both file formats. R+ has a LayerNorm on every head of q and k before
// the rotation, each with a weight of its own: use_qk_norm; in GGUF the tensors say it.
namespace weir::model {

void start_cohere(TransformerConfig& out) {
    out.set_rope_pairs(kernels::RopePairs::Adjacent);
    out.norm = NormKind::Layer;
    out.block = BlockForm::Parallel;
}

Result<void> read_cohere_json(JsonConfig& in, TransformerConfig& out) {
    start_cohere(out);
    WEIR_TRY_ASSIGN(const auto scale, in.number("logit_scale"));
    out.logit_scale = static_cast<float>(scale.value_or(kCohereLogitScale));
    WEIR_TRY_ASSIGN(const bool bias, in.flag("attention_bias"));
    out.qkv_bias = bias ? BiasRule::Always : BiasRule::Never;
    out.output_bias = out.qkv_bias;
    return {};
}

namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"command-r"};
constexpr std::array<std::string_view, 1> kModelTypes = {"cohere"};

Result<void> finish_gguf(GgufConfig& in, TransformerConfig& out) {
    start_cohere(out);
    WEIR_TRY_ASSIGN(const auto scale, in.number("logit_scale"));
    out.logit_scale = static_cast<float>(scale.value_or(0) == 0 ? 1 : *scale);
    if (in.has_tensor("blk.0.attn_q_norm.weight")) {
        out.qk_norm = HeadNorm::LayerEachHead;
    }
    return {};
}

Result<void> finish_json(JsonConfig& in, TransformerConfig& out) {
    WEIR_TRY(read_cohere_json(in, out));
    WEIR_TRY_ASSIGN(const bool qk_norm, in.flag("use_qk_norm"));
    out.qk_norm = qk_norm ? HeadNorm::LayerEachHead : HeadNorm::None;
    return {};
}

}  // namespace

const Family& cohere_family() {
    static constexpr Family kFamily{.gguf_architectures = kArchitectures,
                                    .model_types = kModelTypes,
                                    .finish_gguf = finish_gguf,
                                    .finish_json = finish_json,
                                    .json = kCohereJson};
    return kFamily;
}

}  // namespace weir::model
