#include "model/gguf_output.h"

#include <array>
#include <cstring>

#include "base/bytes.h"

namespace weir::model {

namespace {

constexpr size_t kDimensionsMax = 4;
constexpr size_t kNameBytesMax = 63;

template <typename T>
void put(std::vector<std::byte>& out, T value) {
    const size_t at = out.size();
    out.resize(at + sizeof(T));
    std::memcpy(out.data() + at, &value, sizeof(T));
}

void put_bytes(std::vector<std::byte>& out, std::span<const std::byte> bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
}

void put_text(std::vector<std::byte>& out, std::string_view text) {
    put<uint64_t>(out, text.size());
    put_bytes(out, std::as_bytes(std::span(text.data(), text.size())));
}

}  // namespace

void GgufHead::add(const GgufEntry& entry) {
    put_text(entries_, entry.key);
    put(entries_, static_cast<uint32_t>(entry.type));
    if (entry.type == GgufValueType::String) {
        put<uint64_t>(entries_, entry.payload.size());
    } else if (entry.type == GgufValueType::Array) {
        put(entries_, static_cast<uint32_t>(entry.element));
        put<uint64_t>(entries_, entry.count);
    }
    put_bytes(entries_, entry.payload);
    ++entry_count_;
}

void GgufHead::add_u32(std::string_view key, uint32_t value) {
    add({.key = key, .type = GgufValueType::U32, .payload = std::as_bytes(std::span(&value, 1))});
}

void GgufHead::add_f32(std::string_view key, float value) {
    add({.key = key, .type = GgufValueType::F32, .payload = std::as_bytes(std::span(&value, 1))});
}

void GgufHead::add_bool(std::string_view key, bool value) {
    const std::byte byte{value ? uint8_t{1} : uint8_t{0}};
    add({.key = key, .type = GgufValueType::Bool, .payload = std::span(&byte, 1)});
}

void GgufHead::add_text(std::string_view key, std::string_view value) {
    add({.key = key,
         .type = GgufValueType::String,
         .payload = std::as_bytes(std::span(value.data(), value.size()))});
}

void GgufHead::add_array(std::string_view key, GgufValueType element, uint64_t count,
                         std::span<const std::byte> payload) {
    add({.key = key,
         .type = GgufValueType::Array,
         .element = element,
         .count = count,
         .payload = payload});
}

void GgufHead::add_bytes(std::string_view key, std::span<const std::byte> value) {
    add_array(key, GgufValueType::U8, value.size(), value);
}

void GgufHead::add_u32s(std::string_view key, std::span<const uint32_t> values) {
    add_array(key, GgufValueType::U32, values.size(), std::as_bytes(values));
}

void GgufHead::add_i32s(std::string_view key, std::span<const int32_t> values) {
    add_array(key, GgufValueType::I32, values.size(), std::as_bytes(values));
}

void GgufHead::add_f32s(std::string_view key, std::span<const float> values) {
    add_array(key, GgufValueType::F32, values.size(), std::as_bytes(values));
}

void GgufHead::add_bools(std::string_view key, const std::vector<bool>& values) {
    std::vector<std::byte> bytes;
    for (const bool value : values) {
        bytes.push_back(std::byte{value ? uint8_t{1} : uint8_t{0}});
    }
    add_array(key, GgufValueType::Bool, values.size(), bytes);
}

void GgufHead::add_texts(std::string_view key, std::span<const std::string_view> values) {
    std::vector<std::byte> bytes;
    for (const std::string_view value : values) {
        put_text(bytes, value);
    }
    add_array(key, GgufValueType::String, values.size(), bytes);
}

Result<void> GgufHead::add_tensor(std::string_view name, std::span<const uint64_t> shape,
                                  tensor::DType dtype) {
    const auto ggml_type = tensor::info(dtype).ggml_type;
    if (!ggml_type) {
        return fail(ErrorCode::InvalidArgument, "tensor {}: GGUF has no type {}", name,
                    tensor::name(dtype));
    }
    if (shape.empty() || shape.size() > kDimensionsMax || name.size() > kNameBytesMax) {
        return fail(ErrorCode::InvalidArgument,
                    "tensor {}: GGUF has names of up to {} bytes and up to {} dimensions", name,
                    kNameBytesMax, kDimensionsMax);
    }
    std::optional<uint64_t> bytes;
    WEIR_TRY_ASSIGN(bytes, tensor::row_bytes(dtype, shape.back()));
    put_text(tensors_, name);
    put(tensors_, static_cast<uint32_t>(shape.size()));
    for (size_t axis = shape.size(); axis > 0; --axis) {
        put<uint64_t>(tensors_, shape[axis - 1]);
        if (axis < shape.size()) {
            bytes = bytes ? checked_mul(*bytes, shape[axis - 1]) : std::nullopt;
        }
    }
    if (!bytes || *bytes > UINT64_MAX / 2 - data_bytes_) {
        return fail(ErrorCode::InvalidArgument, "tensor {}: too large to be counted", name);
    }
    put(tensors_, *ggml_type);
    put(tensors_, data_bytes_);
    data_bytes_ = align_up(data_bytes_ + *bytes, kAlignment);
    ++tensor_count_;
    return {};
}

std::vector<std::byte> GgufHead::finish() const {
    constexpr uint32_t kVersion = 3;
    std::vector<std::byte> out;
    const std::string_view magic = "GGUF";
    put_bytes(out, std::as_bytes(std::span(magic.data(), magic.size())));
    put(out, kVersion);
    put(out, tensor_count_);
    put(out, entry_count_);
    put_bytes(out, entries_);
    put_bytes(out, tensors_);
    put_bytes(out, gguf_padding(out.size()));
    return out;
}

std::span<const std::byte> gguf_padding(uint64_t bytes) {
    static constexpr std::array<std::byte, GgufHead::kAlignment> kZeros{};
    return std::span(kZeros).first(
        static_cast<size_t>(align_up(bytes, GgufHead::kAlignment) - bytes));
}

}  // namespace weir::model
