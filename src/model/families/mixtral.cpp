#include "model/families/mixtral.h"

#include <array>

#include "model/families/families.h"
#include "model/families/moe_keys.h"
#include "model/layers/mixture.h"

// Mixtral (Jiang et al. 2024): the Llama block (families/llama.cpp) with experts on every layer.
//
//   p   = softmax(Wr m) over all experts, in float32
//   out = sum over the best num_experts_per_tok of p[e] / (their sum) * expert_e(m)
//
// In safetensors w1 is an expert's gate, w3 its other input matrix, w2 its output matrix.
namespace weir::model {

namespace {

constexpr std::array<std::string_view, 1> kModelTypes = {"mixtral"};

constexpr std::array kNames = {
    TensorName{"ffn_gate_inp", "block_sparse_moe.gate"},
    TensorName{"ffn_gate.#", "block_sparse_moe.experts.#.w1"},
    TensorName{"ffn_up.#", "block_sparse_moe.experts.#.w3"},
    TensorName{"ffn_down.#", "block_sparse_moe.experts.#.w2"},
    TensorName{"ffn_gate_up_exps.weight", "block_sparse_moe.experts.gate_up_proj"},
    TensorName{"ffn_down_exps.weight", "block_sparse_moe.experts.down_proj"},
};

constexpr uint32_t kExpertsDefault = 8;
constexpr uint32_t kChosenDefault = 2;

Result<void> finish_json(JsonConfig& in, TransformerConfig& out) {
    out.set_rope_pairs(kernels::RopePairs::Adjacent);
    out.qk_rows = QkRows::HalvesToAdjacent;
    MoeConfig& moe = out.moe.emplace();
    WEIR_TRY_ASSIGN(moe.router.experts, read_json_experts(in, kExpertsDefault));
    WEIR_TRY_ASSIGN(const auto chosen, in.size("num_experts_per_tok"));
    moe.router.chosen = chosen.value_or(kChosenDefault);
    moe.router.normalize = true;
    moe.width = out.feed_forward;
    moe.layers = all_layers(out);
    WEIR_TRY_ASSIGN(const auto window, in.window(std::nullopt));
    return in.read_windows(window, 0, out);
}

}  // namespace

Result<void> read_gguf_mixtral(GgufConfig& in, TransformerConfig& out) {
    MoeConfig& moe = out.moe.emplace();
    moe.router.normalize = true;
    return read_gguf_moe(in, out.feed_forward, out, moe);
}

const Family& mixtral_family() {
    static constexpr Family kFamily{.model_types = kModelTypes,
                                    .finish_json = finish_json,
                                    .architecture = "llama",
                                    .json = {.epsilon = 1e-5, .rope_theta = 1e6},
                                    .names = kNames,
                                    .make_feed_forward = make_mixture};
    return kFamily;
}

}  // namespace weir::model
