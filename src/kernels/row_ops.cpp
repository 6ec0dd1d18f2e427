#include "kernels/row_ops.h"

#include <algorithm>

#include "base/check.h"
#include "kernels/kernel_table.h"
#include "kernels/thread_pool.h"
#include "tensor/quantize.h"

namespace weir::kernels {

namespace {

// Below this many elements a parallel region costs more than it saves.
constexpr size_t kSerialElements = 1 << 15;

size_t serial_rows(size_t columns) {
    return 1 + kSerialElements / std::max<size_t>(columns, 1);
}

// Splits [0, count) at multiples of 64, so that no vector is cut differently by another split.
template <typename Body>
void for_elements(const Compute& compute, size_t count, const Body& body) {
    constexpr size_t kUnit = kSerialElements;
    compute.pool.parallel_for((count + kUnit - 1) / kUnit, 1, [&](size_t begin, size_t end) {
        body(begin * kUnit, std::min(count, end * kUnit));
    });
}

}  // namespace

void rms_norm(const Compute& compute, const float* x, size_t rows, size_t columns,
              std::span<const float> weight, float epsilon, float* out) {
    WEIR_ASSERT(weight.empty() || weight.size() == columns);
    const float* factors = weight.empty() ? nullptr : weight.data();
    compute.pool.parallel_for(rows, serial_rows(columns), [&](size_t begin, size_t end) {
        for (size_t r = begin; r < end; ++r) {
            compute.kernels.rms_norm(x + r * columns, factors, columns, epsilon, out + r * columns);
        }
    });
}

void layer_norm(const Compute& compute, const float* x, size_t rows, size_t columns,
                std::span<const float> weight, float epsilon, float* out) {
    WEIR_ASSERT(weight.empty() || weight.size() == columns);
    const float* factors = weight.empty() ? nullptr : weight.data();
    compute.pool.parallel_for(rows, serial_rows(columns), [&](size_t begin, size_t end) {
        for (size_t r = begin; r < end; ++r) {
            compute.kernels.layer_norm(x + r * columns, factors, columns, epsilon,
                                       out + r * columns);
        }
    });
}

void layer_norm_heads(const Compute& compute, const float* x, size_t rows, size_t heads,
                      std::span<const float> weight, float epsilon, float* out) {
    const size_t head_dim = weight.size() / heads;
    compute.pool.parallel_for(rows, serial_rows(weight.size()), [&](size_t begin, size_t end) {
        for (size_t i = begin * heads; i < end * heads; ++i) {
            compute.kernels.layer_norm(x + i * head_dim, weight.data() + i % heads * head_dim,
                                       head_dim, epsilon, out + i * head_dim);
        }
    });
}

void add(const Compute& compute, const float* a, const float* b, size_t count, float* out) {
    for_elements(compute, count, [&](size_t begin, size_t end) {
        compute.kernels.add(a + begin, b + begin, end - begin, out + begin);
    });
}

void add_bias(const Compute& compute, std::span<const float> bias, size_t rows, float* x) {
    const size_t columns = bias.size();
    compute.pool.parallel_for(rows, serial_rows(columns), [&](size_t begin, size_t end) {
        for (size_t r = begin; r < end; ++r) {
            float* row = x + r * columns;
            compute.kernels.add(row, bias.data(), columns, row);
        }
    });
}

void scale(const Compute& compute, float factor, size_t count, float* x) {
    for_elements(compute, count, [&](size_t begin, size_t end) {
        compute.kernels.scale(factor, end - begin, x + begin);
    });
}

void silu_mul(const Compute& compute, const float* gate, const float* up, size_t count,
              float* out) {
    for_elements(compute, count, [&](size_t begin, size_t end) {
        compute.kernels.silu_mul(gate + begin, up + begin, end - begin, out + begin);
    });
}

void sigmoid_mul(const Compute& compute, const float* gate, const float* x, size_t count,
                 float* out) {
    for_elements(compute, count, [&](size_t begin, size_t end) {
        compute.kernels.sigmoid_mul(gate + begin, x + begin, end - begin, out + begin);
    });
}

void gelu_tanh_mul(const Compute& compute, const float* gate, const float* up, size_t count,
                   float* out) {
    for_elements(compute, count, [&](size_t begin, size_t end) {
        compute.kernels.gelu_tanh_mul(gate + begin, up + begin, end - begin, out + begin);
    });
}

void swiglu_clamped(const Compute& compute, const SwigluClamp& clamp, const float* gate,
                    const float* up, size_t count, float* out) {
    for_elements(compute, count, [&](size_t begin, size_t end) {
        compute.kernels.swiglu_clamped(gate + begin, up + begin, end - begin, clamp.limit,
                                       clamp.alpha, out + begin);
    });
}

void add_weighted_rows(const Compute& compute, std::span<const WeightedRow> terms, const float* x,
                       size_t columns, float* sums) {
    // Split by columns: terms of one row follow each other, whoever computes them.
    constexpr size_t kUnit = 64;
    const size_t grain = 1 + kSerialElements / (kUnit * std::max<size_t>(terms.size(), 1));
    compute.pool.parallel_for((columns + kUnit - 1) / kUnit, grain, [&](size_t first, size_t last) {
        const size_t begin = first * kUnit;
        const size_t count = std::min(columns, last * kUnit) - begin;
        for (size_t t = 0; t < terms.size(); ++t) {
            compute.kernels.add_scaled(terms[t].factor, x + t * columns + begin, count,
                                       sums + terms[t].to * columns + begin);
        }
    });
}

void gelu_tanh(const Compute& compute, const float* x, size_t count, float* out) {
    for_elements(compute, count, [&](size_t begin, size_t end) {
        compute.kernels.gelu_tanh(x + begin, end - begin, out + begin);
    });
}

void gelu(const Compute& compute, const float* x, size_t count, float* out) {
    for_elements(compute, count, [&](size_t begin, size_t end) {
        compute.kernels.gelu(x + begin, end - begin, out + begin);
    });
}

void soft_cap(const Compute& compute, float cap, size_t count, float* x) {
    for_elements(compute, count, [&](size_t begin, size_t end) {
        compute.kernels.soft_cap(cap, end - begin, x + begin);
    });
}

void rope(const Compute& compute, const RopeTable& table, std::span<const uint32_t> positions,
          size_t heads, size_t head_dim, float* x, size_t stride) {
    WEIR_ASSERT(table.rotary_dim <= head_dim && table.rotary_dim % 2 == 0);
    const size_t half = table.rotary_dim / 2;
    const auto rotate = table.pairs == RopePairs::Adjacent ? compute.kernels.rope_adjacent
                                                           : compute.kernels.rope_halves;
    const size_t grain = serial_rows(heads * head_dim);
    compute.pool.parallel_for(positions.size(), grain, [&](size_t begin, size_t end) {
        for (size_t t = begin; t < end; ++t) {
            const size_t at = positions[t] * half;
            for (size_t h = 0; h < heads; ++h) {
                rotate(table.cosines + at, table.sines + at, half, x + t * stride + h * head_dim);
            }
        }
    });
}

void lookup_rows(const Compute& compute, const tensor::MatrixView& table,
                 std::span<const uint32_t> ids, float* out) {
    const size_t columns = table.columns;
    compute.pool.parallel_for(ids.size(), serial_rows(columns), [&](size_t begin, size_t end) {
        for (size_t t = begin; t < end; ++t) {
            WEIR_ASSERT(ids[t] < table.rows);
            tensor::dequantize_row(table, ids[t], std::span(out + t * columns, columns));
        }
    });
}

SoftmaxSum softmax_sum(const Compute& compute, std::span<const float> values, float factor) {
    const float largest = compute.kernels.largest(values.data(), values.size());
    return {largest, compute.kernels.exp_sum(values.data(), values.size(), factor, largest)};
}

void softmax(const Compute& compute, std::span<const float> values, float factor,
             const SoftmaxSum& sum, float* out) {
    compute.kernels.exp_scaled(values.data(), values.size(), factor, sum.largest, sum.sum, out);
}

}  // namespace weir::kernels
