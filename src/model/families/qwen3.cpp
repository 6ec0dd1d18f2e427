#include <array>

#include "model/config_gguf.h"
#include "model/config_json.h"
#include "model/families/families.h"

// Qwen3, dense: the Llama block (families/llama.cpp) with an RMSNorm per head on q and k before the
// rotation (one weight of head_dim for all heads), pairs (i, i + d/2) in both file formats, and
// heads whose size does not follow from the hidden size. Biases on q, k, v and o only where
// attention_bias says so; no published model has them. Windows as in Qwen2.
namespace weir::model {

namespace {

constexpr std::array<std::string_view, 1> kNames = {"qwen3"};
constexpr uint32_t kHeadDimDefault = 128;

Result<void> finish_gguf(GgufConfig&, TransformerConfig& out) {
    out.set_rope_pairs(kernels::RopePairs::Halves);
    out.qk_norm = HeadNorm::Rms;
    out.qkv_bias = BiasRule::IfPresent;
    out.output_bias = BiasRule::IfPresent;
    return {};
}

Result<void> finish_json(JsonConfig& in, TransformerConfig& out) {
    out.set_rope_pairs(kernels::RopePairs::Halves);
    out.qk_norm = HeadNorm::Rms;
    WEIR_TRY_ASSIGN(const bool attention_bias, in.flag("attention_bias"));
    out.qkv_bias = attention_bias ? BiasRule::Always : BiasRule::Never;
    out.output_bias = out.qkv_bias;
    return in.read_switched_windows(out);
}

}  // namespace

const Family& qwen3_family() {
    static constexpr Family kFamily{.gguf_architectures = kNames,
                                    .model_types = kNames,
                                    .finish_gguf = finish_gguf,
                                    .finish_json = finish_json,
                                    .json = {.head_dim = kHeadDimDefault}};
    return kFamily;
}

}  // namespace weir::model
