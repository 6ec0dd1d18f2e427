#include "model/tensor_index.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace weir::model {

namespace {

struct NamePair {
    std::string_view gguf;
    std::string_view hugging_face;
};

constexpr std::array kOutside = {
    NamePair{"token_embd", "model.embed_tokens"},
    NamePair{"output_norm", "model.norm"},
    NamePair{"output", "lm_head"},
};

constexpr std::array kInLayer = {
    NamePair{"attn_norm", "input_layernorm"},
    NamePair{"attn_q", "self_attn.q_proj"},
    NamePair{"attn_k", "self_attn.k_proj"},
    NamePair{"attn_v", "self_attn.v_proj"},
    NamePair{"attn_qkv", "self_attn.qkv_proj"},
    NamePair{"attn_q_norm", "self_attn.q_norm"},
    NamePair{"attn_k_norm", "self_attn.k_norm"},
    NamePair{"attn_output", "self_attn.o_proj"},
    NamePair{"ffn_norm", "post_attention_layernorm"},
    NamePair{"ffn_gate", "mlp.gate_proj"},
    NamePair{"ffn_up", "mlp.up_proj"},
    NamePair{"ffn_down", "mlp.down_proj"},
};

// What a model that sees images has beside its text part.
constexpr std::array<std::string_view, 4> kVisionPrefixes = {
    "vision_tower.", "multi_modal_projector.", "model.vision_tower.",
    "model.multi_modal_projector."};
constexpr std::string_view kModel = "model.";
constexpr std::string_view kLanguageModel = "language_model.";
constexpr std::string_view kModelLanguageModel = "model.language_model.";

bool is_vision(std::string_view name) {
    return std::ranges::any_of(
        kVisionPrefixes, [name](std::string_view prefix) { return name.starts_with(prefix); });
}

std::string_view translate(std::span<const NamePair> table, std::string_view gguf) {
    const auto found = std::ranges::find(table, gguf, &NamePair::gguf);
    return found == table.end() ? std::string_view() : found->hugging_face;
}

}  // namespace

uint64_t StoredTensor::elements() const {
    uint64_t count = 1;
    for (const uint64_t extent : shape) {
        count *= extent;  // the reader has checked the product
    }
    return count;
}

std::string hugging_face_name(std::string_view gguf_name) {
    const size_t dot = gguf_name.rfind('.');
    if (dot == std::string_view::npos) {
        return std::string(gguf_name);
    }
    const std::string_view ending = gguf_name.substr(dot);  // ".weight" or ".bias"
    const std::string_view stem = gguf_name.substr(0, dot);
    if (!stem.starts_with("blk.")) {
        const std::string_view outside = translate(kOutside, stem);
        return outside.empty() ? std::string(gguf_name) : fmt::format("{}{}", outside, ending);
    }
    const size_t after_number = stem.find('.', 4);
    const std::string_view number = stem.substr(4, after_number - 4);
    const std::string_view inside = after_number == std::string_view::npos
                                        ? std::string_view()
                                        : translate(kInLayer, stem.substr(after_number + 1));
    return inside.empty() ? std::string(gguf_name)
                          : fmt::format("model.layers.{}.{}{}", number, inside, ending);
}

TensorIndex::TensorIndex(const GgufFile& file) : naming_(Naming::Gguf) {
    tensors_.reserve(file.tensors().size());
    for (const GgufTensor& tensor : file.tensors()) {
        StoredTensor& stored = tensors_.emplace_back();
        stored.name = tensor.name;
        stored.type = tensor.type->name;
        stored.dtype = tensor.type->dtype();
        stored.shape.assign(tensor.ne.begin(), tensor.ne.begin() + tensor.dimensions);
        std::ranges::reverse(stored.shape);
        stored.bytes = tensor.bytes;
    }
}

TensorIndex::TensorIndex(std::span<const SafetensorsFile> shards, HfDecoder decoder)
    : naming_(decoder == HfDecoder::Whole ? Naming::HuggingFace : Naming::LanguageModelFirst) {
    for (const SafetensorsFile& shard : shards) {
        for (const SafetensorsTensor& tensor : shard.tensors()) {
            if (decoder == HfDecoder::TextPart && is_vision(tensor.name)) {
                continue;
            }
            if (decoder == HfDecoder::TextPart && tensor.name.starts_with(kModelLanguageModel)) {
                naming_ = Naming::ModelFirst;
            }
            tensors_.push_back({.name = tensor.name,
                                .type = tensor.dtype,
                                .dtype = tensor.kernel_dtype(),
                                .shape = tensor.shape,
                                .bytes = tensor.bytes});
        }
    }
    std::ranges::sort(tensors_, {}, &StoredTensor::name);
}

std::string TensorIndex::file_name(std::string_view gguf_name) const {
    if (naming_ == Naming::Gguf) {
        return std::string(gguf_name);
    }
    std::string name = hugging_face_name(gguf_name);
    if (naming_ == Naming::LanguageModelFirst) {
        name.insert(0, kLanguageModel);
    } else if (naming_ == Naming::ModelFirst && name.starts_with(kModel)) {
        name.replace(0, kModel.size(), kModelLanguageModel);
    }
    return name;
}

const StoredTensor* TensorIndex::find(std::string_view gguf_name) const {
    const std::string own_name = file_name(gguf_name);
    const auto at =
        std::ranges::lower_bound(tensors_, std::string_view(own_name), {}, &StoredTensor::name);
    return at != tensors_.end() && at->name == own_name ? &*at : nullptr;
}

}  // namespace weir::model
