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

// avx2_quant.cpp
void matmul_q8_0(const MatmulPart& part);
void matmul_q4_0(const MatmulPart& part);
void matmul_q4_k(const MatmulPart& part);
void matmul_q6_k(const MatmulPart& part);

}  // namespace weir::kernels::avx2
