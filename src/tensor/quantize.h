#pragma once

#include <cstddef>
#include <span>

#include "tensor/dtype.h"

namespace weir::tensor {

// Plain conversions of one row, the meaning of every type in code. Kernels have their own faster
// ways and are tested against these.

// Packs `values` (whole blocks, finite) into `row` of exactly row_bytes(dtype, values.size()).
// The quantized types take, per block, the scale that the largest element needs; the error of an
// element is at most one step of its block (quantize_test.cpp has the bounds).
void quantize_row(DType dtype, std::span<const float> values, std::span<std::byte> row);

// Unpacks a row of out.size() elements (whole blocks).
void dequantize_row(DType dtype, const std::byte* row, std::span<float> out);

}  // namespace weir::tensor
