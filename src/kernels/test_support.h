#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include "kernels/activations.h"
#include "kernels/kernel_set.h"
#include "tensor/matrix_view.h"
#include "tensor/quantize.h"

// What the tests and benchmarks of the kernels share.
namespace weir::kernels::testing {

inline std::vector<float> normal_values(size_t count, uint32_t seed, float deviation = 1.0f) {
    std::mt19937 engine(seed);
    std::normal_distribution<float> distribution(0.0f, deviation);
    std::vector<float> values(count);
    for (float& value : values) {
        value = distribution(engine);
    }
    return values;
}

// The same bits: tells -0 from 0, and holds for equal NaNs.
inline bool same_bits(std::span<const float> a, std::span<const float> b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

// Weights of any type, in memory of exactly their size, so that a sanitizer sees a read past them.
struct Weights {
    std::vector<std::byte> bytes;
    tensor::MatrixView view;

    Weights(tensor::DType dtype, size_t rows, size_t columns, uint32_t seed) {
        const size_t row = static_cast<size_t>(tensor::row_bytes(dtype, columns).value());
        bytes.resize(rows * row);
        const std::vector<float> values = normal_values(rows * columns, seed, 0.05f);
        for (size_t r = 0; r < rows; ++r) {
            tensor::quantize_row(dtype, std::span(values).subspan(r * columns, columns),
                                 std::span(bytes).subspan(r * row, row));
        }
        view = tensor::MatrixView::over(dtype, rows, columns, bytes).value();
    }
};

// Memory for Activations, at a multiple of 64.
class Scratch {
  public:
    Scratch(size_t rows, size_t columns)
        : bytes_(Activations::scratch_bytes(rows, columns) + kAlignment) {}

    std::span<std::byte> span() {
        void* start = bytes_.data();
        size_t space = bytes_.size();
        std::align(kAlignment, space - kAlignment, start, space);
        return {static_cast<std::byte*>(start), space};
    }

  private:
    static constexpr size_t kAlignment = 64;
    std::vector<std::byte> bytes_;
};

}  // namespace weir::kernels::testing
