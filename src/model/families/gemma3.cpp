#include <array>

#include "model/config_gguf.h"
#include "model/config_json.h"
#include "model/families/families.h"
#include "model/families/gemma.h"

// Gemma 3, the part that handles text (Gemma Team 2025): the block of Gemma 2 (families/gemma2.cpp)
// without soft caps, with an RMSNorm (1 + w) per head on q and k before the rotation. Five windowed
// layers to one that sees everything; windowed layers turn by the base 1e4, the others by 1e6, from
// the 4B on divided by 8.
//
// config.json, old form: rope_theta and rope_scaling belong to the global layers alone,
// rope_local_base_freq to the windowed ones. Files of the whole, with the vision tower, leave out
// what their class has by default. GGUF has neither the pattern nor, in older files, the second
// base; a file without a window has none.
namespace weir::model {

namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"gemma3"};
constexpr std::array<std::string_view, 1> kModelTypes = {"gemma3_text"};
constexpr std::array kWrapped = {WrappedType{"gemma3", "gemma3_text"}};
constexpr uint32_t kPattern = 6;
constexpr uint32_t kLayersOf27b = 62;
constexpr uint32_t kWindowDefault = 4096;
constexpr double kLocalTheta = 10000;
constexpr double kGlobalTheta = 1e6;

// The windowed layers get a rope of their own.
void add_local_rope(double theta, TransformerConfig& out) {
    RopeConfig local = out.ropes.front();
    local.theta = theta;
    local.scaling = {};
    out.ropes.push_back(local);
    for (LayerConfig& layer : out.layer) {
        layer.rope = layer.visible.sight == Sight::Window ? 1 : 0;
    }
}

Result<void> finish_gguf(GgufConfig& in, TransformerConfig& out) {
    start_gemma(out);
    out.qk_norm = HeadNorm::Rms;
    set_gemma_gguf_scale(kLayersOf27b, out);
    WEIR_TRY_ASSIGN(const auto cap, in.number("final_logit_softcapping"));
    out.logit_soft_cap = static_cast<float>(cap.value_or(0));
    WEIR_TRY_ASSIGN(const auto window, in.size("attention.sliding_window"));
    WEIR_TRY(in.read_window_pattern(window.value_or(0), kPattern, out));
    WEIR_TRY_ASSIGN(const auto global_theta, in.number("rope.freq_base"));
    out.ropes[0].theta = global_theta.value_or(kGlobalTheta);
    WEIR_TRY_ASSIGN(const auto local_theta, in.number("rope.freq_base_swa"));
    add_local_rope(local_theta.value_or(kLocalTheta), out);
    return {};
}

Result<void> finish_json(JsonConfig& in, TransformerConfig& out) {
    WEIR_TRY(read_gemma_json(in, out));
    out.qk_norm = HeadNorm::Rms;
    WEIR_TRY_ASSIGN(const auto attention_cap, in.number("attn_logit_softcapping"));
    WEIR_TRY_ASSIGN(const auto logit_cap, in.number("final_logit_softcapping"));
    out.attention_soft_cap = static_cast<float>(attention_cap.value_or(0));
    out.logit_soft_cap = static_cast<float>(logit_cap.value_or(0));
    WEIR_TRY_ASSIGN(const auto window, in.window(kWindowDefault));
    WEIR_TRY(in.read_window_pattern(window, kPattern, out));
    WEIR_TRY_ASSIGN(const auto local_theta, in.number("rope_local_base_freq"));
    if (!in.has_ropes_by_type()) {
        add_local_rope(local_theta.value_or(kLocalTheta), out);
    }
    return {};
}

// Gemma3TextConfig.
constexpr JsonDefaults kJson = {.activation_name = kGemmaJson.activation_name,
                                .activation = kGemmaJson.activation,
                                .rope_theta = kGlobalTheta,
                                .layers = 26,
                                .hidden = 2304,
                                .feed_forward = 9216,
                                .heads = 8,
                                .kv_heads = 4,
                                .head_dim = kGemmaJson.head_dim,
                                .vocabulary = 262208,
                                .context_tokens = 131072,
                                .tied = true};

}  // namespace

const Family& gemma3_family() {
    static constexpr Family kFamily{.gguf_architectures = kArchitectures,
                                    .model_types = kModelTypes,
                                    .finish_gguf = finish_gguf,
                                    .finish_json = finish_json,
                                    .json = kJson,
                                    .wrapped = kWrapped,
                                    .names = kGemmaNames};
    return kFamily;
}

}  // namespace weir::model
