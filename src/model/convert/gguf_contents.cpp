#include "model/convert/gguf_contents.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>

#include "model/convert/gguf_keys.h"
#include "model/convert/gguf_tensors.h"
#include "model/convert/same_config.h"
#include "model/encoder.h"
#include "model/family.h"
#include "model/weights.h"
#include "tensor/quantize.h"
#include "tensor/quantize_search.h"

namespace weir::model {

namespace {

using tensor::DType;

constexpr size_t kPieceElements = size_t{1} << 22;  // converted before they are written

// Whether a key of the old file says something that is no longer so.
bool is_stale(std::string_view key) {
    constexpr std::array<std::string_view, 3> kStale = {"general.alignment", "general.file_type",
                                                        "general.quantization_version"};
    return key.starts_with("split.") || std::ranges::find(kStale, key) != kStale.end();
}

Result<uint32_t> architecture_number(const GgufFile& in, std::string_view name) {
    WEIR_TRY_ASSIGN(const auto architecture, in.find_text("general.architecture"));
    const std::string key = std::string(architecture.value_or("")) + "." + std::string(name);
    const GgufEntry* entry = in.find(key);
    if (entry == nullptr || entry->type == GgufValueType::Array) {
        return 0;  // by layer: no such model has an exception of its own
    }
    WEIR_TRY_ASSIGN(const auto value, in.find_unsigned(key));
    return static_cast<uint32_t>(std::min<uint64_t>(value.value_or(0), UINT32_MAX));
}

// The config that a reader of the new file would see. Only keys and names of tensors say it, so
// that a file with tensors of one number is enough.
Result<TransformerConfig> read_back(const GgufContents& contents) {
    GgufHead head = contents.head;
    const std::array<uint64_t, 1> shape = {1};
    for (const OutputTensor& tensor : contents.tensors) {
        WEIR_TRY(head.add_tensor(tensor.name, shape, DType::F32));
    }
    std::vector<std::byte> file = head.finish();
    file.resize(file.size() + contents.tensors.size() * GgufHead::kAlignment);
    WEIR_TRY_ASSIGN(const GgufFile parsed, GgufFile::parse(file));
    return config_from_gguf(parsed);
}

// general.file_type: the number of the type that most numbers have.
uint32_t file_type_of(std::span<const OutputTensor> tensors) {
    constexpr std::pair<DType, uint32_t> kNumbers[] = {
        {DType::F16, 1},     {DType::Q4_0, 2},  {DType::Q4_1, 3},  {DType::Q8_0, 7},
        {DType::Q5_0, 8},    {DType::Q5_1, 9},  {DType::Q2_K, 10}, {DType::Q3_K, 12},
        {DType::Q4_K, 15},   {DType::Q5_K, 17}, {DType::Q6_K, 18}, {DType::IQ4_NL, 25},
        {DType::IQ4_XS, 30}, {DType::BF16, 32}, {DType::MXFP4, 38}};
    std::array<uint64_t, tensor::kDTypes> numbers{};
    for (const OutputTensor& tensor : tensors) {
        numbers[static_cast<size_t>(tensor.dtype)] += tensor.rows() * tensor.columns();
    }
    const auto most = static_cast<DType>(std::ranges::max_element(numbers) - numbers.begin());
    const auto* found = std::ranges::find(kNumbers, most, &std::pair<DType, uint32_t>::first);
    return found == std::end(kNumbers) ? 0 : found->second;
}

// Fills rows [begin, end); false if a number is not finite.
bool convert_rows(const OutputTensor& tensor, const RowReader& read, DType to, uint64_t begin,
                  uint64_t end, std::span<std::byte> out) {
    const size_t stride = out.size() / static_cast<size_t>(end - begin);
    const tensor::DTypeInfo& type = tensor::info(tensor.dtype);
    std::vector<std::byte> packed(tensor.columns() / type.block_elements * type.block_bytes);
    std::vector<float> values(tensor.columns());
    for (uint64_t row = begin; row < end; ++row) {
        const auto place = out.subspan(static_cast<size_t>(row - begin) * stride, stride);
        if (to == tensor.dtype) {
            read(row, place);
            continue;
        }
        read(row, packed);
        tensor::dequantize_row(tensor.dtype, packed.data(), values);
        if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) {
            return false;
        }
        tensor::quantize_row_searched(to, values, place);
    }
    return true;
}

}  // namespace

Result<void> check_tensors(const TensorIndex& index, const TransformerConfig& config) {
    if (config.family->encoder) {
        return Encoder::check(index, config);
    }
    WEIR_TRY(bind_weights(index, config, Purpose::Count));
    return {};
}

