#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tensor/dtype.h"

namespace weir::model::testing {

enum class TinyRope : uint8_t {
    Plain,
    Linear,
    Llama3,
    Llama31,  // the same with the published numbers
    Yarn,
    YarnUnscaled,  // mscale = mscale_all_dim: cosines and sines as they are
    Longrope,
};

// How a folder wraps the model beside a vision tower: the two forms in which Mistral 3 is found.
enum class TinyWrap : uint8_t { None, LanguageModelFirst, ModelFirst };

// A model with random weights, small enough to compute in a test. Every number is a small integer
// times a power of two, so that F32, F16 and BF16 hold it exactly.
struct TinyModel {
    std::string family = "llama";  // as config.json calls it; tiny_families.cpp has them
    uint32_t layers = 2;
    uint32_t hidden = 64;
    uint32_t heads = 4;
    uint32_t kv_heads = 2;
    uint32_t head_dim = 16;
    uint32_t feed_forward = 88;
    uint32_t vocabulary = 101;
    uint32_t context = 256;
    tensor::DType dtype = tensor::DType::F32;  // of the matrices
    bool tied = false;
    bool attention_bias = false;  // on q, k, v and o (qwen2: always on q, k, v)
    bool mlp_bias = false;
    std::optional<uint32_t> window;  // on every second layer, from the first, or by its pattern
    bool window_everywhere = false;  // on all
    TinyRope rope = TinyRope::Plain;
    TinyWrap wrap = TinyWrap::None;  // of a folder
    uint64_t seed = 1;

    // With this shape every row is whole blocks of the type.
    static TinyModel for_dtype(tensor::DType dtype);
};

inline constexpr float kTinyEpsilon = 1e-5f;
inline constexpr float kTinyTheta = 10000.0f;
inline constexpr float kTinyRopeFactor = 4.0f;
inline constexpr uint32_t kTinyRopeOriginal = 32;

// Base, factor and original context of the rope.
struct TinyRopeNumbers {
    float theta = kTinyTheta;
    float factor = kTinyRopeFactor;
    uint32_t original = kTinyRopeOriginal;
};
TinyRopeNumbers tiny_rope_numbers(const TinyModel& model);

struct TinyTensor {
    std::string name;             // GGUF's
    std::vector<uint64_t> shape;  // outermost first
    std::vector<float> values;    // rows of q and k in the order of safetensors
};

// The families and their branches, in float32.
std::vector<TinyModel> tiny_models();

// What differs from layer to layer.
uint32_t tiny_head_dim(const TinyModel& model, uint32_t layer);
uint32_t tiny_kv_heads(const TinyModel& model, uint32_t layer);
uint32_t tiny_feed_forward(const TinyModel& model, uint32_t layer);
// The earlier layer whose keys and values it reads, if it has none.
std::optional<uint32_t> tiny_keys_of(const TinyModel& model, uint32_t layer);

// The factors of longrope's pair i.
float tiny_longrope_factor(bool is_long, size_t pair);
double tiny_longrope_amplitude(const TinyModel& model);

bool tiny_layer_has_window(const TinyModel& model, uint32_t layer);

std::vector<TinyTensor> tiny_tensors(const TinyModel& model);

// The model as one GGUF file. Windows have a key there only where the family has a pattern: any
// other must have none.
std::vector<std::byte> tiny_gguf(const TinyModel& model);

// The model as a Hugging Face folder (dtype F32, F16 or BF16), its tensors in so many shards.
void write_tiny_folder(const TinyModel& model, const std::filesystem::path& folder,
                       size_t shards = 1);

std::string tiny_config_json(const TinyModel& model);

// Packs rows of `columns` numbers.
std::vector<std::byte> pack(tensor::DType dtype, const std::vector<float>& values, size_t columns);

}  // namespace weir::model::testing
