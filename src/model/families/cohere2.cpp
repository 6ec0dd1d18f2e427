#include <array>

#include "model/config_gguf.h"
#include "model/config_json.h"
#include "model/families/cohere.h"
#include "model/families/families.h"

// Command R7B and Command A (Cohere 2024): the block of Command R (families/cohere.cpp) without
// norms on q and k. Three layers with a window, whose positions are rotated, to one that sees
// everything and has no positions at all.
namespace weir::model {

namespace {

constexpr std::array<std::string_view, 1> kNames = {"cohere2"};
constexpr uint32_t kPattern = 4;
constexpr uint32_t kWindowDefault = 4096;

void leave_global_layers_unrotated(TransformerConfig& out) {
    for (LayerConfig& layer : out.layer) {
        if (layer.visible.sight == Sight::All) {
            layer.rope.reset();
        }
    }
}

Result<void> finish_gguf(GgufConfig& in, TransformerConfig& out) {
    start_cohere(out);
    WEIR_TRY_ASSIGN(const auto scale, in.number("logit_scale"));
    out.logit_scale = static_cast<float>(scale.value_or(0) == 0 ? 1 : *scale);
    WEIR_TRY_ASSIGN(const auto window, in.size("attention.sliding_window"));
    WEIR_TRY(in.read_window_pattern(window.value_or(0), kPattern, out));
    leave_global_layers_unrotated(out);
    return {};
}

Result<void> finish_json(JsonConfig& in, TransformerConfig& out) {
    WEIR_TRY(read_cohere_json(in, out));
    WEIR_TRY_ASSIGN(const auto window, in.window(kWindowDefault));
    WEIR_TRY(in.read_window_pattern(window, kPattern, out));
    leave_global_layers_unrotated(out);
    return {};
}

}  // namespace

const Family& cohere2_family() {
    static constexpr Family kFamily{.gguf_architectures = kNames,
                                    .model_types = kNames,
                                    .finish_gguf = finish_gguf,
                                    .finish_json = finish_json,
                                    .json = kCohereJson};
    return kFamily;
}

}  // namespace weir::model
