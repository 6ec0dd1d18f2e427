#include <array>

#include "model/config_gguf.h"
#include "model/config_json.h"
#include "model/families/families.h"

// Ministral 3 and what else GGUF calls "mistral3" (Mistral Small 3.1 and 3.2 converted from Hugging
// Face's format): the Llama block (families/llama.cpp) without biases, rotated as there. Ministral
// has YaRN, and queries that grow with their position on every layer:
//
//   q = rope(q) * (1 + beta * ln(1 + floor(position / original_context)))
//
// beta is `llama_4_scaling_beta` of the rope parameters; GGUF: attention.temperature_scale.
namespace weir::model {

namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"mistral3"};
constexpr std::array<std::string_view, 1> kModelTypes = {"ministral3"};
constexpr std::array kWrapped = {WrappedType{"mistral3", "ministral3"}};

Result<void> finish_gguf(GgufConfig& in, TransformerConfig& out) {
    out.set_rope_pairs(kernels::RopePairs::Adjacent);
    WEIR_TRY_ASSIGN(const auto beta, in.number("attention.temperature_scale"));
    if (beta.value_or(0) != 0) {
        WEIR_TRY_ASSIGN(const auto original, in.size("rope.scaling.original_context_length"));
        out.temperature = {.beta = *beta, .length = original.value_or(out.context_tokens)};
    }
    return {};
}

Result<void> finish_json(JsonConfig& in, TransformerConfig& out) {
    out.set_rope_pairs(kernels::RopePairs::Adjacent);
    out.qk_rows = QkRows::HalvesToAdjacent;
    WEIR_TRY(in.take_temperature(out));
    WEIR_TRY_ASSIGN(const auto window, in.window(std::nullopt));
    return in.read_windows(window, 0, out);
}

}  // namespace

const Family& ministral3_family() {
    static constexpr Family kFamily{.gguf_architectures = kArchitectures,
                                    .model_types = kModelTypes,
                                    .finish_gguf = finish_gguf,
                                    .finish_json = finish_json,
                                    .json = {.rope_theta = 1e6},
                                    .wrapped = kWrapped};
    return kFamily;
}

}  // namespace weir::model
