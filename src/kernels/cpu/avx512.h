#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.h"

// The kernels for CPUs with AVX-512 F, BW, DQ, VL and VNNI.
namespace weir::kernels::avx512 {

// The members of the set that avx512_rows.cpp provides.
void set_rows(KernelSet& set);

// avx512_attention.cpp
void attention(const AttentionPart& part);

// The products with quantized weights: avx512_quant.cpp.
void set_quantized(KernelSet& set);

}  // namespace weir::kernels::avx512
