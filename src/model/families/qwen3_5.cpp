#include <array>

#include "model/families/families.h"
#include "model/families/moe_keys.h"
#include "model/families/qwen_hybrid.h"
#include "model/layers/mixture.h"

// Qwen3.5 to 3.8, dense and mixtures (families/qwen_hybrid.h). The recurrence's inputs are four
// matrices. GGUF converters move value head k * r + j (of r that share key head k) to place
// j * key_heads + k, in every tensor that knows of value heads. Positions are those of a text,
// where the three of mrope are equal. Every layer of a mixture has experts, weighted by the softmax
// over all of them, divided by the sum over those chosen.
namespace weir::model {

namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"qwen35"};
constexpr std::array<std::string_view, 1> kModelTypes = {"qwen3_5_text"};
constexpr std::array kWrapped = {WrappedType{"qwen3_5", "qwen3_5_text"}};
constexpr std::array<std::string_view, 1> kMoeArchitectures = {"qwen35moe"};
constexpr std::array<std::string_view, 1> kMoeModelTypes = {"qwen3_5_moe_text"};
constexpr std::array kMoeWrapped = {WrappedType{"qwen3_5_moe", "qwen3_5_moe_text"}};

// No layer of a mixture is dense, and its config.json has no intermediate_size.
constexpr JsonDefaults kMoeJson = {.feed_forward = 512, .head_dim = 256};

Result<void> finish_gguf(GgufConfig& in, TransformerConfig& out) {
    return qwen_hybrid::finish_gguf(in, kernels::HeadMap::Tiled, out);
}

Result<void> finish_moe_gguf(GgufConfig& in, TransformerConfig& out) {
    WEIR_TRY(finish_gguf(in, out));
    return qwen_hybrid::read_gguf_experts(in, out);
}

Result<void> finish_moe_json(JsonConfig& in, TransformerConfig& out) {
    WEIR_TRY(qwen_hybrid::finish_json(in, out));
    WEIR_TRY(qwen_hybrid::read_json_experts(in, {.experts = 256, .chosen = 8}, out));
    out.moe->layers = all_layers(out);
    out.moe->router.normalize = true;
    return {};
}

}  // namespace

const Family& qwen3_5_family() {
    static const Family kFamily{.gguf_architectures = kArchitectures,
                                .model_types = kModelTypes,
                                .finish_gguf = finish_gguf,
                                .finish_json = qwen_hybrid::finish_json,
                                .json = qwen_hybrid::kJsonDefaults,
                                .wrapped = kWrapped,
                                .names = qwen_hybrid::tensor_names(),
                                .draft_tensors = qwen_hybrid::kDraftTensors,
                                .make_mixer = qwen_hybrid::make_mixer};
    return kFamily;
}

const Family& qwen3_5_moe_family() {
    static const Family kFamily{.gguf_architectures = kMoeArchitectures,
                                .model_types = kMoeModelTypes,
                                .finish_gguf = finish_moe_gguf,
                                .finish_json = finish_moe_json,
                                .json = kMoeJson,
                                .wrapped = kMoeWrapped,
                                .names = qwen_hybrid::tensor_names(),
                                .draft_tensors = qwen_hybrid::kDraftTensors,
                                .make_mixer = qwen_hybrid::make_mixer,
                                .make_feed_forward = make_mixture};
    return kFamily;
}

}  // namespace weir::model
