#include "model/tensor_index.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "model/family.h"
#include "model/packed_tensors.h"

namespace weir::model {

namespace {

constexpr std::array kOutside = {
    TensorName{"token_embd", "model.embed_tokens"},
    TensorName{"output_norm", "model.norm"},
    TensorName{"output", "lm_head"},
};

constexpr std::array kInLayer = {
    TensorName{"attn_norm", "input_layernorm"},
    TensorName{"attn_q", "self_attn.q_proj"},
    TensorName{"attn_k", "self_attn.k_proj"},
    TensorName{"attn_v", "self_attn.v_proj"},
    TensorName{"attn_qkv", "self_attn.qkv_proj"},
    TensorName{"attn_q_norm", "self_attn.q_norm"},
    TensorName{"attn_k_norm", "self_attn.k_norm"},
    TensorName{"attn_output", "self_attn.o_proj"},
    TensorName{"ffn_norm", "post_attention_layernorm"},
    TensorName{"ffn_gate", "mlp.gate_proj"},
    TensorName{"ffn_up", "mlp.up_proj"},
    TensorName{"ffn_down", "mlp.down_proj"},
};

// What a model that sees images or hears has beside its text part, with or without "model.".
constexpr std::array<std::string_view, 7> kOtherParts = {
    "vision_tower.", "vision_model.", "visual.",     "multi_modal_projector.",
    "audio_tower.",  "embed_vision.", "embed_audio."};
constexpr std::string_view kModel = "model.";
constexpr std::string_view kLanguageModel = "language_model.";
constexpr std::string_view kModelLanguageModel = "model.language_model.";

constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kOldNormEndings = {
    {{".LayerNorm.weight", ".LayerNorm.gamma"}, {".LayerNorm.bias", ".LayerNorm.beta"}}};

bool is_other_part(std::string_view name) {
    if (name.starts_with(kModel)) {
        name.remove_prefix(kModel.size());
    }
    return std::ranges::any_of(
        kOtherParts, [name](std::string_view prefix) { return name.starts_with(prefix); });
}

// "ffn_gate.3" as "ffn_gate.#" and "3".
struct Numbered {
    std::string pattern;
    std::string_view number;
};

Numbered numbered(std::string_view name) {
    for (size_t begin = name.find('.'); begin != std::string_view::npos;
         begin = name.find('.', begin + 1)) {
        const size_t end = std::min(name.find('.', begin + 1), name.size());
        const std::string_view segment = name.substr(begin + 1, end - begin - 1);
        if (!segment.empty() && segment.find_first_not_of("0123456789") == std::string_view::npos) {
            return {fmt::format("{}.#{}", name.substr(0, begin), name.substr(end)), segment};
        }
    }
    return {std::string(name), {}};
}

// The whole name, or the name without its ending, in a table; empty if it is in neither form there.
std::string translate(std::span<const TensorName> table, std::string_view stem,
                      std::string_view ending) {
    const Numbered name = numbered(stem);
    const auto find = [table](std::string_view gguf) {
        const auto found = std::ranges::find(table, gguf, &TensorName::gguf);
        return found == table.end() ? std::string() : std::string(found->hugging_face);
    };
    std::string out = find(name.pattern + std::string(ending));
    if (out.empty()) {
        out = find(name.pattern);
        out += out.empty() ? std::string_view() : ending;
    }
    if (const size_t at = out.find('#'); at != std::string::npos) {
        out.replace(at, 1, name.number);
    }
    return out;
}

std::string translate_either(std::span<const TensorName> first, std::span<const TensorName> second,
                             std::string_view stem, std::string_view ending) {
    std::string out = translate(first, stem, ending);
    return out.empty() ? translate(second, stem, ending) : out;
}

}  // namespace

uint64_t StoredTensor::elements() const {
    uint64_t count = 1;
    for (const uint64_t extent : shape) {
        count *= extent;  // the reader has checked the product
    }
    return count;
}

namespace {

// A name without "blk.N." and with its ending, if it has one ("attn_q.weight", "ssm_a").
std::string translate_name(const Family& family, std::span<const TensorName> common,
                           std::string_view name) {
    const size_t dot = std::min(name.rfind('.'), name.size());
    return translate_either(family.names, common, name.substr(0, dot), name.substr(dot));
}

}  // namespace

std::span<const TensorName> common_names_in_layers() {
    return kInLayer;
}

std::span<const TensorName> common_names_outside() {
    return kOutside;
}

std::string hugging_face_name(std::string_view gguf_name, const Family& family) {
    if (!gguf_name.starts_with("blk.")) {
        const std::string outside = translate_name(family, kOutside, gguf_name);
        return outside.empty() ? std::string(gguf_name) : outside;
    }
    const size_t after_number = gguf_name.find('.', 4);
    if (after_number == std::string_view::npos) {
        return std::string(gguf_name);
    }
    const std::string_view number = gguf_name.substr(4, after_number - 4);
    const std::string inside = translate_name(family, kInLayer, gguf_name.substr(after_number + 1));
    return inside.empty() ? std::string(gguf_name)
                          : fmt::format("{}{}.{}", family.layers, number, inside);
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

TensorIndex::TensorIndex(std::span<const SafetensorsFile> shards, const Family& family,
                         HfDecoder decoder, WeightPacking packing)
    : naming_(decoder == HfDecoder::Whole ? Naming::HuggingFace : Naming::LanguageModelFirst),
      family_(&family) {
    for (const SafetensorsFile& shard : shards) {
        for (const SafetensorsTensor& tensor : shard.tensors()) {
            if (decoder == HfDecoder::TextPart && is_other_part(tensor.name)) {
                continue;
            }
            if (decoder == HfDecoder::TextPart && tensor.name.starts_with(kModelLanguageModel)) {
                naming_ = Naming::ModelFirst;
            }
            has_prefix_ = has_prefix_ || (!family.may_begin_with.empty() &&
                                          tensor.name.starts_with(family.may_begin_with));
            tensors_.push_back({.name = tensor.name,
                                .type = tensor.dtype,
                                .dtype = tensor.kernel_dtype(),
                                .shape = tensor.shape,
                                .bytes = tensor.bytes});
        }
    }
    std::ranges::sort(tensors_, {}, &StoredTensor::name);
    join_parts(packing, tensors_);
}

std::string TensorIndex::file_name(std::string_view gguf_name) const {
    if (naming_ == Naming::Gguf) {
        return std::string(gguf_name);
    }
    std::string name = hugging_face_name(gguf_name, *family_);
    if (has_prefix_) {
        name.insert(0, family_->may_begin_with);
    }
    if (naming_ == Naming::LanguageModelFirst) {
        name.insert(0, kLanguageModel);
    } else if (naming_ == Naming::ModelFirst && name.starts_with(kModel)) {
        name.replace(0, kModel.size(), kModelLanguageModel);
    }
    return name;
}

const StoredTensor* TensorIndex::find(std::string_view gguf_name) const {
    const std::string own_name = file_name(gguf_name);
    const StoredTensor* found = find_stored(own_name);
    if (found != nullptr || naming_ == Naming::Gguf) {
        return found;
    }
    // Checkpoints that were made of TensorFlow's.
    for (const auto& [now, then] : kOldNormEndings) {
        if (own_name.ends_with(now)) {
            return find_stored(own_name.substr(0, own_name.size() - now.size()) +
                               std::string(then));
        }
    }
    return find_stored(packed_name(own_name));
}

const StoredTensor* TensorIndex::find_stored(std::string_view name) const {
    const auto at = std::ranges::lower_bound(tensors_, name, {}, &StoredTensor::name);
    return at != tensors_.end() && at->name == name ? &*at : nullptr;
}

}  // namespace weir::model