Result<GgufContents> contents_of(const GgufFile& file) {
    GgufContents out;
    for (const GgufEntry& entry : file.entries()) {
        if (!is_stale(entry.key)) {
            out.head.add(entry);
        }
    }
    WEIR_TRY_ASSIGN(out.layers, architecture_number(file, "block_count"));
    WEIR_TRY_ASSIGN(out.experts, architecture_number(file, "expert_count"));
    WEIR_TRY_ASSIGN(const uint32_t heads, architecture_number(file, "attention.head_count"));
    WEIR_TRY_ASSIGN(const uint32_t kv_heads, architecture_number(file, "attention.head_count_kv"));
    out.shares_values = kv_heads != 0 && heads != kv_heads;
    const auto index = std::make_shared<const TensorIndex>(file);
    for (const StoredTensor& tensor : index->tensors()) {
        if (!tensor.dtype) {
            return unsupported("tensor {}: type {} is not supported by this build", tensor.name,
                               tensor.type);
        }
        out.tensors.push_back(as_stored(tensor, std::string(tensor.name)));
    }
    // In the order of the old file, which is then read from front to back.
    std::vector<std::pair<const std::byte*, size_t>> order;
    for (size_t i = 0; i < out.tensors.size(); ++i) {
        order.emplace_back(index->tensors()[i].bytes.data(), i);
    }
    std::ranges::sort(order);
    std::vector<OutputTensor> sorted;
    for (const auto& [address, i] : order) {
        sorted.push_back(std::move(out.tensors[i]));
    }
    out.tensors = std::move(sorted);
    out.index = index;
    return out;
}

Result<GgufContents> contents_of(const ModelSource& source) {
    if (const GgufFile* file = source.gguf()) {
        return contents_of(*file);
    }
    if (!source.folder()->has_weights()) {
        return fail(ErrorCode::NotFound, "the folder has no weights (.safetensors)");
    }
    WEIR_TRY_ASSIGN(const TransformerConfig config, source.config());
    GgufContents out;
    out.index = std::make_shared<const TensorIndex>(source.tensors(config));
    WEIR_TRY(check_tensors(*out.index, config));
    add_config(config, out.head);
    WEIR_TRY_ASSIGN(out.tensors, gguf_tensors(*out.index, config));
    WEIR_TRY_ASSIGN(const TransformerConfig made, read_back(out));
    // RoBERTa's positions begin at 0 there, and a padding token inside a text counts as any other:
    // it stands in no text of its own.
    TransformerConfig said = config;
    said.padding.reset();
    WEIR_TRY(check_same_config(said, made, "GGUF"));
    out.layers = config.layers;
    out.experts = config.moe ? config.moe->router.experts : 0;
    out.shares_values = config.layer.front().kv_heads != config.heads;
    return out;
}

Result<void> write_rows(const OutputTensor& tensor, DType to, kernels::ThreadPool& pool,
                        const ByteSink& sink) {
    WEIR_TRY_ASSIGN(const uint64_t stride, tensor::row_bytes(to, tensor.columns()));
    WEIR_TRY_ASSIGN(const RowReader read, tensor.open());
    const uint64_t rows = tensor.rows();
    const uint64_t piece = std::max<uint64_t>(1, kPieceElements / tensor.columns());
    std::vector<std::byte> bytes;
    for (uint64_t begin = 0; begin < rows; begin += piece) {
        const uint64_t count = std::min(piece, rows - begin);
        bytes.resize(static_cast<size_t>(count * stride));
        std::atomic<bool> finite = true;
        pool.parallel_for(static_cast<size_t>(count), [&](size_t first, size_t last) {
            const auto part = std::span(bytes).subspan(first * stride, (last - first) * stride);
            if (!convert_rows(tensor, read, to, begin + first, begin + last, part)) {
                finite = false;
            }
        });
        if (!finite) {
            return data_corrupt("tensor {}: a number is not finite", tensor.name);
        }
        WEIR_TRY(sink(bytes));
    }
    return {};
}

Result<void> write_gguf(const GgufContents& contents, kernels::ThreadPool& pool,
                        const ByteSink& sink, const Progress& progress) {
    GgufHead head = contents.head;
    head.add_u32("general.file_type", file_type_of(contents.tensors));
    uint64_t total = 0;
    for (const OutputTensor& tensor : contents.tensors) {
        WEIR_TRY(head.add_tensor(tensor.name, tensor.shape, tensor.dtype));
        WEIR_TRY_ASSIGN(const uint64_t stride, tensor::row_bytes(tensor.dtype, tensor.columns()));
        total += stride * tensor.rows();
    }
    WEIR_TRY(sink(head.finish()));
    uint64_t done = 0;
    for (const OutputTensor& tensor : contents.tensors) {
        WEIR_TRY(write_rows(tensor, tensor.dtype, pool, sink));
        WEIR_TRY_ASSIGN(const uint64_t stride, tensor::row_bytes(tensor.dtype, tensor.columns()));
        WEIR_TRY(sink(gguf_padding(stride * tensor.rows())));
        done += stride * tensor.rows();
        progress(done, total);
    }
    return {};
}

}  // namespace weir::model
