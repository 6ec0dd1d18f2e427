#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.h"

// The kernels for CPUs with AVX2, FMA and F16C.
namespace weir::kernels::avx2 {

// The members of the set that avx2_rows.cpp provides.
void set_rows(KernelSet& set);

// avx2_attention.cpp
void attention(const AttentionPart& part);

// The products with quantized weights: avx2_quant.cpp.
void set_quantized(KernelSet& set);

}  // namespace weir::kernels::avx2
