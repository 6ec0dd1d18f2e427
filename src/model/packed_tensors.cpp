#include "model/packed_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "json/fields.h"
#include "model/shape_text.h"
#include "tensor/blocks.h"
#include "tensor/float16.h"
#include "tensor/matrix_view.h"

namespace weir::model {

namespace {

using tensor::BlockMXFP4;
using tensor::BlockQ4_G128;
using tensor::DType;

constexpr uint64_t kWordElements = 8;  // of four bits in an I32
constexpr uint64_t kGroup = BlockQ4_G128::kElements;
constexpr uint64_t kMxfp4Block = BlockMXFP4::kElements;
constexpr uint64_t kTile = tensor::TileScales::kTile;

// The places of parts in StoredTensor::parts.
enum Part : size_t { kScales = 0, kZeros = 1, kGroups = 2 };

bool is_words(WeightPacking packing) {
    return packing == WeightPacking::Gptq || packing == WeightPacking::GptqV2 ||
           packing == WeightPacking::Awq;
}

std::string_view without_ending(std::string_view name, std::string_view ending) {
    return name.ends_with(ending) ? name.substr(0, name.size() - ending.size())
                                  : std::string_view();
}

// ---- quantization_config ------------------------------------------------------------------------

template <typename T>
Result<void> require(json::Fields& fields, std::string_view name, bool is_right, const T& found) {
    if (is_right) {
        return {};
    }
    return unsupported("{}: {} is not supported", fields.path_of(name), found);
}

Result<void> require_four_bits(json::Fields& fields) {
    int64_t bits = 0;
    WEIR_TRY(fields.read("bits", json::in_range(int64_t{0}, int64_t{64}), bits));
    WEIR_TRY(require(fields, "bits", bits == 4, bits));
    int64_t group = -1;
    WEIR_TRY(fields.read("group_size", json::in_range(int64_t{-1}, int64_t{1} << 32), group));
    const auto whole = static_cast<int64_t>(kGroup);
    return require(fields, "group_size", group == -1 || (group > 0 && group % whole == 0), group);
}

Result<WeightPacking> read_gptq(json::Fields& fields) {
    WEIR_TRY(require_four_bits(fields));
    std::string format = "gptq";
    WEIR_TRY(fields.read("checkpoint_format", format));
    WEIR_TRY(require(fields, "checkpoint_format", format == "gptq" || format == "gptq_v2", format));
    bool marlin = false;
    WEIR_TRY(fields.read("is_marlin_format", marlin));
    WEIR_TRY(require(fields, "is_marlin_format", !marlin, "true"));
    WEIR_TRY_ASSIGN(const json::Object* dynamic, fields.object("dynamic"));
    WEIR_TRY(require(fields, "dynamic", dynamic == nullptr || dynamic->empty(),
                     "another precision for some modules"));
    return format == "gptq" ? WeightPacking::Gptq : WeightPacking::GptqV2;
}

Result<WeightPacking> read_awq(json::Fields& fields) {
    WEIR_TRY(require_four_bits(fields));
    std::string version = "gemm";
    WEIR_TRY(fields.read("version", version));
    WEIR_TRY(require(fields, "version", version == "gemm" || version == "GEMM", version));
    bool zero_point = true;
    WEIR_TRY(fields.read("zero_point", zero_point));
    WEIR_TRY(require(fields, "zero_point", zero_point, "false"));
    return WeightPacking::Awq;
}

Result<WeightPacking> read_fp8(json::Fields& fields) {
    std::string format = "e4m3";
    WEIR_TRY(fields.read("fmt", format));
    WEIR_TRY(require(fields, "fmt", format == "e4m3", format));
    std::string scheme = "dynamic";
    WEIR_TRY(fields.read("activation_scheme", scheme));
    WEIR_TRY(require(fields, "activation_scheme", scheme == "dynamic", scheme));
    WEIR_TRY_ASSIGN(const json::Array* block, fields.array("weight_block_size"));
    const json::Value tile(static_cast<int64_t>(kTile));
    const bool is_tile = block != nullptr && *block == json::Array{tile, tile};
    WEIR_TRY(require(fields, "weight_block_size", is_tile, "anything but [128, 128]"));
    return WeightPacking::F8Tiles;
}

// ---- checks -------------------------------------------------------------------------------------

Result<void> check_part(const StoredTensor& tensor, size_t index, std::string_view type,
                        std::span<const uint64_t> shape) {
    constexpr std::array<std::string_view, 3> kNames = {"scales", "zero points", "group indices"};
    const StoredTensor& part = tensor.parts[index];
    if (part.name.empty()) {
        return data_corrupt("tensor {}: it has no {} beside it", tensor.name, kNames[index]);
    }
    if (part.type != type) {
        return unsupported("tensor {}: type {}, where {} is known", part.name, part.type, type);
    }
    if (!std::ranges::equal(part.shape, shape)) {
        return data_corrupt("tensor {}: shape {}, but {} needs {}", part.name,
                            shape_text(part.shape), tensor.name, shape_text(shape));
    }
    return {};
}

Result<void> check_words(const StoredTensor& tensor) {
    const uint64_t rows = tensor.shape[0];
    const uint64_t columns = tensor.shape[1];
    const StoredTensor& scales = tensor.parts[kScales];
    if (scales.name.empty() || scales.shape.size() != 2 || scales.shape[0] == 0) {
        return data_corrupt("tensor {}: it has no scales [groups, {}] beside it", tensor.name,
                            rows);
    }
    const uint64_t groups = scales.shape[0];
    if (columns % groups != 0 || columns / groups % kGroup != 0) {
        return unsupported("tensor {}: {} groups of {} inputs; a group must be a multiple of {}",
                           scales.name, groups, columns, kGroup);
    }
    const std::array<uint64_t, 2> of_scales = {groups, rows};
    const bool is_known = scales.type == "F16" || scales.type == "BF16" || scales.type == "F32";
    WEIR_TRY(check_part(tensor, kScales, is_known ? scales.type : "F16", of_scales));
    const std::array<uint64_t, 2> of_zeros = {groups, rows / kWordElements};
    WEIR_TRY(check_part(tensor, kZeros, "I32", of_zeros));
    if (tensor.packing != WeightPacking::Awq && !tensor.parts[kGroups].name.empty()) {
        const std::array<uint64_t, 1> of_groups = {columns};
        WEIR_TRY(check_part(tensor, kGroups, "I32", of_groups));
    }
    return {};
}

Result<void> check_mxfp4(const StoredTensor& tensor) {
    std::vector<uint64_t> shape = tensor.shape;
    shape.back() /= kMxfp4Block;
    return check_part(tensor, kScales, "U8", shape);
}

Result<void> check_tiles(const StoredTensor& tensor) {
    if (tensor.shape.size() != 2) {
        return unsupported("tensor {}: shape {}; scales of tiles are known for matrices",
                           tensor.name, shape_text(tensor.shape));
    }
    const std::array<uint64_t, 2> shape = {(tensor.shape[0] + kTile - 1) / kTile,
                                           (tensor.shape[1] + kTile - 1) / kTile};
    return check_part(tensor, kScales, "F32", shape);
}

// ---- repacking ----------------------------------------------------------------------------------

uint32_t word_at(const StoredTensor& tensor, uint64_t index) {
    return load_le<uint32_t>(tensor.bytes.data() + 4 * index);
}

// The eight nibbles of a word as the bytes of a longer one, in order.
uint64_t spread(uint32_t word) {
    uint64_t x = word;
    x = (x | (x << 16)) & 0x0000ffff0000ffffu;
    x = (x | (x << 8)) & 0x00ff00ff00ff00ffu;
    return (x | (x << 4)) & 0x0f0f0f0f0f0f0f0fu;
}

// Thirty-two nibbles in order, as the sixteen bytes that blocks keep them in: element j low,
// element j + 16 high.
void put_nibbles(const std::array<uint32_t, 4>& in_order, uint8_t* out) {
    for (size_t half = 0; half < 2; ++half) {
        const uint64_t bytes = spread(in_order[half]) | (spread(in_order[half + 2]) << 4);
        std::memcpy(out + 8 * half, &bytes, sizeof(bytes));
    }
}

// A scale as the float16 that the block keeps; nothing if that would round it.
std::optional<uint16_t> half_of(const StoredTensor& scales, uint64_t index) {
    const std::byte* data = scales.bytes.data();
    if (scales.type == "F16") {
        return load_le<uint16_t>(data + 2 * index);
    }
    const float value = scales.type == "BF16"
                            ? tensor::f32_from_bf16(load_le<uint16_t>(data + 2 * index))
                            : load_le<float>(data + 4 * index);
    const uint16_t half = tensor::f16_from_f32(value);
    return tensor::f32_from_f16(half) == value ? std::optional(half) : std::nullopt;
}

// Reads the words of one matrix, whichever order they have.
class Words {
  public:
    explicit Words(const StoredTensor& tensor)
        : tensor_(tensor),
          rows_(tensor.shape[0]),
          columns_(tensor.shape[1]),
          groups_(tensor.parts[kScales].shape[0]) {}

