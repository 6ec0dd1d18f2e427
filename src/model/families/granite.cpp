#include <array>

#include "model/config_gguf.h"
#include "model/config_json.h"
#include "model/families/families.h"

// Granite 3 (IBM 2024): the Llama block (families/llama.cpp), rotated as there, with four factors:
//
//   x = embedding_multiplier * embedding
//   x = x + residual_multiplier * Wo attention(…)
//   x = x + residual_multiplier * mlp(…)
//   logits = Wout rmsnorm(x) / logits_scaling
//
// Attention's scores are multiplied by the fourth, attention_multiplier, not by 1/sqrt(d).
// All four are 1 where config.json does not say them. In GGUF a missing attention.scale is
// 1/sqrt(d), and rope.scaling.finetuned = false means that no layer is rotated.
namespace weir::model {

namespace {

constexpr std::array<std::string_view, 1> kNames = {"granite"};

Result<void> set_logit_divisor(double divisor, std::string_view name, TransformerConfig& out) {
    if (divisor == 0) {
        return data_corrupt("{} is 0", name);
    }
    // Of the divisor in float32, as GGUF has it.
    out.logit_scale = static_cast<float>(1 / static_cast<double>(static_cast<float>(divisor)));
    return {};
}

Result<void> finish_gguf(GgufConfig& in, TransformerConfig& out) {
    out.set_rope_pairs(kernels::RopePairs::Adjacent);
    out.qkv_bias = BiasRule::IfPresent;
    out.output_bias = BiasRule::IfPresent;
    out.mlp_bias = BiasRule::IfPresent;
    WEIR_TRY_ASSIGN(const auto attention, in.number("attention.scale"));
    WEIR_TRY_ASSIGN(const auto embedding, in.number("embedding_scale"));
    WEIR_TRY_ASSIGN(const auto residual, in.number("residual_scale"));
    WEIR_TRY_ASSIGN(const auto logits, in.number("logit_scale"));
    WEIR_TRY_ASSIGN(const auto rotated, in.flag("rope.scaling.finetuned"));
    out.attention_scale = attention.value_or(0);
    out.embedding_scale = embedding.value_or(0) == 0 ? 1 : *embedding;
    out.residual_scale = static_cast<float>(residual.value_or(0) == 0 ? 1 : *residual);
    if (!rotated.value_or(true)) {
        for (LayerConfig& layer : out.layer) {
            layer.rope.reset();
        }
    }
    return set_logit_divisor(logits.value_or(0) == 0 ? 1 : *logits, in.key("logit_scale"), out);
}

Result<void> finish_json(JsonConfig& in, TransformerConfig& out) {
    out.set_rope_pairs(kernels::RopePairs::Adjacent);
    out.qk_rows = QkRows::HalvesToAdjacent;
    WEIR_TRY_ASSIGN(const bool attention_bias, in.flag("attention_bias"));
    WEIR_TRY_ASSIGN(const bool mlp_bias, in.flag("mlp_bias"));
    out.qkv_bias = attention_bias ? BiasRule::Always : BiasRule::Never;
    out.output_bias = out.qkv_bias;
    out.mlp_bias = mlp_bias ? BiasRule::Always : BiasRule::Never;
    WEIR_TRY_ASSIGN(const auto attention, in.number("attention_multiplier"));
    WEIR_TRY_ASSIGN(const auto embedding, in.number("embedding_multiplier"));
    WEIR_TRY_ASSIGN(const auto residual, in.number("residual_multiplier"));
    WEIR_TRY_ASSIGN(const auto logits, in.number("logits_scaling"));
    out.attention_scale = attention.value_or(1);
    if (out.attention_scale == 0) {
        return data_corrupt("{} is 0", in.fields().path_of("attention_multiplier"));
    }
    out.embedding_scale = embedding.value_or(1);
    out.residual_scale = static_cast<float>(residual.value_or(1));
    return set_logit_divisor(logits.value_or(1), in.fields().path_of("logits_scaling"), out);
}

}  // namespace

const Family& granite_family() {
    static constexpr Family kFamily{.gguf_architectures = kNames,
                                    .model_types = kNames,
                                    .finish_gguf = finish_gguf,
                                    .finish_json = finish_json};
    return kFamily;
}

}  // namespace weir::model
