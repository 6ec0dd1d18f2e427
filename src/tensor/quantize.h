#pragma once

#include <cstddef>
#include <span>

#include "tensor/dtype.h"
#include "tensor/matrix_view.h"

namespace weir::tensor {

// Plain conversions of one row, the meaning of every type in code. Kernels have their own faster
// ways and are tested against these.

// Packs `values` (whole blocks, finite) into `row` of exactly row_bytes(dtype, values.size()).
// The quantized types take, per block, the scale that the largest element needs; the error of an
// element is at most one step or so of its block (quantize_test.cpp has the bounds). Smaller errors
// for more time: quantize_search.h. F8_E4M3 gets no scales: what is beyond 448 becomes 448.
void quantize_row(DType dtype, std::span<const float> values, std::span<std::byte> row);

// Unpacks a row of out.size() elements (whole blocks). F8_E4M3 without its scales.
void dequantize_row(DType dtype, const std::byte* row, std::span<float> out);

// Unpacks a row of a matrix, scales included; out has matrix.columns elements.
void dequantize_row(const MatrixView& matrix, size_t row, std::span<float> out);

}  // namespace weir::tensor
