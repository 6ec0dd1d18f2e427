#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

#include "base/result.h"

namespace weir {

static_assert(std::endian::native == std::endian::little, "file formats here are little-endian");

// a * b, or nothing if it does not fit.
constexpr std::optional<uint64_t> checked_mul(uint64_t a, uint64_t b) {
    uint64_t product = 0;
    if (__builtin_mul_overflow(a, b, &product)) {
        return std::nullopt;
    }
    return product;
}

constexpr std::optional<uint64_t> checked_add(uint64_t a, uint64_t b) {
    uint64_t sum = 0;
    if (__builtin_add_overflow(a, b, &sum)) {
        return std::nullopt;
    }
    return sum;
}

// The next multiple of `alignment`. `bytes` is a size that exists or has been checked: the sum
// fits.
constexpr uint64_t align_up(uint64_t bytes, uint64_t alignment) {
    return (bytes + alignment - 1) / alignment * alignment;
}

// Reads a little-endian value at the front of `bytes`, which must be long enough.
template <typename T>
    requires std::is_trivially_copyable_v<T>
T load_le(const std::byte* bytes) {
    T value;
    std::memcpy(&value, bytes, sizeof(T));
    return value;
}

// A cursor over bytes from outside: every read is checked against what is left.
class ByteReader {
  public:
    explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

    size_t offset() const { return offset_; }
    size_t remaining() const { return bytes_.size() - offset_; }

    template <typename T>
        requires std::is_arithmetic_v<T>
    Result<T> read() {
        if (remaining() < sizeof(T)) {
            return data_corrupt("the file ends at byte {}, in the middle of a number",
                                bytes_.size());
        }
        const T value = load_le<T>(bytes_.data() + offset_);
        offset_ += sizeof(T);
        return value;
    }

    // A view into the underlying bytes, valid as long as they are.
    Result<std::span<const std::byte>> read_bytes(uint64_t count) {
        if (count > remaining()) {
            return data_corrupt("{} bytes are announced at byte {}, but {} are left", count,
                                offset_, remaining());
        }
        const auto view = bytes_.subspan(offset_, static_cast<size_t>(count));
        offset_ += static_cast<size_t>(count);
        return view;
    }

    Result<std::string_view> read_text(uint64_t count) {
        WEIR_TRY_ASSIGN(const auto view, read_bytes(count));
        return std::string_view(reinterpret_cast<const char*>(view.data()), view.size());
    }

  private:
    std::span<const std::byte> bytes_;
    size_t offset_ = 0;
};

}  // namespace weir
