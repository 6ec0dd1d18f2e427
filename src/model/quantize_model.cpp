#include "model/quantize_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <cmath>
#include <set>

#include "base/check.h"
#include "tensor/matrix_view.h"
#include "tensor/quantize.h"
#include "tensor/quantize_search.h"

namespace weir::model {

namespace {

using tensor::DType;

constexpr size_t kPieceElements = size_t{1} << 22;  // converted before they are written

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

bool carries_values(std::string_view rest) {
    return rest == "attn_v.weight" || rest == "attn_qkv.weight" || rest == "attn_kv_b.weight";
}

// Small, or used in another way than by a product.
bool stays(const MixTensor& tensor) {
    constexpr std::array<std::string_view, 10> kParts = {
        "_norm.weight",   "ffn_gate_inp", "position_embd.", "token_types.", "ssm_conv1d",
        "shortconv.conv", "altup",        "laurel",         "time_mix_",    "attn_rel_b"};
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
    const bool eight_experts = context.experts == 8;
    if (name.rest == "attn_v.weight") {
        if (eight_experts) {
            return DType::Q8_0;
        }
        if (uses_more_bits(tensor.value_layer, tensor.value_layers)) {
            return DType::Q6_K;
        }
        return context.layers == kLargeLayers && context.shares_values ? DType::Q5_K : DType::Q4_K;
    }
    if (name.rest == "attn_k.weight" && eight_experts) {
        return DType::Q8_0;
    }
    if (name.rest == "attn_output.weight" && eight_experts) {
        return DType::Q5_K;
    }
    if (name.rest == "attn_qkv.weight") {
        return DType::Q5_K;
    }
    if (name.rest.starts_with("ffn_down") && name.layer &&
        uses_more_bits(*name.layer, context.layers)) {
        return DType::Q6_K;
    }
    return DType::Q4_K;
}

DType wanted_type(FileType type, const MixContext& context, const MixTensor& tensor) {
    const bool is_output = tensor.name == "output.weight" ||
                           (!context.has_output && tensor.name == "token_embd.weight");
    if (is_output && type != FileType::Q8_0) {
        return DType::Q6_K;
    }
    const LayerName name = layer_name(tensor.name);
    if (type == FileType::Q4_K_M) {
        return medium_type(context, tensor, name);
    }
    const bool eight_experts = context.experts == 8;
    if (eight_experts && (name.rest == "attn_v.weight" || name.rest == "attn_k.weight")) {
        return DType::Q8_0;
    }
    return row_of(type).base;
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

// Whether a key of the old file says something that is no longer so.
bool is_stale(std::string_view key) {
    constexpr std::array<std::string_view, 3> kStale = {"general.alignment", "general.file_type",
                                                        "general.quantization_version"};
    return key.starts_with("split.") || std::ranges::find(kStale, key) != kStale.end();
}

// One tensor of the file that is being made.
struct Planned {
    const GgufTensor* tensor = nullptr;
    std::vector<uint64_t> shape;
    DType from = DType::F32;
    DType to = DType::F32;

    uint64_t rows() const {
        uint64_t count = 1;
        for (size_t axis = 0; axis + 1 < shape.size(); ++axis) {
            count *= shape[axis];  // the reader has checked the product
        }
        return count;
    }
};

Result<MixContext> context_of(const GgufFile& in) {
    MixContext context;
    WEIR_TRY_ASSIGN(const auto architecture, in.find_text("general.architecture"));
    const auto number = [&](std::string_view key) -> Result<uint32_t> {
        const std::string full = fmt::format("{}.{}", architecture.value_or(""), key);
        const GgufEntry* entry = in.find(full);
        if (entry == nullptr || entry->type == GgufValueType::Array) {
            return 0;  // by layer: no such model has an exception of its own
        }
        WEIR_TRY_ASSIGN(const auto value, in.find_unsigned(full));
        return static_cast<uint32_t>(std::min<uint64_t>(value.value_or(0), UINT32_MAX));
    };
    WEIR_TRY_ASSIGN(context.layers, number("block_count"));
    WEIR_TRY_ASSIGN(context.experts, number("expert_count"));
    WEIR_TRY_ASSIGN(const uint32_t heads, number("attention.head_count"));
    WEIR_TRY_ASSIGN(const uint32_t kv_heads, number("attention.head_count_kv"));
    context.shares_values = kv_heads != 0 && heads != kv_heads;
    context.has_output = in.find_tensor("output.weight") != nullptr;
    return context;
}

Result<std::vector<Planned>> plan_tensors(const GgufFile& in, FileType type) {
    WEIR_TRY_ASSIGN(const MixContext context, context_of(in));
    std::set<uint32_t> value_layers;
    for (const GgufTensor& tensor : in.tensors()) {
        const LayerName name = layer_name(tensor.name);
        if (name.layer && carries_values(name.rest)) {
            value_layers.insert(*name.layer);
        }
    }
    std::vector<Planned> planned;
    for (const GgufTensor& tensor : in.tensors()) {
        Planned& one = planned.emplace_back();
        one.tensor = &tensor;
        one.shape.assign(tensor.ne.begin(), tensor.ne.begin() + tensor.dimensions);
        std::ranges::reverse(one.shape);
        const auto dtype = tensor.type->dtype();
        const LayerName name = layer_name(tensor.name);
        const uint32_t layer = name.layer.value_or(0);
        MixTensor mix{.name = tensor.name, .shape = one.shape, .dtype = dtype.value_or(DType::F32)};
        mix.value_layers = static_cast<uint32_t>(value_layers.size());
        mix.value_layer = static_cast<uint32_t>(
            std::distance(value_layers.begin(), value_layers.lower_bound(layer)));
        if (!dtype) {
            return unsupported("tensor {}: type {} is not supported by this build", tensor.name,
                               tensor.type->name);
        }
        one.from = *dtype;
        one.to = mixed_type(type, context, mix);
    }
    // In the order of the old file, which is then read from front to back.
    std::ranges::sort(planned, {}, [](const Planned& one) { return one.tensor->bytes.data(); });
    return planned;
}

// Converts rows [begin, end) of a tensor into `out`; false if a number is not finite.
bool convert_rows(const Planned& one, uint64_t begin, uint64_t end, std::span<std::byte> out) {
    const size_t columns = static_cast<size_t>(one.shape.back());
    const size_t from = one.tensor->bytes.size() / static_cast<size_t>(one.rows());
    const size_t to = out.size() / static_cast<size_t>(end - begin);
    std::vector<float> values(columns);
    for (uint64_t row = begin; row < end; ++row) {
        tensor::dequantize_row(one.from, one.tensor->bytes.data() + row * from, values);
        if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) {
            return false;
        }
        tensor::quantize_row_searched(one.to, values,
                                      out.subspan(static_cast<size_t>(row - begin) * to, to));
    }
    return true;
}

Result<void> write_converted(const Planned& one, kernels::ThreadPool& pool, const ByteSink& sink) {
    WEIR_TRY_ASSIGN(const uint64_t stride, tensor::row_bytes(one.to, one.shape.back()));
    const uint64_t rows = one.rows();
    const uint64_t piece = std::max<uint64_t>(1, kPieceElements / one.shape.back());
    std::vector<std::byte> bytes;
    for (uint64_t begin = 0; begin < rows; begin += piece) {
        const uint64_t count = std::min(piece, rows - begin);
        bytes.resize(static_cast<size_t>(count * stride));
        std::atomic<bool> finite = true;
        pool.parallel_for(static_cast<size_t>(count), [&](size_t first, size_t last) {
            const auto part = std::span(bytes).subspan(first * stride, (last - first) * stride);
            if (!convert_rows(one, begin + first, begin + last, part)) {
                finite = false;
            }
        });
        if (!finite) {
            return data_corrupt("tensor {}: a number is not finite", one.tensor->name);
        }
        WEIR_TRY(sink(bytes));
    }
    return {};
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
    return stays(tensor) ? tensor.dtype
                         : fitting_type(wanted_type(type, context, tensor), tensor.shape.back());
}

Result<void> quantize_model(const GgufFile& in, FileType type, kernels::ThreadPool& pool,
                            const ByteSink& sink, const Progress& progress) {
    WEIR_TRY_ASSIGN(const std::vector<Planned> planned, plan_tensors(in, type));
    GgufHead head;
    for (const GgufEntry& entry : in.entries()) {
        if (!is_stale(entry.key)) {
            head.add(entry);
        }
    }
    constexpr uint32_t kQuantizationVersion = 2;  // of the blocks' layouts
    head.add_u32("general.quantization_version", kQuantizationVersion);
    head.add_u32("general.file_type", row_of(type).number);
    uint64_t total = 0;
    for (const Planned& one : planned) {
        WEIR_TRY(head.add_tensor(one.tensor->name, one.shape, one.to));
        total += one.tensor->bytes.size();
    }
    WEIR_TRY(sink(head.finish()));
    uint64_t done = 0;
    for (const Planned& one : planned) {
        if (one.from == one.to) {
            WEIR_TRY(sink(one.tensor->bytes));
        } else {
            WEIR_TRY(write_converted(one, pool, sink));
        }
        WEIR_TRY_ASSIGN(const uint64_t stride, tensor::row_bytes(one.to, one.shape.back()));
        WEIR_TRY(sink(gguf_padding(stride * one.rows())));
        done += one.tensor->bytes.size();
        progress(done, total);
    }
    return {};
}

}  // namespace weir::model
