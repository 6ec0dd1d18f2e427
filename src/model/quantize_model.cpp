#include "model/quantize_model.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

namespace weir::model {

namespace {

using tensor::DType;

struct FileTypeRow {
    FileType type;
    std::string_view name;
    DType base;
    uint32_t number;  // general.file_type
};
constexpr std::array kFileTypes = {
    FileTypeRow{FileType::Q8_0, "Q8_0", DType::Q8_0, 7},
    FileTypeRow{FileType::Q4_0, "Q4_0", DType::Q4_0, 2},
    FileTypeRow{FileType::Q4_K_M, "Q4_K_M", DType::Q4_K, 15},
    FileTypeRow{FileType::Q6_K, "Q6_K", DType::Q6_K, 18},
};

const FileTypeRow& row_of(FileType type) {
    return *std::ranges::find(kFileTypes, type, &FileTypeRow::type);
}

// "blk.12.ffn_down.weight": 12 and "ffn_down.weight"; other names: nothing, and the whole name.
struct LayerName {
    std::optional<uint32_t> layer;
    std::string_view rest;
};

LayerName layer_name(std::string_view name) {
    constexpr std::string_view kPrefix = "blk.";
    if (!name.starts_with(kPrefix)) {
        return {std::nullopt, name};
    }
    uint32_t layer = 0;
    const char* begin = name.data() + kPrefix.size();
    const char* end = name.data() + name.size();
    const auto [after, error] = std::from_chars(begin, end, layer);
    if (error != std::errc() || after == end || *after != '.') {
        return {std::nullopt, name};
    }
    return {layer, std::string_view(after + 1, static_cast<size_t>(end - after - 1))};
}

constexpr uint32_t kFewExperts = 8;  // Mixtral's: what they share is small beside them

bool carries_values(std::string_view rest) {
    return rest == "attn_v.weight" || rest == "attn_qkv.weight" || rest == "attn_kv_b.weight";
}

// Small, or used in another way than by a product.
bool stays(const MixTensor& tensor) {
    constexpr std::array<std::string_view, 11> kParts = {
        "_norm.weight",        "ffn_gate_inp", "position_embd.", "token_types.", "ssm_conv1d",
        "shortconv.conv",      "altup",        "laurel",         "time_mix_",    "attn_rel_b",
        "per_layer_model_proj"};
    return tensor.shape.size() < 2 || !tensor.name.ends_with("weight") ||
           std::ranges::any_of(
               kParts,
               [&](std::string_view part) {
                   return tensor.name.find(part) != std::string_view::npos;
               });
}

// The first and last eighth of the layers, and every third between.
bool uses_more_bits(uint32_t layer, uint32_t layers) {
    return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

// Q4_K_M's exceptions from Q4_K.
DType medium_type(const MixContext& context, const MixTensor& tensor, const LayerName& name) {
    constexpr uint32_t kLargeLayers = 80;  // of the 70B models
    if (carries_values(name.rest)) {
        if (uses_more_bits(tensor.value_layer, tensor.value_layers)) {
            return DType::Q6_K;
        }
        return context.layers == kLargeLayers && context.shares_values ? DType::Q5_K : DType::Q4_K;
    }
    if (name.rest == "attn_output.weight" && context.experts == kFewExperts) {
        return DType::Q5_K;
    }
    if (name.rest.starts_with("ffn_down") && name.layer &&
        uses_more_bits(*name.layer, context.layers)) {
        return DType::Q6_K;
    }
    return DType::Q4_K;
}

DType wanted_type(FileType type, const MixContext& context, const MixTensor& tensor) {
    const bool is_embedding =
        tensor.name == "token_embd.weight" || tensor.name == "per_layer_token_embd.weight";
    const bool is_output = tensor.name == "output.weight" || (!context.has_output && is_embedding);
    if (is_output && type != FileType::Q8_0) {
        return DType::Q6_K;
    }
    const LayerName name = layer_name(tensor.name);
    if (context.experts == kFewExperts &&
        (carries_values(name.rest) || name.rest == "attn_k.weight")) {
        return DType::Q8_0;
    }
    return type == FileType::Q4_K_M ? medium_type(context, tensor, name) : row_of(type).base;
}

// What is written instead where rows are no whole blocks.
DType fitting_type(DType wanted, uint64_t columns) {
    if (columns % tensor::info(wanted).block_elements == 0) {
        return wanted;
    }
    const DType smaller = wanted == DType::Q4_K   ? DType::Q5_0
                          : wanted == DType::Q5_K ? DType::Q5_1
                                                  : DType::Q8_0;
    return columns % tensor::info(smaller).block_elements == 0 ? smaller : DType::F16;
}

// The type that a tensor should have, and the one that it gets.
struct PlannedType {
    DType wanted;
    DType written;
};

PlannedType planned_type(FileType type, const MixContext& context, const MixTensor& tensor) {
    if (stays(tensor)) {
        return {tensor.dtype, tensor.dtype};
    }
    const DType wanted = wanted_type(type, context, tensor);
    return {wanted, fitting_type(wanted, tensor.shape.back())};
}

// Of every tensor of `contents`.
std::vector<PlannedType> planned_types(const GgufContents& contents, FileType type) {
    MixContext context{.layers = contents.layers,
                       .experts = contents.experts,
                       .has_output = false,
                       .shares_values = contents.shares_values};
    std::set<uint32_t> value_layers;
    for (const OutputTensor& tensor : contents.tensors) {
        const LayerName name = layer_name(tensor.name);
        if (name.layer && carries_values(name.rest)) {
            value_layers.insert(*name.layer);
        }
        context.has_output = context.has_output || tensor.name == "output.weight";
    }
    std::vector<PlannedType> types;
    for (const OutputTensor& tensor : contents.tensors) {
        const uint32_t layer = layer_name(tensor.name).layer.value_or(0);
        MixTensor mix{.name = tensor.name, .shape = tensor.shape, .dtype = tensor.dtype};
        mix.value_layers = static_cast<uint32_t>(value_layers.size());
        mix.value_layer = static_cast<uint32_t>(
            std::distance(value_layers.begin(), value_layers.lower_bound(layer)));
        types.push_back(planned_type(type, context, mix));
    }
    return types;
}

}  // namespace

std::optional<FileType> file_type_of(std::string_view name) {
    const auto found = std::ranges::find(kFileTypes, name, &FileTypeRow::name);
    return found == kFileTypes.end() ? std::nullopt : std::optional(found->type);
}

std::string_view name(FileType type) {
    return row_of(type).name;
}

tensor::DType mixed_type(FileType type, const MixContext& context, const MixTensor& tensor) {
    return planned_type(type, context, tensor).written;
}

std::vector<OtherType> other_types(const GgufContents& contents, FileType type) {
    const std::vector<PlannedType> types = planned_types(contents, type);
    std::vector<OtherType> out;
    for (size_t i = 0; i < types.size(); ++i) {
        const auto [wanted, written] = types[i];
        if (wanted == written) {
            continue;
        }
        const OutputTensor& tensor = contents.tensors[i];
        const auto same = std::ranges::find_if(out, [&](const OtherType& one) {
            return one.wanted == wanted && one.written == written &&
                   one.columns == tensor.columns();
        });
        if (same != out.end()) {
            ++same->tensors;
        } else {
            out.push_back({.wanted = wanted,
                           .written = written,
                           .columns = tensor.columns(),
                           .tensors = 1,
                           .first = tensor.name});
        }
    }
    return out;
}

Result<void> quantize_model(const GgufContents& contents, FileType type, kernels::ThreadPool& pool,
                            const ByteSink& sink, const Progress& progress) {
    const std::vector<PlannedType> types = planned_types(contents, type);
    constexpr uint32_t kQuantizationVersion = 2;  // of the blocks' layouts
    GgufHead head = contents.head;
    head.add_u32("general.quantization_version", kQuantizationVersion);
    head.add_u32("general.file_type", row_of(type).number);
    uint64_t total = 0;
    for (size_t i = 0; i < types.size(); ++i) {
        const OutputTensor& tensor = contents.tensors[i];
        WEIR_TRY(head.add_tensor(tensor.name, tensor.shape, types[i].written));
        total += tensor.rows() * tensor.columns();
    }
    WEIR_TRY(sink(head.finish()));
    uint64_t done = 0;
    for (size_t i = 0; i < types.size(); ++i) {
        const OutputTensor& tensor = contents.tensors[i];
        WEIR_TRY(write_rows(tensor, types[i].written, pool, sink));
        WEIR_TRY_ASSIGN(const uint64_t stride,
                        tensor::row_bytes(types[i].written, tensor.columns()));
        WEIR_TRY(sink(gguf_padding(stride * tensor.rows())));
        done += tensor.rows() * tensor.columns();
        progress(done, total);
    }
    return {};
}

}  // namespace weir::model