    Result<void> check_order() const {
        const StoredTensor& indices = tensor_.parts[kGroups];
        if (tensor_.packing == WeightPacking::Awq || indices.name.empty()) {
            return {};
        }
        for (uint64_t i = 0; i < columns_; ++i) {
            if (word_at(indices, i) != i / (columns_ / groups_)) {
                return unsupported(
                    "tensor {}: groups of inputs that are out of order (desc_act) are not "
                    "supported",
                    indices.name);
            }
        }
        return {};
    }

    // Scale and zero point of the block that begins at `column`.
    Result<void> put_header(uint64_t row, uint64_t column, BlockQ4_G128& block) const {
        const uint64_t group = column / (columns_ / groups_);
        const StoredTensor& scales = tensor_.parts[kScales];
        const auto half = half_of(scales, group * rows_ + row);
        if (!half) {
            return unsupported("tensor {}: a scale that no float16 holds", scales.name);
        }
        block.d = *half;
        const uint32_t word =
            word_at(tensor_.parts[kZeros], group * (rows_ / kWordElements) + row / kWordElements);
        const uint32_t zero = (word >> (4 * place(row % kWordElements))) & 15;
        block.zero = static_cast<uint8_t>(zero + (tensor_.packing == WeightPacking::Gptq ? 1 : 0));
        return {};
    }

