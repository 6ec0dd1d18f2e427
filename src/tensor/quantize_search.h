#pragma once

#include <cstddef>
#include <span>

#include "tensor/dtype.h"

namespace weir::tensor {

// Packs `values` (whole blocks, finite) into `row` of exactly row_bytes(dtype, values.size()), as
// quantize_row does, but looks for the scales and minima with the smallest error instead of taking
// those that the largest element needs. For Q4_0, Q5_0, Q4_K, Q5_K and Q6_K, which `weir quantize`
// writes; all other types are packed by quantize_row.
//
// The error that is made small is sum of weight * (x - q(x))^2 with weight = |x| + root mean square
// of the block: large weights matter more, without a sample of activations to say how much.
void quantize_row_searched(DType dtype, std::span<const float> values, std::span<std::byte> row);

}  // namespace weir::tensor
