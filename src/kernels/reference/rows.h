#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.h"

// The plain kernels: each is the specification of what its counterparts in cpu/ compute, to the
// bit. Written to be read; nobody waits for them except tests and CPUs without AVX2.
namespace weir::kernels::reference {

void quantize_q8(const float* x, size_t columns, int8_t* values, float* scales, int32_t* biases);
void quantize_q8k(const float* x, size_t columns, int8_t* values, float* scales, int16_t* sums16,
                  int16_t* sums32);

void rms_norm(const float* x, const float* weight, size_t count, float epsilon, float* out);
void layer_norm(const float* x, const float* weight, size_t count, float epsilon, float* out);
void add(const float* a, const float* b, size_t count, float* out);
void scale(float factor, size_t count, float* x);
void add_scaled(float factor, const float* x, size_t count, float* out);
void silu_mul(const float* gate, const float* up, size_t count, float* out);
void swiglu_clamped(const float* gate, const float* up, size_t count, float limit, float alpha,
                    float* out);
void gelu_tanh_mul(const float* gate, const float* up, size_t count, float* out);
void gelu_tanh(const float* x, size_t count, float* out);
void gelu(const float* x, size_t count, float* out);
void soft_cap(float cap, size_t count, float* x);
void rope_adjacent(const float* cosines, const float* sines, size_t half, float* x);
void rope_halves(const float* cosines, const float* sines, size_t half, float* x);
float largest(const float* x, size_t count);
float exp_sum(const float* x, size_t count, float factor, float largest_value);
void exp_scaled(const float* x, size_t count, float factor, float largest_value, float divisor,
                float* out);
void f16_from_f32(const float* x, size_t count, uint16_t* out);

void convolution_silu(const float* const* inputs, const float* weight, size_t weight_stride,
                      size_t taps, size_t count, float* out);
void delta_rule(const DeltaPart& part);
void sigmoid_mul(const float* gate, const float* x, size_t count, float* out);

void matmul_f32(const MatmulPart& part);
void matmul_f16(const MatmulPart& part);
void matmul_bf16(const MatmulPart& part);
void matmul_q8_0(const MatmulPart& part);
void matmul_q4_0(const MatmulPart& part);
void matmul_q4_k(const MatmulPart& part);
void matmul_q6_k(const MatmulPart& part);
void matmul_q4_1(const MatmulPart& part);
void matmul_q5_0(const MatmulPart& part);
void matmul_q5_1(const MatmulPart& part);
void matmul_q2_k(const MatmulPart& part);
void matmul_q3_k(const MatmulPart& part);
void matmul_q5_k(const MatmulPart& part);
void matmul_iq4_nl(const MatmulPart& part);
void matmul_iq4_xs(const MatmulPart& part);
void matmul_mxfp4(const MatmulPart& part);
void matmul_q4_g128(const MatmulPart& part);
void matmul_f8_e4m3(const MatmulPart& part);

void attention(const AttentionPart& part);

// cap * tanh(x / cap), `factor` being -2 / cap.
float soft_capped(float x, float cap, float factor);

// Sixteen partial sums folded in halves: l += l + 8, l += l + 4, l += l + 2, l += l + 1.
float fold(const float (&lanes)[16]);

}  // namespace weir::kernels::reference
