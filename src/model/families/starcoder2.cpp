#include <array>

#include "model/config_gguf.h"
#include "model/config_json.h"
#include "model/families/families.h"

// StarCoder2 (Lozhkov et al. 2024): the Llama block (families/llama.cpp) with LayerNorms, with
// weight and bias, in place of RMSNorms, biases everywhere (use_bias), pairs (i, i + d/2), a window
// on all layers where config.json has one (GGUF has no key for it), and a layer without a gate:
//
//   x = x + Wproj gelu_tanh(Wfc m + b) + b
namespace weir::model {

namespace {

constexpr std::array<std::string_view, 1> kNames = {"starcoder2"};
constexpr std::array kTensorNames = {
    TensorName{"ffn_up", "mlp.c_fc"},
    TensorName{"ffn_down", "mlp.c_proj"},
};

void start(TransformerConfig& out, BiasRule biases) {
    out.set_rope_pairs(kernels::RopePairs::Halves);
    out.norm = NormKind::Layer;
    out.norm_bias = BiasRule::Always;
    out.mlp = MlpForm::Plain;
    out.qkv_bias = biases;
    out.output_bias = biases;
    out.mlp_bias = biases;
}

Result<void> finish_gguf(GgufConfig&, TransformerConfig& out) {
    start(out, BiasRule::IfPresent);
    out.activation = Activation::GeluTanh;
    return {};
}

Result<void> finish_json(JsonConfig& in, TransformerConfig& out) {
    WEIR_TRY_ASSIGN(const bool bias, in.flag("use_bias", true));
    start(out, bias ? BiasRule::Always : BiasRule::Never);
    WEIR_TRY_ASSIGN(const auto window, in.window(std::nullopt));
    return in.read_windows(window, 0, out);
}

}  // namespace

const Family& starcoder2_family() {
    static constexpr Family kFamily{.gguf_architectures = kNames,
                                    .model_types = kNames,
                                    .finish_gguf = finish_gguf,
                                    .finish_json = finish_json,
                                    .json = {.epsilon_name = "norm_epsilon",
                                             .epsilon = 1e-5,
                                             .activation = Activation::GeluTanh,
                                             .tied = true},
                                    .names = kTensorNames};
    return kFamily;
}

}  // namespace weir::model
