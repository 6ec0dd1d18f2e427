#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/kernel_set.h"
#include "tensor/matrix_view.h"

// What a transformer does besides products and attention. Matrices are row-major and contiguous
// unless a stride is given. Every row is computed by itself, in one order; sums over a row are
// sixteen partial sums folded in halves, as in matmul.h. Outputs may be the same memory as inputs.
namespace weir::kernels {

// out[r][i] = x[r][i] / sqrt(mean of x[r]^2 + epsilon) * weight[i].  Zhang & Sennrich 2019.
// For a norm per head, a row is a head: rows = tokens * heads, columns = head_dim. An empty
// `weight` stands for ones.
void rms_norm(const Compute& compute, const float* x, size_t rows, size_t columns,
              std::span<const float> weight, float epsilon, float* out);

// out[r][i] = (x[r][i] - mean of x[r]) / sqrt(variance of x[r] + epsilon) * weight[i], the variance
// being the mean of the squared deviations. Ba et al. 2016. An empty `weight` stands for ones.
void layer_norm(const Compute& compute, const float* x, size_t rows, size_t columns,
                std::span<const float> weight, float epsilon, float* out);

// The same for every head of x [rows, heads, head_dim], with a weight for each: [heads, head_dim].
void layer_norm_heads(const Compute& compute, const float* x, size_t rows, size_t heads,
                      std::span<const float> weight, float epsilon, float* out);

// out[i] = a[i] + b[i]
void add(const Compute& compute, const float* a, const float* b, size_t count, float* out);

// x[r][i] += bias[i]
void add_bias(const Compute& compute, std::span<const float> bias, size_t rows, float* x);

// x[i] *= factor
void scale(const Compute& compute, float factor, size_t count, float* x);

// out[i] = gate[i] / (1 + exp(-gate[i])) * up[i]
void silu_mul(const Compute& compute, const float* gate, const float* up, size_t count, float* out);

// The gated unit of gpt-oss: with g = min(gate[i], limit) and u = up[i] within ±limit,
// out[i] = g / (1 + exp(-alpha * g)) * (u + 1)
struct SwigluClamp {
    float limit = 7.0f;
    float alpha = 1.702f;
};
void swiglu_clamped(const Compute& compute, const SwigluClamp& clamp, const float* gate,
                    const float* up, size_t count, float* out);

// One row of a weighted sum: row `to` of the sums takes factor times a row of the terms.
struct WeightedRow {
    uint32_t to = 0;
    float factor = 0;
};

// sums[terms[t].to][i] = fma(terms[t].factor, x[t][i], sums[terms[t].to][i]), t in order. x is
// [terms, columns], and every `to` is a row of the sums.
void add_weighted_rows(const Compute& compute, std::span<const WeightedRow> terms, const float* x,
                       size_t columns, float* sums);

// out[i] = x[i] / (1 + exp(-gate[i]))
void sigmoid_mul(const Compute& compute, const float* gate, const float* x, size_t count,
                 float* out);

// out[i] = gelu_tanh(gate[i]) * up[i], gelu_tanh(x) = x / (1 + exp(-2 sqrt(2/pi) (x + 0.044715
// x^3)))
void gelu_tanh_mul(const Compute& compute, const float* gate, const float* up, size_t count,
                   float* out);

// out[i] = gelu_tanh(x[i])
void gelu_tanh(const Compute& compute, const float* x, size_t count, float* out);

// out[i] = x[i] / 2 * (1 + erf(x[i] / sqrt(2))), within 2e-7 of x[i]
void gelu(const Compute& compute, const float* x, size_t count, float* out);

// x[i] = cap * tanh(x[i] / cap), cap > 0
void soft_cap(const Compute& compute, float cap, size_t count, float* x);

enum class RopePairs : uint8_t {
    Adjacent,  // (2i, 2i + 1): GGUF's NORM
    Halves,    // (i, i + rotary_dim / 2): GPT-NeoX
};

// Cosines and sines, [positions, rotary_dim / 2] each, scaling factors included.
struct RopeTable {
    const float* cosines = nullptr;
    const float* sines = nullptr;
    size_t rotary_dim = 0;  // even; the elements of a head from here on pass unchanged
    RopePairs pairs = RopePairs::Adjacent;
};

// Rotates in place every head of x, which is [positions.size(), heads, head_dim] with `stride`
// floats from one token to the next: token t by the table's row positions[t].
void rope(const Compute& compute, const RopeTable& table, std::span<const uint32_t> positions,
          size_t heads, size_t head_dim, float* x, size_t stride);

// out[t] = row ids[t] of the table, as floats. Every id is below table.rows.
void lookup_rows(const Compute& compute, const tensor::MatrixView& table,
                 std::span<const uint32_t> ids, float* out);

// The largest value and the sum of exp(factor * (value - largest)): the softmax of a row of logits
// at temperature 1/factor is exp(factor * (value - largest)) / sum; its log-sum-exp is
// factor * largest + log(sum). NaN if any value is NaN.
struct SoftmaxSum {
    float largest = 0;
    float sum = 0;
};
SoftmaxSum softmax_sum(const Compute& compute, std::span<const float> values, float factor);

// out[i] = exp(factor * (values[i] - sum.largest)) / sum.sum
void softmax(const Compute& compute, std::span<const float> values, float factor,
             const SoftmaxSum& sum, float* out);

}  // namespace weir::kernels
