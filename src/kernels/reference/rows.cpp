#include "kernels/reference/rows.h"

#include <bit>
#include <cmath>
#include <limits>

#include "kernels/reference/exp.h"
#include "tensor/float16.h"

namespace weir::kernels::reference {

float exp(float x) {
    if (std::isnan(x)) {
        return x;
    }
    if (x > 88.7228f) {
        return std::numeric_limits<float>::infinity();
    }
    if (x < -87.3365f) {
        return 0.0f;
    }
    const float n = std::nearbyint(x * 1.44269504f);
    float r = std::fma(n, -0.693359375f, x);
    r = std::fma(n, 2.12194440e-4f, r);
    constexpr float kCoefficients[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6,
                                       0.5f,       1.0f,       1.0f};
    float p = 1.0f / 5040;
    for (const float coefficient : kCoefficients) {
        p = std::fma(p, r, coefficient);
    }
    const int whole = static_cast<int>(n);
    const int first = whole >> 1;
    const auto power = [](int e) {
        return std::bit_cast<float>((e + 127) << 23);
    };
    return p * power(first) * power(whole - first);
}

float fold(const float (&lanes)[16]) {
    float sums[16];
    for (size_t l = 0; l < 16; ++l) {
        sums[l] = lanes[l];
    }
    for (size_t width = 8; width > 0; width /= 2) {
        for (size_t l = 0; l < width; ++l) {
            sums[l] += sums[l + width];
        }
    }
    return sums[0];
}

namespace {

// The scale and its inverse for a block; a NaN or an infinity in it makes the scale NaN.
struct BlockScale {
    float scale;
    float inverse;
};

BlockScale block_scale(const float* x, size_t count) {
    float extent = 0.0f;
    bool finite = true;
    for (size_t i = 0; i < count; ++i) {
        extent = std::fabs(x[i]) > extent ? std::fabs(x[i]) : extent;
        finite = finite && std::isfinite(x[i]);
    }
    if (!finite) {
        return {std::numeric_limits<float>::quiet_NaN(), 0.0f};
    }
    if (extent < 1e-30f) {  // its inverse would overflow; such a block counts as zeros
        return {0.0f, 0.0f};
    }
    return {extent / 127.0f, 127.0f / extent};
}

int8_t quantized(float value, const BlockScale& scale) {
    return std::isfinite(value) ? static_cast<int8_t>(std::nearbyint(value * scale.inverse)) : 0;
}

}  // namespace

void quantize_q8(const float* x, size_t columns, int8_t* values, float* scales, int32_t* biases) {
    for (size_t b = 0; b < columns / 32; ++b) {
        const BlockScale scale = block_scale(x + 32 * b, 32);
        int32_t sum = 0;
        for (size_t i = 32 * b; i < 32 * (b + 1); ++i) {
            values[i] = quantized(x[i], scale);
            sum += values[i];
        }
        scales[b] = scale.scale;
        biases[b] = -128 * sum;
    }
}

void quantize_q8k(const float* x, size_t columns, int8_t* values, float* scales, int16_t* sums16,
                  int16_t* sums32) {
    for (size_t b = 0; b < columns / 256; ++b) {
        const BlockScale scale = block_scale(x + 256 * b, 256);
        scales[b] = scale.scale;
        for (size_t s = 16 * b; s < 16 * (b + 1); ++s) {
            int sum = 0;
            for (size_t i = 16 * s; i < 16 * (s + 1); ++i) {
                values[i] = quantized(x[i], scale);
                sum += values[i];
            }
            sums16[s] = static_cast<int16_t>(sum);
        }
        for (size_t s = 8 * b; s < 8 * (b + 1); ++s) {
            sums32[s] = static_cast<int16_t>(sums16[2 * s] + sums16[2 * s + 1]);
        }
    }
}

void rms_norm(const float* x, const float* weight, size_t count, float epsilon, float* out) {
    float lanes[16] = {};
    for (size_t i = 0; i < count; ++i) {
        lanes[i % 16] = std::fma(x[i], x[i], lanes[i % 16]);
    }
    const float mean = fold(lanes) / static_cast<float>(count);
    const float factor = 1.0f / std::sqrt(mean + epsilon);
    for (size_t i = 0; i < count; ++i) {
        out[i] = x[i] * factor * (weight == nullptr ? 1.0f : weight[i]);
    }
}

void layer_norm(const float* x, const float* weight, size_t count, float epsilon, float* out) {
    float lanes[16] = {};
    for (size_t i = 0; i < count; ++i) {
        lanes[i % 16] += x[i];
    }
    const float mean = fold(lanes) / static_cast<float>(count);
    float squares[16] = {};
    for (size_t i = 0; i < count; ++i) {
        const float d = x[i] - mean;
        squares[i % 16] = std::fma(d, d, squares[i % 16]);
    }
    const float variance = fold(squares) / static_cast<float>(count);
    const float factor = 1.0f / std::sqrt(variance + epsilon);
    for (size_t i = 0; i < count; ++i) {
        out[i] = (x[i] - mean) * factor * (weight == nullptr ? 1.0f : weight[i]);
    }
}

void add(const float* a, const float* b, size_t count, float* out) {
    for (size_t i = 0; i < count; ++i) {
        out[i] = a[i] + b[i];
    }
}

void scale(float factor, size_t count, float* x) {
    for (size_t i = 0; i < count; ++i) {
        x[i] *= factor;
    }
}

void add_scaled(float factor, const float* x, size_t count, float* out) {
    for (size_t i = 0; i < count; ++i) {
        out[i] = std::fma(factor, x[i], out[i]);
    }
}

void silu_mul(const float* gate, const float* up, size_t count, float* out) {
    for (size_t i = 0; i < count; ++i) {
        out[i] = gate[i] / (1.0f + exp(-gate[i])) * up[i];
    }
}

void swiglu_clamped(const float* gate, const float* up, size_t count, float limit, float alpha,
                    float* out) {
    for (size_t i = 0; i < count; ++i) {
        // Comparisons with a NaN are false, so that it stays one.
        const float g = limit < gate[i] ? limit : gate[i];
        const float below = limit < up[i] ? limit : up[i];
        const float u = below < -limit ? -limit : below;
        out[i] = g / (1.0f + exp(g * -alpha)) * (u + 1.0f);
    }
}

void gelu_tanh_mul(const float* gate, const float* up, size_t count, float* out) {
    for (size_t i = 0; i < count; ++i) {
        const float x = gate[i];
        const float inner = std::fma(x * x * x, 0.044715f, x);
        out[i] = x / (1.0f + exp(inner * -1.59576912f)) * up[i];  // -2 sqrt(2 / pi)
    }
}

void gelu_tanh(const float* x, size_t count, float* out) {
    for (size_t i = 0; i < count; ++i) {
        const float inner = std::fma(x[i] * x[i] * x[i], 0.044715f, x[i]);
        out[i] = x[i] / (1.0f + exp(inner * -1.59576912f));
    }
}

// 1 + erf is 2 - erfc on the right and erfc on the left, with the approximation of Abramowitz and
// Stegun 7.1.26, erfc(z) = poly(1 / (1 + p z)) exp(-z^2), which is off by 1.5e-7 at most.
void gelu(const float* x, size_t count, float* out) {
    constexpr float kCoefficients[] = {-1.453152027f, 1.421413741f, -0.284496736f, 0.254829592f};
    for (size_t i = 0; i < count; ++i) {
        const float z = std::fabs(x[i]) * 0.70710678f;
        const float t = 1.0f / std::fma(z, 0.3275911f, 1.0f);
        float p = 1.061405429f;
        for (const float coefficient : kCoefficients) {
            p = std::fma(p, t, coefficient);
        }
        const float erfc = p * t * exp(z * z * -1.0f);
        out[i] = x[i] * 0.5f * (x[i] < 0.0f ? erfc : 2.0f - erfc);
    }
}

float soft_capped(float x, float cap, float factor) {
    const float t = exp(std::fabs(x) * factor);
    const float magnitude = (1.0f - t) / (1.0f + t) * cap;
    return x < 0.0f ? magnitude * -1.0f : magnitude;
}

void soft_cap(float cap, size_t count, float* x) {
    const float factor = -2.0f / cap;
    for (size_t i = 0; i < count; ++i) {
        x[i] = soft_capped(x[i], cap, factor);
    }
}

void rope_adjacent(const float* cosines, const float* sines, size_t half, float* x) {
    for (size_t i = 0; i < half; ++i) {
        const float a = x[2 * i];
        const float b = x[2 * i + 1];
        x[2 * i] = a * cosines[i] - b * sines[i];
        x[2 * i + 1] = b * cosines[i] + a * sines[i];
    }
}

void rope_halves(const float* cosines, const float* sines, size_t half, float* x) {
    for (size_t i = 0; i < half; ++i) {
        const float a = x[i];
        const float b = x[i + half];
        x[i] = a * cosines[i] - b * sines[i];
        x[i + half] = b * cosines[i] + a * sines[i];
    }
}

float largest(const float* x, size_t count) {
    float found = -std::numeric_limits<float>::infinity();
    bool has_nan = false;
    for (size_t i = 0; i < count; ++i) {
        found = x[i] > found ? x[i] : found;
        has_nan = has_nan || std::isnan(x[i]);
    }
    return has_nan ? std::numeric_limits<float>::quiet_NaN() : found;
}

float exp_sum(const float* x, size_t count, float factor, float largest_value) {
    float lanes[16] = {};
    for (size_t i = 0; i < count; ++i) {
        lanes[i % 16] += exp(factor * (x[i] - largest_value));
    }
    return fold(lanes);
}

void exp_scaled(const float* x, size_t count, float factor, float largest_value, float divisor,
                float* out) {
    for (size_t i = 0; i < count; ++i) {
        out[i] = exp(factor * (x[i] - largest_value)) / divisor;
    }
}

void f16_from_f32(const float* x, size_t count, uint16_t* out) {
    for (size_t i = 0; i < count; ++i) {
        out[i] = tensor::f16_from_f32(x[i]);
    }
}

}  // namespace weir::kernels::reference
