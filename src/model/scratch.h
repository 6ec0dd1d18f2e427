#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "kernels/activations.h"

namespace weir::model {

// One allocation, cut into arrays that start at multiples of 64 bytes. Reserved at load; what was
// taken after a mark is given back all at once.
class ScratchArena {
  public:
    static constexpr size_t kAlignment = 64;

    static constexpr uint64_t padded(uint64_t bytes) { return align_up(bytes, kAlignment); }

    explicit ScratchArena(uint64_t bytes)
        : lines_(static_cast<size_t>(padded(bytes)) / kAlignment) {}

    std::span<std::byte> take(uint64_t bytes);  // asserts that it fits
    std::span<float> take_floats(uint64_t count);
    template <typename T>
    std::span<T> take_array(size_t count) {
        return {reinterpret_cast<T*>(take(count * sizeof(T)).data()), count};
    }

    enum class Mark : size_t {};
    Mark mark() const { return Mark{used_}; }
    void rewind(Mark mark) { used_ = static_cast<size_t>(mark); }

  private:
    struct alignas(kAlignment) Line {
        std::array<std::byte, kAlignment> bytes;
    };
    std::vector<Line> lines_;
    size_t used_ = 0;  // lines
};

// What arrays take there.
template <typename T>
constexpr uint64_t array_bytes(uint64_t count) {
    return ScratchArena::padded(count * sizeof(T));
}
constexpr uint64_t float_bytes(uint64_t rows, uint64_t width = 1) {
    return array_bytes<float>(rows * width);
}
// Rows that are made ready for a product.
inline uint64_t quantized_bytes(size_t rows, size_t width) {
    return ScratchArena::padded(kernels::Activations::scratch_bytes(rows, width));
}

}  // namespace weir::model