    // The nibbles of columns [column, column + 32) of the eight rows from `row`.
    std::array<std::array<uint32_t, 4>, kWordElements> nibbles(uint64_t row,
                                                               uint64_t column) const {
        std::array<std::array<uint32_t, 4>, kWordElements> out{};
        if (tensor_.packing != WeightPacking::Awq) {
            for (size_t w = 0; w < 4; ++w) {
                for (size_t r = 0; r < kWordElements; ++r) {
                    out[r][w] = word_at(tensor_, (column / kWordElements + w) * rows_ + row + r);
                }
            }
            return out;
        }
        for (size_t j = 0; j < 32; ++j) {
            const uint32_t word =
                word_at(tensor_, (column + j) * (rows_ / kWordElements) + row / kWordElements);
            for (size_t r = 0; r < kWordElements; ++r) {
                out[r][j / 8] |= ((word >> (4 * place(r))) & 15) << (4 * (j % 8));
            }
        }
        return out;
    }

  private:
    // Where the number of output `r` of eight stands in a word.
    size_t place(uint64_t r) const {
        constexpr std::array<size_t, 8> kAwq = {0, 4, 1, 5, 2, 6, 3, 7};
        return tensor_.packing == WeightPacking::Awq ? kAwq[r] : r;
    }

    const StoredTensor& tensor_;
    const uint64_t rows_;
    const uint64_t columns_;
    const uint64_t groups_;
};

Result<void> repack_words(const StoredTensor& tensor, std::span<std::byte> out) {
    const Words words(tensor);
    WEIR_TRY(words.check_order());
    const uint64_t blocks = tensor.shape[1] / kGroup;
    for (uint64_t row = 0; row < tensor.shape[0]; row += kWordElements) {
        for (uint64_t b = 0; b < blocks; ++b) {
            std::array<BlockQ4_G128, kWordElements> made{};
            for (size_t r = 0; r < kWordElements; ++r) {
                WEIR_TRY(words.put_header(row + r, b * kGroup, made[r]));
            }
            for (size_t s = 0; s < kGroup / 32; ++s) {
                const auto nibbles = words.nibbles(row, b * kGroup + 32 * s);
                for (size_t r = 0; r < kWordElements; ++r) {
                    put_nibbles(nibbles[r], made[r].q + 16 * s);
                }
            }
            for (size_t r = 0; r < kWordElements; ++r) {
                std::memcpy(out.data() + ((row + r) * blocks + b) * sizeof(BlockQ4_G128), &made[r],
                            sizeof(BlockQ4_G128));
            }
        }
    }
    return {};
}

void repack_mxfp4(const StoredTensor& tensor, std::span<std::byte> out) {
    const std::span<const std::byte> exponents = tensor.parts[kScales].bytes;
    for (size_t b = 0; b < exponents.size(); ++b) {
        BlockMXFP4 block{};
        block.exponent = static_cast<uint8_t>(exponents[b]);
        std::array<uint32_t, 4> in_order{};
        std::memcpy(in_order.data(), tensor.bytes.data() + 16 * b, 16);
        put_nibbles(in_order, block.q);
        std::memcpy(out.data() + b * sizeof(block), &block, sizeof(block));
    }
}

// ---- joining ------------------------------------------------------------------------------------

// Takes the tensors that are parts of others away from the rest.
class Joiner {
  public:
    Joiner(WeightPacking packing, std::vector<StoredTensor>& tensors)
        : packing_(packing), tensors_(tensors), is_part_(tensors.size(), false) {}

