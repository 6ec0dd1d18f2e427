#include "model/weight_binder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "model/packed_tensors.h"
#include "model/shape_text.h"
#include "tensor/quantize.h"

namespace weir::model {

namespace {

bool is_aligned(std::span<const std::byte> bytes, size_t alignment) {
    return reinterpret_cast<uintptr_t>(bytes.data()) % alignment == 0;
}

}  // namespace

void WeightBinder::enter_layer(uint32_t layer) {
    prefix_ = fmt::format("blk.{}.", layer);
}

const StoredTensor* WeightBinder::peek(std::string_view name) const {
    return index_.find(prefix_ + std::string(name));
}

Result<const StoredTensor*> WeightBinder::take(std::string_view name,
                                               std::span<const uint64_t> shape) {
    WEIR_TRY_ASSIGN(const StoredTensor* tensor, take_stored(name, shape));
    if (tensor->packing != WeightPacking::None) {
        return unsupported("tensor {}: a packed tensor is not supported here", tensor->name);
    }
    return tensor;
}

Result<const StoredTensor*> WeightBinder::take_stored(std::string_view name,
                                                      std::span<const uint64_t> shape) {
    const StoredTensor* tensor = peek(name);
    if (tensor == nullptr) {
        return data_corrupt("tensor {} is missing", index_.file_name(prefix_ + std::string(name)));
    }
    if (!tensor->dtype) {
        return unsupported("tensor {}: type {} is not supported by this build", tensor->name,
                           tensor->type);
    }
    if (!std::ranges::equal(tensor->shape, shape)) {
        return data_corrupt("tensor {}: shape {}, but the config says {}", tensor->name,
                            shape_text(tensor->shape), shape_text(shape));
    }
    WEIR_TRY(check_parts(*tensor));
    used_.insert(std::string(tensor->name));
    counts_.parameters += tensor->elements();
    return tensor;
}

void WeightBinder::ignore_layer(uint32_t layer) {
    // The beginning of its tensors' names, by one that every layer has.
    const std::string any = index_.file_name(fmt::format("blk.{}.attn_norm.weight", layer));
    const std::string number = fmt::format(".{}.", layer);
    ignore_prefix(any.substr(0, any.find(number) + number.size()));
}

void WeightBinder::ignore(std::string_view name) {
    used_.insert(index_.file_name(prefix_ + std::string(name)));
}

void WeightBinder::ignore_prefix(std::string_view prefix) {
    for (const StoredTensor& tensor : index_.tensors()) {
        if (tensor.name.starts_with(prefix)) {
            used_.insert(std::string(tensor.name));
        }
    }
}

Result<tensor::MatrixView> WeightBinder::matrix(std::string_view name, uint64_t rows,
                                                uint64_t columns) {
    const std::array<uint64_t, 2> shape = {rows, columns};
    WEIR_TRY_ASSIGN(const StoredTensor* tensor, take_stored(name, shape));
    return view_of(*tensor, rows, columns);
}

Result<tensor::MatrixView> WeightBinder::stack(std::string_view name, uint64_t count, uint64_t rows,
                                               uint64_t columns) {
    const std::array<uint64_t, 3> shape = {count, rows, columns};
    WEIR_TRY_ASSIGN(const StoredTensor* tensor, take_stored(name, shape));
    return view_of(*tensor, count * rows, columns);
}

Result<tensor::MatrixView> WeightBinder::view_of(const StoredTensor& tensor, uint64_t rows,
                                                 uint64_t columns) {
    counts_.all_float32 = counts_.all_float32 && tensor.dtype == tensor::DType::F32;
    WEIR_TRY_ASSIGN(const auto bytes, rows_of(tensor));
    tensor::TileScales scales;
    if (tensor.packing == WeightPacking::F8Tiles) {
        const StoredTensor& part = tensor.parts.front();
        scales = {reinterpret_cast<const float*>(in_place_or_copied(part).data()),
                  static_cast<size_t>(part.shape.back()), 0};
    }
    if (purpose_ == Purpose::Count) {
        // The reader has checked the size, and nobody will read a number.
        WEIR_TRY_ASSIGN(const uint64_t stride, tensor::row_bytes(*tensor.dtype, columns));
        return tensor::MatrixView{*tensor.dtype, static_cast<size_t>(rows),
                                  static_cast<size_t>(columns), static_cast<size_t>(stride),
                                  bytes.data()};
    }
    auto view = tensor::MatrixView::over(*tensor.dtype, rows, columns, bytes);
    if (!view) {
        return std::unexpected(
            std::move(view).error().with_context(fmt::format("tensor {}", tensor.name)));
    }
    view->scales = scales;
    return view;
}

// A matrix's rows where they lie, or repacked.
Result<std::span<const std::byte>> WeightBinder::rows_of(const StoredTensor& tensor) {
    if (!is_repacked(tensor)) {
        return in_place_or_copied(tensor);
    }
    WEIR_TRY_ASSIGN(const uint64_t bytes, repacked_bytes(tensor));
    const std::span<std::byte> memory = own(bytes);
    if (!memory.empty()) {
        WEIR_TRY(repack(tensor, memory));
    }
    return std::span<const std::byte>(memory);
}

Result<std::span<const float>> WeightBinder::vector(std::string_view name, uint64_t length) {
    const std::array<uint64_t, 1> shape = {length};
    return widened(name, shape);
}

Result<std::span<const float>> WeightBinder::table(std::string_view name, uint64_t rows,
                                                   uint64_t columns) {
    const std::array<uint64_t, 2> shape = {rows, columns};
    return widened(name, shape);
}

Result<std::span<const float>> WeightBinder::convolution(std::string_view name, uint64_t channels,
                                                         uint64_t taps) {
    const StoredTensor* tensor = peek(name);
    if (tensor == nullptr || tensor->shape.size() == 2) {
        return table(name, channels, taps);
    }
    const std::array<uint64_t, 3> shape = {channels, 1, taps};
    return widened(name, shape);
}

Result<std::span<const float>> WeightBinder::widened(std::string_view name,
                                                     std::span<const uint64_t> shape) {
    WEIR_TRY_ASSIGN(const StoredTensor* tensor, take(name, shape));
    const auto count = static_cast<size_t>(tensor->elements());
    if (tensor->dtype == tensor::DType::F32) {
        const auto bytes = in_place_or_copied(*tensor);
        return is_aligned(bytes, alignof(float))
                   ? std::span(reinterpret_cast<const float*>(bytes.data()), count)
                   : std::span<const float>();
    }
    const std::span floats = own_floats(count);
    if (floats.empty()) {
        return std::span<const float>();
    }
    // Blocks are read as they lie, so an unaligned one is copied for a moment.
    std::vector<std::byte> copy;
    const std::byte* source = tensor->bytes.data();
    if (!is_aligned(tensor->bytes, tensor::alignment(*tensor->dtype))) {
        copy.assign(tensor->bytes.begin(), tensor->bytes.end());
        source = copy.data();
    }
    tensor::dequantize_row(*tensor->dtype, source, floats);
    return std::span<const float>(floats);
}

Result<std::span<const float>> WeightBinder::head_vectors(std::string_view stem, uint64_t heads,
                                                          uint64_t length) {
    const std::string whole = fmt::format("{}.weight", stem);
    if (has(whole)) {
        return table(whole, heads, length);
    }
    const std::span floats = own_floats(heads * length);
    for (uint64_t head = 0; head < heads; ++head) {
        WEIR_TRY_ASSIGN(const auto one, vector(fmt::format("{}.{}.weight", stem, head), length));
        if (!floats.empty()) {
            std::ranges::copy(one, floats.subspan(head * length, length).begin());
        }
    }
    return std::span<const float>(floats);
}

Result<Linear> WeightBinder::linear(std::string_view stem, uint64_t rows, uint64_t columns,
                                    BiasRule rule) {
    Linear out;
    WEIR_TRY_ASSIGN(out.weight, matrix(fmt::format("{}.weight", stem), rows, columns));
    const std::string bias = fmt::format("{}.bias", stem);
    if (rule == BiasRule::Always || (rule == BiasRule::IfPresent && has(bias))) {
        WEIR_TRY_ASSIGN(out.bias, vector(bias, rows));
    }
    return out;
}

Result<Norm> WeightBinder::norm(std::string_view stem, uint64_t length) {
    Norm out{.kind = config_.norm, .epsilon = config_.norm_epsilon};
    WEIR_TRY_ASSIGN(out.weight, vector(fmt::format("{}.weight", stem), length));
    if (config_.norm_offset != 0) {
        const std::span floats = own_floats(length);
        for (size_t i = 0; i < floats.size(); ++i) {
            floats[i] = out.weight[i] + config_.norm_offset;
        }
        out.weight = floats;
    }
    const std::string bias = fmt::format("{}.bias", stem);
    if (config_.norm_bias == BiasRule::Always ||
        (config_.norm_bias == BiasRule::IfPresent && has(bias))) {
        WEIR_TRY_ASSIGN(out.bias, vector(bias, length));
    }
    return out;
}

std::span<std::byte> WeightBinder::own(uint64_t bytes) {
    counts_.copied_bytes += bytes;
    return purpose_ == Purpose::Bind ? std::span(owned_.emplace_back(static_cast<size_t>(bytes)))
                                     : std::span<std::byte>();
}

std::span<float> WeightBinder::own_floats(uint64_t count) {
    const std::span<std::byte> memory = own(count * sizeof(float));
    return {reinterpret_cast<float*>(memory.data()), memory.size() / sizeof(float)};
}

// The bytes where they lie, or a copy if they are not aligned as their type needs: old safetensors
// do not pad their header, and memory need not be aligned. Where this only counts, the bytes as
// they lie all the same: nobody computes with them.
std::span<const std::byte> WeightBinder::in_place_or_copied(const StoredTensor& tensor) {
    const std::span<const std::byte> bytes = tensor.bytes;
    if (is_aligned(bytes, tensor::alignment(*tensor.dtype))) {
        counts_.mapped_bytes += bytes.size();
        return bytes;
    }
    const std::span<std::byte> copy = own(bytes.size());
    if (copy.empty()) {
        return bytes;
    }
    std::memcpy(copy.data(), bytes.data(), bytes.size());
    return copy;
}

Result<void> WeightBinder::refuse_unbound() const {
    for (const StoredTensor& tensor : index_.tensors()) {
        const bool means_nothing = tensor.name.ends_with(".rotary_emb.inv_freq");  // derived
        if (!means_nothing && !used_.contains(tensor.name)) {
            return unsupported("tensor {}: not a part of a {} model with this config", tensor.name,
                               config_.architecture);
        }
    }
    return {};
}

}  // namespace weir::model
