#include <array>
#include <cmath>

#include "model/config_gguf.h"
#include "model/config_json.h"
#include "model/families/families.h"
#include "model/families/gemma.h"

// Gemma 2 (Gemma Team 2024).
//
//   x = embedding * sqrt(hidden)                              the root rounded to the weights' type
//   x = x + norm(Wo attention(rope(Wq n), rope(Wk n), Wv n))  n = norm(x)
//   x = x + norm(Wdown (gelu_tanh(Wgate m) * Wup m))          m = norm(x)
//   logits = cap(embedding norm(x), 30)                       cap(s, c) = c * tanh(s / c)
//
// Attention's scores are cap(q k / sqrt(query_pre_attn_scalar), 50). Every second layer, from the
// first on, sees a window. norm is an RMSNorm with the weight 1 + w; GGUF stores that sum. It has
// no key for the scale: head_dim^-1/2, but (hidden / heads)^-1/2 for the 27B (46 layers).
namespace weir::model {

void start_gemma(TransformerConfig& out) {
    out.set_rope_pairs(kernels::RopePairs::Halves);
    out.embedding_scale = std::sqrt(static_cast<double>(out.hidden));
    out.rounds_embedding_scale = true;
    out.norms_after = true;
    out.activation = Activation::GeluTanh;
}

void set_gemma_gguf_scale(uint32_t layers_of_27b, TransformerConfig& out) {
    if (out.layers == layers_of_27b) {
        out.attention_scale = 1 / std::sqrt(static_cast<double>(out.hidden) / out.heads);
    }
}

Result<void> refuse_both_ways(JsonConfig& in) {
    const json::Value* said = in.fields().get("use_bidirectional_attention");
    const bool* everywhere = said == nullptr ? nullptr : said->if_bool();
    // "vision" concerns the tokens of an image.
    if (everywhere != nullptr && *everywhere) {
        return unsupported("{}: only causal attention is supported",
                           in.fields().path_of("use_bidirectional_attention"));
    }
    return {};
}

Result<void> read_gemma_json(JsonConfig& in, TransformerConfig& out) {
    const Activation said = out.activation;
    start_gemma(out);
    out.activation = said;
    out.norm_offset = 1;
    WEIR_TRY_ASSIGN(const auto scalar, in.number("query_pre_attn_scalar"));
    const double wanted = scalar.value_or(kGemmaQueryScalar);
    if (!(wanted > 0)) {
        return data_corrupt("{} is {}", in.fields().path_of("query_pre_attn_scalar"), wanted);
    }
    out.attention_scale = 1 / std::sqrt(wanted);
    WEIR_TRY_ASSIGN(const bool bias, in.flag("attention_bias"));
    out.qkv_bias = bias ? BiasRule::Always : BiasRule::Never;
    out.output_bias = out.qkv_bias;
    return refuse_both_ways(in);
}

namespace {

constexpr std::array<std::string_view, 1> kNames = {"gemma2"};
constexpr uint32_t kWindowDefault = 4096;
constexpr uint32_t kLayersOf27b = 46;

Result<void> finish_gguf(GgufConfig& in, TransformerConfig& out) {
    start_gemma(out);
    set_gemma_gguf_scale(kLayersOf27b, out);
    WEIR_TRY_ASSIGN(const auto attention_cap, in.number("attn_logit_softcapping"));
    WEIR_TRY_ASSIGN(const auto logit_cap, in.number("final_logit_softcapping"));
    out.attention_soft_cap = static_cast<float>(attention_cap.value_or(50));
    out.logit_soft_cap = static_cast<float>(logit_cap.value_or(30));
    WEIR_TRY_ASSIGN(const auto window, in.size("attention.sliding_window"));
    return in.read_window_pattern(window.value_or(kWindowDefault), 2, out);
}

Result<void> finish_json(JsonConfig& in, TransformerConfig& out) {
    WEIR_TRY(read_gemma_json(in, out));
    WEIR_TRY_ASSIGN(const auto attention_cap, in.number_or_null("attn_logit_softcapping", 50));
    WEIR_TRY_ASSIGN(const auto logit_cap, in.number_or_null("final_logit_softcapping", 30));
    out.attention_soft_cap = static_cast<float>(attention_cap.value_or(0));
    out.logit_soft_cap = static_cast<float>(logit_cap.value_or(0));
    WEIR_TRY_ASSIGN(const auto window, in.window(kWindowDefault));
    return in.read_window_pattern(window, 2, out);
}

}  // namespace

const Family& gemma2_family() {
    static constexpr Family kFamily{.gguf_architectures = kNames,
                                    .model_types = kNames,
                                    .finish_gguf = finish_gguf,
                                    .finish_json = finish_json,
                                    .json = kGemmaJson,
                                    .names = kGemmaNames};
    return kFamily;
}

}  // namespace weir::model
