#include <array>

#include "model/config_gguf.h"
#include "model/config_json.h"
#include "model/families/families.h"

// Phi-3, Phi-3.5, Phi-4 and Phi-4-mini (Abdin et al. 2024): the Llama block (families/llama.cpp)
// with q, k and v in one matrix, gate and up in another, no biases, pairs (i, i + d/2). Phi-4-mini
// rotates the first three quarters of each head. Long contexts by longrope: two lists of divisors,
// chosen for a sequence once, when it is admitted (rope.h, RopeVariant); Hugging Face's
// implementation chooses by the length so far, and its cached keys are wrong from there on.
namespace weir::model {

namespace {

constexpr std::array<std::string_view, 1> kNames = {"phi3"};
constexpr std::array kTensorNames = {TensorName{"ffn_up", "mlp.gate_up_proj"}};

void start(TransformerConfig& out) {
    out.set_rope_pairs(kernels::RopePairs::Halves);
    out.mlp = MlpForm::FusedGated;
}

Result<void> finish_gguf(GgufConfig&, TransformerConfig& out) {
    start(out);
    return {};
}

Result<void> finish_json(JsonConfig& in, TransformerConfig& out) {
    start(out);
    WEIR_TRY(in.take_rotary_part(1, out));
    WEIR_TRY_ASSIGN(const auto window, in.window(std::nullopt));
    return in.read_windows(window, 0, out);
}

}  // namespace

const Family& phi3_family() {
    static constexpr Family kFamily{.gguf_architectures = kNames,
                                    .model_types = kNames,
                                    .finish_gguf = finish_gguf,
                                    .finish_json = finish_json,
                                    .json = {.epsilon = 1e-5},
                                    .published_with_code = true,
                                    .names = kTensorNames};
    return kFamily;
}

}  // namespace weir::model