    void join() {
        for (StoredTensor& tensor : tensors_) {
            if (is_words(packing_)) {
                join_words(tensor);
            } else if (packing_ == WeightPacking::Mxfp4) {
                join_mxfp4(tensor);
            } else if (tensor.dtype == DType::F8_E4M3) {
                tensor.packing = packing_;
                tensor.parts = {take(fmt::format("{}_scale_inv", tensor.name))};
            }
        }
        std::vector<StoredTensor> left;
        for (size_t i = 0; i < tensors_.size(); ++i) {
            if (!is_part_[i]) {
                left.push_back(std::move(tensors_[i]));
            }
        }
        tensors_ = std::move(left);
    }

  private:
    void join_words(StoredTensor& tensor) {
        const std::string_view stem = without_ending(tensor.name, "qweight");
        if (stem.empty() || tensor.type != "I32" || tensor.shape.size() != 2) {
            return;
        }
        const bool awq = packing_ == WeightPacking::Awq;
        const auto rows = checked_mul(tensor.shape[1], awq ? kWordElements : 1);
        const auto columns = checked_mul(tensor.shape[0], awq ? 1 : kWordElements);
        if (!rows || !columns || *rows % kWordElements != 0) {
            return;
        }
        tensor.packing = packing_;
        tensor.dtype = DType::Q4_G128;
        tensor.shape = {*rows, *columns};
        tensor.parts = {take(fmt::format("{}scales", stem)), take(fmt::format("{}qzeros", stem)),
                        take(fmt::format("{}g_idx", stem))};
    }

