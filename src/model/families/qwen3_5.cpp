#include <array>

#include "model/families/families.h"
#include "model/families/qwen_hybrid.h"

// Qwen3.5 to 3.8 (families/qwen_hybrid.h). The recurrence's inputs are four matrices. GGUF
// converters move value head k * r + j (of r that share key head k) to place j * key_heads + k, in
// every tensor that knows of value heads. Positions are those of a text, where the three of mrope
// are equal.
namespace weir::model {

namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"qwen35"};
constexpr std::array<std::string_view, 1> kModelTypes = {"qwen3_5_text"};
constexpr std::array kWrapped = {WrappedType{"qwen3_5", "qwen3_5_text"}};

Result<void> finish_gguf(GgufConfig& in, TransformerConfig& out) {
    return qwen_hybrid::finish_gguf(in, kernels::HeadMap::Tiled, out);
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
                                .make_mixer = qwen_hybrid::make_mixer};
    return kFamily;
}

}  // namespace weir::model
