#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/config.h"
#include "model/layers/mlp.h"
#include "model/layers/self_attention.h"

namespace weir::model {

class GgufConfig;
class JsonConfig;

// What a tensor is called in GGUF and in safetensors, without the layer ("blk.3.") and without
// ".weight" or ".bias", unless the two differ there. '#' stands for a number, the same in both.
struct TensorName {
    std::string_view gguf;
    std::string_view hugging_face;
};

// A model type that wraps a decoder of another beside a vision tower ("mistral3"), and may leave
// that one's type out. Of these the part that handles text is read; prompts have no images, so
// that the other parts are never needed.
struct WrappedType {
    std::string_view whole;
    std::string_view text;
};

// What the members of config.json are that a file leaves out, or are called otherwise: the values
// of Hugging Face's config class.
struct JsonDefaults {
    std::string_view epsilon_name = "rms_norm_eps";
    double epsilon = 1e-6;
    std::string_view activation_name = "hidden_act";
    Activation activation = Activation::Silu;
    double rope_theta = 10000;
    // Nothing: must be there, but for kv_heads (as many as heads) and head_dim (hidden / heads).
    std::optional<uint32_t> layers;
    std::optional<uint32_t> hidden;
    std::optional<uint32_t> feed_forward;
    std::optional<uint32_t> heads;
    std::optional<uint32_t> kv_heads;
    std::optional<uint32_t> head_dim;
    std::optional<uint32_t> vocabulary;
    std::optional<uint32_t> context_tokens;
    bool tied = false;  // tie_word_embeddings
};

// All that is particular to one family of models. The common part of a configuration has been read
// when finish_gguf and finish_json are called: they read the family's own keys and set what no key
// says. A family's file begins with its formulas; what it does not say is as in Llama.
struct Family {
    // Of the files that it reads. Empty: those of its models are another family's, `architecture`.
    std::span<const std::string_view> gguf_architectures = {};
    std::span<const std::string_view> model_types;  // of config.json
    Result<void> (*finish_gguf)(GgufConfig& in, TransformerConfig& out) = nullptr;
    Result<void> (*finish_json)(JsonConfig& in, TransformerConfig& out);
    std::string_view architecture = {};
    JsonDefaults json = {};
    std::span<const WrappedType> wrapped = {};
    bool published_with_code = false;  // config.json has auto_map, for libraries without the family
    std::span<const TensorName> names = {};     // before the common ones
    std::string_view layers = "model.layers.";  // what a layer's names in safetensors begin with
    std::string_view may_begin_with = {};       // and all names of some files
    std::span<const std::string_view> unused = {};  // tensors that are left alone, there or not
    std::string_view draft_tensors = {};  // what the names of layers that draft begin with
    bool encoder = false;                 // texts go in and vectors come out (encoder.h)
    Result<std::unique_ptr<TokenMixer>> (*make_mixer)(WeightBinder& in,
                                                      const TransformerConfig& config,
                                                      uint32_t layer) = make_self_attention;
    Result<std::unique_ptr<FeedForward>> (*make_feed_forward)(WeightBinder& in,
                                                              const TransformerConfig& config,
                                                              uint32_t layer) = make_mlp;
};

std::span<const Family* const> known_families();  // families/families.cpp has the list

// nullptr: a family that this build does not know.
const Family* find_family_of_gguf(std::string_view architecture);
const Family* find_family_of_json(std::string_view model_type);
// The first family's that is found inside this type, which says what an unnamed part is.
const WrappedType* find_wrapped(std::string_view model_type);
bool can_wrap(std::string_view whole, std::string_view text);

// The names that those look for, for an error message.
std::string known_architectures();
std::string known_model_types();

}  // namespace weir::model
