#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "kernels/kernel_set.h"
#include "model/config.h"

namespace weir::model {

// An RMSNorm, or a LayerNorm (mean subtracted) with or without a bias.
struct Norm {
    NormKind kind = NormKind::Rms;
    std::span<const float> weight;  // [columns]; empty: ones
    std::span<const float> bias;    // [columns]; empty: none
    float epsilon = 0;
};

// out = norm of every row of x, [rows, columns] both; may be the same memory.
void apply(const kernels::Compute& compute, const Norm& norm, const float* x, size_t rows,
           size_t columns, float* out);

}  // namespace weir::model
