#pragma once

#include <cstddef>
#include <span>

#include "kernels/activations.h"
#include "kernels/kernel_set.h"
#include "tensor/matrix_view.h"

// out[r][o] = sum over i of x[r][i] * weight[o][i]
//
// Every output element is one reduction in one fixed order, which depends on the weight's type and
// the number of columns and on nothing else: not on the batch, the row's place in it, the number
// of threads or the variant of the kernels. The order (reference/matmul.cpp is the specification):
//
//   F32, F16, BF16   sixteen partial sums, sum[l] = fma(w[i], x[i], sum[l]) for i = l, l + 16, …;
//                    a last part of fewer than sixteen columns is filled up with zeros; then
//                    folded in halves: l += l + 8, l += l + 4, l += l + 2, l += l + 1.
//   F8_E4M3          as F32, with w[i] = (8-bit float) * scale, rounded.
//   Q4_G128          as F32, with w[i] = d * (q - zero), exact: zero points may lie anywhere, and
//                    then rounded activations cost more than the four bits of the weights.
//   Q8_0, Q4_0, Q5_0, IQ4_NL, MXFP4
//                    per block of 32 the exact integer S = sum of q * a, then
//                    acc = fma(S, dw * da, acc), block after block. q is what is multiplied with
//                    the scale in tensor/blocks.h: the offset taken away, the value in the table;
//                    of MXFP4 the doubled one, with half the scale.
//   Q4_1, Q5_1       likewise, and after it acc = fma(sum of a, m * da, acc).
//   Q4_K             per block of 256 the exact integers S0, S1 = sum of scale * q * a over the
//                    first and second 128 elements, M = sum of minimum * a; then
//                    acc = fma(S0, dw * da, acc), acc = fma(S1, dw * da, acc),
//                    acc = fma(-M, dmin * da, acc).
//   Q5_K             likewise, with four sums of 64 elements, S0 … S3.
//   Q6_K, Q3_K, IQ4_XS
//                    per block of 256 the exact integer S = sum of scale * q * a, q without its
//                    offset or as its table says, then acc = fma(S, dw * da, acc).
//   Q2_K             likewise, and after it acc = fma(-M, dmin * da, acc) as Q4_K.
//
// a and da are the quantized activations (activations.h). All integers above fit in 32 bits; those
// of blocks of 32, Q2_K, Q3_K, Q4_K and Q5_K in a float32 without rounding, those of Q6_K and
// IQ4_XS are rounded once.
namespace weir::kernels {

// One product of several with the same activations: `out` is [rows, weight.rows] with `out_stride`
// floats from one row to the next.
struct MatmulJob {
    tensor::MatrixView weight;
    float* out = nullptr;
    size_t out_stride = 0;
    // Of the activations' rows only these: the rows that came to one expert, or one head's.
    size_t first_row = 0;
    size_t rows = kAllRows;  // from the first to the last

    static constexpr size_t kAllRows = SIZE_MAX;
};

// Runs all the jobs together (query, key and value; gate and up; one expert beside the other). The
// weights of all of them have x.columns() columns. The outputs must not overlap each other or the
// activations.
void matmul(const Compute& compute, Activations& x, std::span<const MatmulJob> jobs);

void matmul(const Compute& compute, const tensor::MatrixView& weight, Activations& x, float* out,
            size_t out_stride);

}  // namespace weir::kernels
