#include <array>

#include "model/config_gguf.h"
#include "model/config_json.h"
#include "model/families/families.h"

// Qwen2 and Qwen2.5: the Llama block (families/llama.cpp) with biases on q, k and v, none
// elsewhere, and pairs (i, i + d/2) in both file formats. Long contexts by YaRN where the config
// says so. With use_sliding_window, layers from max_window_layers on (or those that layer_types
// names) see sliding_window tokens; without it both keys mean nothing.
namespace weir::model {

namespace {

constexpr std::array<std::string_view, 1> kNames = {"qwen2"};

Result<void> finish_gguf(GgufConfig&, TransformerConfig& out) {
    out.set_rope_pairs(kernels::RopePairs::Halves);
    out.qkv_bias = BiasRule::Always;
    return {};
}

Result<void> finish_json(JsonConfig& in, TransformerConfig& out) {
    out.set_rope_pairs(kernels::RopePairs::Halves);
    out.qkv_bias = BiasRule::Always;
    return in.read_switched_windows(out);
}

}  // namespace

const Family& qwen2_family() {
    static constexpr Family kFamily{.gguf_architectures = kNames,
                                    .model_types = kNames,
                                    .finish_gguf = finish_gguf,
                                    .finish_json = finish_json};
    return kFamily;
}

}  // namespace weir::model
