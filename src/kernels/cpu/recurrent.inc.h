#pragma once

// The kernels of reference/recurrent.cpp over sixteen lanes; see rows.inc.h.
namespace weir::kernels {

namespace {

void convolution_silu(const float* const* inputs, const float* weight, size_t weight_stride,
                      size_t taps, size_t count, float* out) {
    const auto silu = [](Lanes x) {
        return div(x, add(set1(1.0f), exp(negated(x))));
    };
    for_lanes(
        count,
        [&](size_t c) {
            Lanes sum = zero();
            for (size_t i = 0; i < taps; ++i) {
                sum = fma(load(inputs[i] + c), load(weight + i * weight_stride + c), sum);
            }
            store(out + c, silu(sum));
        },
        [&](size_t c, size_t n) {
            Lanes sum = zero();
            for (size_t i = 0; i < taps; ++i) {
                sum = fma(load_part(inputs[i] + c, n), load_part(weight + i * weight_stride + c, n),
                          sum);
            }
            store_part(out + c, n, silu(sum));
        });
}

// Sixteen columns a Lanes. More than one at a time only hides the latency of the chains.
template <size_t Width>
void delta_columns(const DeltaPart& part, size_t column) {
    float* const state = part.state + column;
    for (size_t t = 0; t < part.tokens; ++t) {
        const float* q = part.q + t * part.stride;
        const float* k = part.k + t * part.stride;
        const Lanes decay = set1(part.decay[t * part.gate_stride]);
        const Lanes beta = set1(part.beta[t * part.gate_stride]);
        Lanes delta[Width];
        Lanes sum[Width];
        for (size_t w = 0; w < Width; ++w) {
            delta[w] = zero();
            sum[w] = zero();
        }
        for (size_t i = 0; i < part.key_dim; ++i) {
            const Lanes key = set1(k[i]);
            for (size_t w = 0; w < Width; ++w) {
                delta[w] = fma(load(state + i * part.state_stride + 16 * w), key, delta[w]);
            }
        }
        for (size_t w = 0; w < Width; ++w) {
            const Lanes v = load(part.v + t * part.stride + column + 16 * w);
            delta[w] = mul(beta, fma(negated(decay), delta[w], v));
        }
        for (size_t i = 0; i < part.key_dim; ++i) {
            const Lanes key = set1(k[i]);
            const Lanes query = set1(q[i]);
            for (size_t w = 0; w < Width; ++w) {
                float* const at = state + i * part.state_stride + 16 * w;
                const Lanes next = fma(key, delta[w], mul(decay, load(at)));
                store(at, next);
                sum[w] = fma(next, query, sum[w]);
            }
        }
        for (size_t w = 0; w < Width; ++w) {
            store(part.out + t * part.out_stride + column + 16 * w, sum[w]);
        }
    }
}

// The last columns, fewer than sixteen.
void delta_rest(const DeltaPart& part, size_t column, size_t count) {
    float* const state = part.state + column;
    for (size_t t = 0; t < part.tokens; ++t) {
        const float* q = part.q + t * part.stride;
        const float* k = part.k + t * part.stride;
        const Lanes decay = set1(part.decay[t * part.gate_stride]);
        Lanes known = zero();
        for (size_t i = 0; i < part.key_dim; ++i) {
            known = fma(load_part(state + i * part.state_stride, count), set1(k[i]), known);
        }
        const Lanes v = load_part(part.v + t * part.stride + column, count);
        const Lanes delta =
            mul(set1(part.beta[t * part.gate_stride]), fma(negated(decay), known, v));
        Lanes sum = zero();
        for (size_t i = 0; i < part.key_dim; ++i) {
            float* const at = state + i * part.state_stride;
            const Lanes next = fma(set1(k[i]), delta, mul(decay, load_part(at, count)));
            store_part(at, count, next);
            sum = fma(next, set1(q[i]), sum);
        }
        store_part(part.out + t * part.out_stride + column, count, sum);
    }
}

void delta_rule(const DeltaPart& part) {
    constexpr size_t kWidth = Lanes::kRegisters >= 32 ? 4 : 2;
    size_t column = 0;
    for (; column + 16 * kWidth <= part.columns; column += 16 * kWidth) {
        delta_columns<kWidth>(part, column);
    }
    for (; column + 16 <= part.columns; column += 16) {
        delta_columns<1>(part, column);
    }
    if (column < part.columns) {
        delta_rest(part, column, part.columns - column);
    }
}

void sigmoid_mul(const float* gate, const float* x, size_t count, float* out) {
    const auto gated = [](Lanes g, Lanes value) {
        return div(value, add(set1(1.0f), exp(negated(g))));
    };
    for_lanes(
        count, [&](size_t i) { store(out + i, gated(load(gate + i), load(x + i))); },
        [&](size_t i, size_t n) {
            store_part(out + i, n, gated(load_part(gate + i, n), load_part(x + i, n)));
        });
}

}  // namespace

}  // namespace weir::kernels