    void join_mxfp4(StoredTensor& tensor) {
        const std::string_view stem = without_ending(tensor.name, "_blocks");
        if (stem.empty() || tensor.type != "U8" || tensor.shape.size() < 3 ||
            tensor.shape.back() != kMxfp4Block / 2) {
            return;
        }
        tensor.packing = packing_;
        tensor.dtype = DType::MXFP4;
        tensor.shape.pop_back();
        tensor.shape.back() *= kMxfp4Block;  // two elements in each byte that there is
        tensor.parts = {take(fmt::format("{}_scales", stem))};
    }

    // A copy of the tensor, which is then nobody else's; without a name if there is none.
    StoredTensor take(const std::string& name) {
        const auto at =
            std::ranges::lower_bound(tensors_, std::string_view(name), {}, &StoredTensor::name);
        if (at == tensors_.end() || at->name != name) {
            return {};
        }
        is_part_[static_cast<size_t>(at - tensors_.begin())] = true;
        return *at;
    }

    const WeightPacking packing_;
    std::vector<StoredTensor>& tensors_;
    std::vector<bool> is_part_;
};

}  // namespace

Result<WeightPacking> read_weight_packing(const json::Object& config) {
    const json::Value* value = config.find("quantization_config");
    if (value == nullptr || value->is_null()) {
        return WeightPacking::None;
    }
    WEIR_TRY_ASSIGN(json::Fields fields,
                    json::Fields::of(*value, "config.json.quantization_config"));
    WEIR_TRY_ASSIGN(const std::string method, fields.require_string("quant_method"));
    if (method == "gptq") {
        return read_gptq(fields);
    }
    if (method == "awq") {
        return read_awq(fields);
    }
    if (method == "fp8") {
        return read_fp8(fields);
    }
    if (method == "mxfp4") {
        return WeightPacking::Mxfp4;
    }
    return unsupported("{}: \"{}\" is not supported; gptq, awq, fp8 and mxfp4 are",
                       fields.path_of("quant_method"), method);
}

void join_parts(WeightPacking packing, std::vector<StoredTensor>& tensors) {
    if (packing != WeightPacking::None) {
        Joiner(packing, tensors).join();
    }
}

std::string packed_name(std::string_view name) {
    constexpr std::string_view kWeight = ".weight";
    return name.ends_with(kWeight)
               ? fmt::format("{}.qweight", name.substr(0, name.size() - kWeight.size()))
               : fmt::format("{}_blocks", name);
}

Result<void> check_parts(const StoredTensor& tensor) {
    switch (tensor.packing) {
        case WeightPacking::None:
            if (tensor.dtype == DType::F8_E4M3) {
                return unsupported(
                    "tensor {}: F8_E4M3, but config.json has no quantization_config that says how "
                    "it is scaled",
                    tensor.name);
            }
            return {};
        case WeightPacking::Gptq:
        case WeightPacking::GptqV2:
        case WeightPacking::Awq:
            return check_words(tensor);
        case WeightPacking::Mxfp4:
            return check_mxfp4(tensor);
        case WeightPacking::F8Tiles:
            return check_tiles(tensor);
    }
    WEIR_ASSERT(false);
}

bool is_repacked(const StoredTensor& tensor) {
    return tensor.packing != WeightPacking::None && tensor.packing != WeightPacking::F8Tiles;
}

Result<uint64_t> repacked_bytes(const StoredTensor& tensor) {
    uint64_t rows = 1;
    for (size_t axis = 0; axis + 1 < tensor.shape.size(); ++axis) {
        rows *= tensor.shape[axis];  // fewer than the bytes that there are
    }
    WEIR_TRY_ASSIGN(const uint64_t stride, tensor::row_bytes(*tensor.dtype, tensor.shape.back()));
    return rows * stride;
}

Result<void> repack(const StoredTensor& tensor, std::span<std::byte> out) {
    if (tensor.packing == WeightPacking::Mxfp4) {
        repack_mxfp4(tensor, out);
        return {};
    }
    return repack_words(tensor, out);
}

}  // namespace weir::model
