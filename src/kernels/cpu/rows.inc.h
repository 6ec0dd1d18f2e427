#pragma once

// The row kernels of reference/rows.cpp over sixteen lanes, whatever registers those are. Included
// once by each variant's file, after its Lanes and lanes.inc.h, so that every function here is
// compiled for that CPU and has internal linkage. The order of every sum is the reference's.
namespace weir::kernels {

namespace {

struct BlockScale {
    float scale;
    float inverse;
};

inline BlockScale block_scale(const float* x, size_t count) {
    Lanes extent = zero();
    bool finite = true;
    for (size_t i = 0; i < count; i += 16) {
        const Lanes magnitude = abs(load(x + i));
        finite = finite && all_less(magnitude, set1(kInfinity));
        extent = max(magnitude, extent);
    }
    const float largest = largest_lane(extent);
    if (!finite) {
        return {__builtin_nanf(""), 0.0f};
    }
    if (largest < 1e-30f) {
        return {0.0f, 0.0f};
    }
    return {largest / 127.0f, 127.0f / largest};
}

// Quantizes sixteen values, adding them to `sum`, lane by lane and exactly.
inline Lanes quantize_16(const float* x, BlockScale scale, int8_t* values, Lanes sum) {
    const bool finite = scale.scale == scale.scale;
    const Lanes q = finite ? round_even(mul(load(x), set1(scale.inverse))) : zero();
    store_i8(values, q);
    return add(sum, q);
}

void quantize_q8(const float* x, size_t columns, int8_t* values, float* scales, int32_t* biases) {
    for (size_t b = 0; b < columns / 32; ++b) {
        const BlockScale scale = block_scale(x + 32 * b, 32);
        Lanes sum = zero();
        for (size_t i = 32 * b; i < 32 * (b + 1); i += 16) {
            sum = quantize_16(x + i, scale, values + i, sum);
        }
        scales[b] = scale.scale;
        biases[b] = -128 * static_cast<int32_t>(fold(sum));
    }
}

void quantize_q8k(const float* x, size_t columns, int8_t* values, float* scales, int16_t* sums16,
                  int16_t* sums32) {
    for (size_t b = 0; b < columns / 256; ++b) {
        const BlockScale scale = block_scale(x + 256 * b, 256);
        scales[b] = scale.scale;
        for (size_t s = 16 * b; s < 16 * (b + 1); ++s) {
            const Lanes sum = quantize_16(x + 16 * s, scale, values + 16 * s, zero());
            sums16[s] = static_cast<int16_t>(fold(sum));
        }
        for (size_t s = 8 * b; s < 8 * (b + 1); ++s) {
            sums32[s] = static_cast<int16_t>(sums16[2 * s] + sums16[2 * s + 1]);
        }
    }
}

void rms_norm(const float* x, const float* weight, size_t count, float epsilon, float* out) {
    Lanes sum = zero();
    for_lanes(
        count, [&](size_t i) { sum = fma(load(x + i), load(x + i), sum); },
        [&](size_t i, size_t n) {
            const Lanes part = load_part(x + i, n);
            sum = fma(part, part, sum);
        });
    const float mean = fold(sum) / static_cast<float>(count);
    const Lanes factor = set1(1.0f / __builtin_sqrtf(mean + epsilon));
    for_lanes(
        count,
        [&](size_t i) {
            const Lanes w = weight == nullptr ? set1(1.0f) : load(weight + i);
            store(out + i, mul(mul(load(x + i), factor), w));
        },
        [&](size_t i, size_t n) {
            const Lanes w = weight == nullptr ? set1(1.0f) : load_part(weight + i, n);
            store_part(out + i, n, mul(mul(load_part(x + i, n), factor), w));
        });
}

void layer_norm(const float* x, const float* weight, size_t count, float epsilon, float* out) {
    Lanes sum = zero();
    for_lanes(
        count, [&](size_t i) { sum = add(sum, load(x + i)); },
        [&](size_t i, size_t n) { sum = add(sum, load_part(x + i, n)); });
    const float mean = fold(sum) / static_cast<float>(count);
    const Lanes means = set1(mean);
    Lanes squares = zero();
    for_lanes(
        count,
        [&](size_t i) {
            const Lanes d = sub(load(x + i), means);
            squares = fma(d, d, squares);
        },
        [&](size_t i, size_t n) {
            alignas(64) float rest[16];
            store(rest, sub(load_part(x + i, n), means));
            const Lanes d = load_part(rest, n);  // zeros behind them
            squares = fma(d, d, squares);
        });
    const float variance = fold(squares) / static_cast<float>(count);
    const Lanes factor = set1(1.0f / __builtin_sqrtf(variance + epsilon));
    for_lanes(
        count,
        [&](size_t i) {
            const Lanes w = weight == nullptr ? set1(1.0f) : load(weight + i);
            store(out + i, mul(mul(sub(load(x + i), means), factor), w));
        },
        [&](size_t i, size_t n) {
            const Lanes w = weight == nullptr ? set1(1.0f) : load_part(weight + i, n);
            store_part(out + i, n, mul(mul(sub(load_part(x + i, n), means), factor), w));
        });
}

void add(const float* a, const float* b, size_t count, float* out) {
    for_lanes(
        count, [&](size_t i) { store(out + i, add(load(a + i), load(b + i))); },
        [&](size_t i, size_t n) {
            store_part(out + i, n, add(load_part(a + i, n), load_part(b + i, n)));
        });
}

void scale(float factor, size_t count, float* x) {
    const Lanes f = set1(factor);
    for_lanes(
        count, [&](size_t i) { store(x + i, mul(load(x + i), f)); },
        [&](size_t i, size_t n) { store_part(x + i, n, mul(load_part(x + i, n), f)); });
}

void add_scaled(float factor, const float* x, size_t count, float* out) {
    const Lanes f = set1(factor);
    for_lanes(
        count, [&](size_t i) { store(out + i, fma(f, load(x + i), load(out + i))); },
        [&](size_t i, size_t n) {
            store_part(out + i, n, fma(f, load_part(x + i, n), load_part(out + i, n)));
        });
}

inline Lanes negated(Lanes x) {
    return mul(x, set1(-1.0f));
}

inline Lanes silu_mul(Lanes gate, Lanes up) {
    return mul(div(gate, add(set1(1.0f), exp(negated(gate)))), up);
}

void silu_mul(const float* gate, const float* up, size_t count, float* out) {
    for_lanes(
        count, [&](size_t i) { store(out + i, silu_mul(load(gate + i), load(up + i))); },
        [&](size_t i, size_t n) {
            store_part(out + i, n, silu_mul(load_part(gate + i, n), load_part(up + i, n)));
        });
}

inline Lanes swiglu_clamped(Lanes gate, Lanes up, float limit, float alpha) {
    const Lanes most = set1(limit);
    const Lanes least = set1(-limit);
    const Lanes g = where_less(most, gate, most, gate);
    const Lanes below = where_less(most, up, most, up);
    const Lanes u = where_less(below, least, least, below);
    const Lanes one = set1(1.0f);
    return mul(div(g, add(one, exp(mul(g, set1(-alpha))))), add(u, one));
}

void swiglu_clamped(const float* gate, const float* up, size_t count, float limit, float alpha,
                    float* out) {
    for_lanes(
        count,
        [&](size_t i) {
            store(out + i, swiglu_clamped(load(gate + i), load(up + i), limit, alpha));
        },
        [&](size_t i, size_t n) {
            store_part(out + i, n,
                       swiglu_clamped(load_part(gate + i, n), load_part(up + i, n), limit, alpha));
        });
}

inline Lanes gelu_tanh(Lanes x) {
    const Lanes inner = fma(mul(mul(x, x), x), set1(0.044715f), x);
    return div(x, add(set1(1.0f), exp(mul(inner, set1(-1.59576912f)))));
}

inline Lanes gelu_tanh_mul(Lanes x, Lanes up) {
    return mul(gelu_tanh(x), up);
}

void gelu_tanh_mul(const float* gate, const float* up, size_t count, float* out) {
    for_lanes(
        count, [&](size_t i) { store(out + i, gelu_tanh_mul(load(gate + i), load(up + i))); },
        [&](size_t i, size_t n) {
            store_part(out + i, n, gelu_tanh_mul(load_part(gate + i, n), load_part(up + i, n)));
        });
}

void gelu_tanh(const float* x, size_t count, float* out) {
    for_lanes(
        count, [&](size_t i) { store(out + i, gelu_tanh(load(x + i))); },
        [&](size_t i, size_t n) { store_part(out + i, n, gelu_tanh(load_part(x + i, n))); });
}

inline Lanes gelu(Lanes x) {
    const Lanes z = mul(abs(x), set1(0.70710678f));
    const Lanes t = div(set1(1.0f), fma(z, set1(0.3275911f), set1(1.0f)));
    Lanes p = set1(1.061405429f);
    p = fma(p, t, set1(-1.453152027f));
    p = fma(p, t, set1(1.421413741f));
    p = fma(p, t, set1(-0.284496736f));
    p = fma(p, t, set1(0.254829592f));
    const Lanes erfc = mul(mul(p, t), exp(mul(mul(z, z), set1(-1.0f))));
    const Lanes both = where_less(x, zero(), erfc, sub(set1(2.0f), erfc));
    return mul(mul(x, set1(0.5f)), both);
}

void gelu(const float* x, size_t count, float* out) {
    for_lanes(
        count, [&](size_t i) { store(out + i, gelu(load(x + i))); },
        [&](size_t i, size_t n) { store_part(out + i, n, gelu(load_part(x + i, n))); });
}

void soft_cap(float cap, size_t count, float* x) {
    const Lanes top = set1(cap);
    const Lanes factor = set1(-2.0f / cap);
    for_lanes(
        count, [&](size_t i) { store(x + i, soft_capped(load(x + i), top, factor)); },
        [&](size_t i, size_t n) {
            store_part(x + i, n, soft_capped(load_part(x + i, n), top, factor));
        });
}

void rope_adjacent(const float* cosines, const float* sines, size_t half, float* x) {
    size_t i = 0;
    for (; i + 8 <= half; i += 8) {
        const Lanes pairs = load(x + 2 * i);
        const Lanes crossed = mul(swap_pairs(pairs), load_twice(sines + i));
        store(x + 2 * i, sub_add(mul(pairs, load_twice(cosines + i)), crossed));
    }
    for (; i < half; ++i) {
        const float a = x[2 * i];
        const float b = x[2 * i + 1];
        x[2 * i] = a * cosines[i] - b * sines[i];
        x[2 * i + 1] = b * cosines[i] + a * sines[i];
    }
}

void rope_halves(const float* cosines, const float* sines, size_t half, float* x) {
    size_t i = 0;
    for (; i + 16 <= half; i += 16) {
        const Lanes a = load(x + i);
        const Lanes b = load(x + i + half);
        const Lanes c = load(cosines + i);
        const Lanes s = load(sines + i);
        store(x + i, sub(mul(a, c), mul(b, s)));
        store(x + i + half, add(mul(b, c), mul(a, s)));
    }
    for (; i < half; ++i) {
        const float a = x[i];
        const float b = x[i + half];
        x[i] = a * cosines[i] - b * sines[i];
        x[i + half] = b * cosines[i] + a * sines[i];
    }
}

float largest(const float* x, size_t count) {
    Lanes found = set1(-kInfinity);
    bool has_nan = false;
    size_t i = 0;
    for (; i + 16 <= count; i += 16) {
        const Lanes value = load(x + i);
        has_nan = has_nan || any_nan(value);
        found = max(value, found);
    }
    float result = largest_lane(found);
    for (; i < count; ++i) {
        has_nan = has_nan || x[i] != x[i];
        result = x[i] > result ? x[i] : result;
    }
    return has_nan ? __builtin_nanf("") : result;
}

float exp_sum(const float* x, size_t count, float factor, float largest_value) {
    const Lanes f = set1(factor);
    const Lanes top = set1(largest_value);
    Lanes sum = zero();
    for_lanes(
        count, [&](size_t i) { sum = add(sum, exp(mul(f, sub(load(x + i), top)))); },
        [&](size_t i, size_t n) {
            alignas(64) float values[16];
            store(values, exp(mul(f, sub(load_part(x + i, n), top))));
            sum = add(sum, load_part(values, n));
        });
    return fold(sum);
}

void exp_scaled(const float* x, size_t count, float factor, float largest_value, float divisor,
                float* out) {
    const Lanes f = set1(factor);
    const Lanes top = set1(largest_value);
    const Lanes d = set1(divisor);
    for_lanes(
        count, [&](size_t i) { store(out + i, div(exp(mul(f, sub(load(x + i), top))), d)); },
        [&](size_t i, size_t n) {
            store_part(out + i, n, div(exp(mul(f, sub(load_part(x + i, n), top))), d));
        });
}

void f16_from_f32(const float* x, size_t count, uint16_t* out) {
    for_lanes(
        count, [&](size_t i) { store_f16(out + i, load(x + i)); },
        [&](size_t i, size_t n) {
            alignas(32) uint16_t full[16];
            store_f16(full, load_part(x + i, n));
            __builtin_memcpy(out + i, full, n * sizeof(uint16_t));
        });
}

}  // namespace

}  // namespace weir::kernels
