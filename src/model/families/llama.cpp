#include <array>

#include "model/config_gguf.h"
#include "model/config_json.h"
#include "model/families/families.h"
#include "model/families/mixtral.h"
#include "model/layers/mixture.h"

// Llama 2, 3, 3.1, 3.2, 3.3 and Mistral 7B, Nemo, Small (Touvron et al. 2023, Jiang et al. 2023);
// of Mistral Small 3.1 and 3.2 ("mistral3", which also see images) the part that handles text.
//
//   n = rmsnorm(x)
//   x = x + Wo attention(rope(Wq n), rope(Wk n), Wv n)      scale 1 / sqrt(head_dim), causal
//   m = rmsnorm(x)
//   x = x + Wdown (silu(Wgate m) * Wup m)
//   logits = Wout rmsnorm(x)                                 Wout is the embedding if tied
//
// Query heads share KV heads in groups. Biases only where attention_bias and mlp_bias say so (GGUF:
// where the tensors are). A GGUF of this architecture with experts is Mixtral
// (families/mixtral.cpp). Mistral's window covers all layers, or those that layer_types names; it
// is 4096 tokens where config.json does not mention it, and off where it says null (v0.2 and
// later). GGUF has no key for it that converters write, so there a missing one is none.
//
// Rotation: published safetensors have pairs (i, i + d/2). GGUF converters permute the rows of Wq
// and Wk so that pairs are (2i, 2i + 1). The rows of safetensors are taken as they are, and the
// outputs interleaved before they are rotated as adjacent pairs: so both formats compute the same
// sums in the same order, and give the same bits.
namespace weir::model {

namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"llama"};
constexpr std::array<std::string_view, 3> kModelTypes = {"llama", "mistral", "ministral"};
constexpr std::array kWrapped = {WrappedType{"mistral3", "mistral"}};  // Small 3.1 and 3.2

Result<void> finish_gguf(GgufConfig& in, TransformerConfig& out) {
    out.set_rope_pairs(kernels::RopePairs::Adjacent);
    out.qkv_bias = BiasRule::IfPresent;
    out.output_bias = BiasRule::IfPresent;
    out.mlp_bias = BiasRule::IfPresent;
    WEIR_TRY_ASSIGN(const auto experts, in.size("expert_count"));
    if (experts.value_or(0) != 0) {
        return read_gguf_mixtral(in, out);
    }
    return {};
}

BiasRule bias_rule(bool said) {
    return said ? BiasRule::Always : BiasRule::Never;
}

Result<void> finish_json(JsonConfig& in, TransformerConfig& out) {
    out.set_rope_pairs(kernels::RopePairs::Adjacent);
    out.qk_rows = QkRows::HalvesToAdjacent;
    WEIR_TRY_ASSIGN(const bool attention_bias, in.flag("attention_bias"));
    WEIR_TRY_ASSIGN(const bool mlp_bias, in.flag("mlp_bias"));
    out.qkv_bias = bias_rule(attention_bias);
    out.output_bias = bias_rule(attention_bias);
    out.mlp_bias = bias_rule(mlp_bias);

    std::string model_type = "mistral";  // what a part without a type is
    WEIR_TRY(in.fields().read("model_type", model_type));
    const bool may_have_window = model_type != "llama";
    WEIR_TRY_ASSIGN(
        const auto window,
        in.window(may_have_window ? std::optional(JsonConfig::kWindowDefault) : std::nullopt));
    if (!may_have_window && window) {
        return unsupported("{}: Llama models have none", in.fields().path_of("sliding_window"));
    }
    return in.read_windows(window, 0, out);
}

}  // namespace

const Family& llama_family() {
    static constexpr Family kFamily{.gguf_architectures = kArchitectures,
                                    .model_types = kModelTypes,
                                    .finish_gguf = finish_gguf,
                                    .finish_json = finish_json,
                                    .wrapped = kWrapped,
                                    .make_feed_forward = make_mixture};
    return kFamily;
}

}  // namespace weir::model
