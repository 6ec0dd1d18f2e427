#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/token_id.h"

namespace weir::model::testing {

enum class MixtureFamily : uint8_t {
    Mixtral,
    Qwen2Moe,
    Qwen3Moe,
    GptOss,
    Llama4,
    DeepseekV2,
    DeepseekV2Lite,
    DeepseekV3,
};
inline constexpr MixtureFamily kMixtureFamilies[] = {
    MixtureFamily::Mixtral,        MixtureFamily::Qwen2Moe,  MixtureFamily::Qwen3Moe,
    MixtureFamily::GptOss,         MixtureFamily::Llama4,    MixtureFamily::DeepseekV2,
    MixtureFamily::DeepseekV2Lite, MixtureFamily::DeepseekV3};

// How a file has the experts.
enum class ExpertsForm : uint8_t { Stacked, OneByOne };
// How a GGUF of DeepSeek has the matrix that expands keys and values.
enum class LatentForm : uint8_t { Whole, Split };

// A model with random weights and experts, with the branches of its family on, small enough to
// compute in a test. Every number is a small integer times a power of two, so that half precisions
// hold it exactly.
struct TinyMixture {
    MixtureFamily family = MixtureFamily::Mixtral;
    uint64_t seed = 1;

    uint32_t layers = 4;
    uint32_t hidden = 64;
    uint32_t heads = 4;
    uint32_t kv_heads = 2;
    uint32_t head_dim = 16;
    uint32_t dense_width = 96;
    uint32_t vocabulary = 67;
    uint32_t context = 256;
    uint32_t experts = 8;
    uint32_t chosen = 2;
    uint32_t width = 48;  // of an expert
    uint32_t shared_width = 80;
    uint32_t window = 7;                  // gpt-oss, on even layers
    std::optional<uint32_t> dense_layer;  // Qwen3-MoE: of mlp_only_layers
    double swiglu_limit = 1.25;           // gpt-oss; small, so that it matters
    // Llama 4
    uint32_t chunk = 11;  // on rotated layers
    uint32_t temperature_floor = 5;
    double temperature_scale = 0.3;
    // DeepSeek
    uint32_t query_rank = 24;
    uint32_t kv_rank = 40;
    uint32_t nope_dim = 16;
    uint32_t rope_dim = 8;
    uint32_t value_dim = 20;

    explicit TinyMixture(MixtureFamily family);

    // The same with the limit, chunk, temperature and dense layers that a GGUF has no keys for.
    TinyMixture as_gguf_says() const;

    bool is_latent() const { return family >= MixtureFamily::DeepseekV2; }
    bool has_experts(uint32_t layer) const;
    bool is_rotated(uint32_t layer) const;
};

std::string name(MixtureFamily family);

inline constexpr double kMixtureTheta = 10000;
inline constexpr double kMixtureEpsilon = 1e-6;
inline constexpr double kMixtureYarnFactor = 4;
inline constexpr uint32_t kMixtureYarnOriginal = 32;
inline constexpr double kMixtureMscale = 0.7;       // DeepSeek V2
inline constexpr double kMixtureWeightScale = 1.5;  // DeepSeek
inline constexpr double kSwigluAlpha = 1.702;       // gpt-oss

struct MixtureTensor {
    std::vector<uint64_t> shape;  // outermost first
    std::vector<float> values;
};
// By names like GGUF's, one for each expert: "blk.1.ffn_gate.3.weight". Matrices are [out, in];
// rows of q and k as published in safetensors.
using MixtureTensors = std::map<std::string, MixtureTensor>;
MixtureTensors mixture_tensors(const TinyMixture& model);

// As published: a Hugging Face folder of float32.
void write_mixture_folder(const TinyMixture& model, const std::filesystem::path& folder,
                          ExpertsForm form = ExpertsForm::OneByOne);
// gpt-oss with its experts in MXFP4: `model`'s experts must be of 4-bit floats (mxfp4_tensors).
void write_mxfp4_folder(const TinyMixture& model, const std::filesystem::path& folder);
MixtureTensors mxfp4_tensors(const TinyMixture& model);

// As a GGUF of float32, which means model.as_gguf_says().
std::vector<std::byte> mixture_gguf(const TinyMixture& model,
                                    ExpertsForm form = ExpertsForm::Stacked,
                                    LatentForm latent = LatentForm::Split);

// Logits of every position in double precision, by the formulas of the publications: one token
// after the other, every expert by itself, DeepSeek's keys and values expanded for every head.
std::vector<std::vector<double>> mixture_logits(const TinyMixture& model,
                                                const MixtureTensors& tensors,
                                                const std::vector<TokenId>& tokens);

}  // namespace weir::model::testing
