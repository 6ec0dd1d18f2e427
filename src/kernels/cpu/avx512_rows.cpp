#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/avx512.h"
#include "kernels/kernel_table.h"
#include "tensor/blocks.h"

#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")

// In this order: each is written in terms of those before it.
// clang-format off
#include "kernels/cpu/lanes_avx512.h"
#include "kernels/cpu/lanes.inc.h"
#include "kernels/cpu/rows.inc.h"
#include "kernels/cpu/recurrent.inc.h"
#include "kernels/cpu/float_matmul.inc.h"
// clang-format on

namespace weir::kernels::avx512 {

void set_rows(KernelSet& set) {
    set.quantize_q8 = quantize_q8;
    set.quantize_q8k = quantize_q8k;
    set.matmul_f32 = matmul_float<F32Weights>;
    set.matmul_f16 = matmul_float<F16Weights>;
    set.matmul_bf16 = matmul_float<BF16Weights>;
    set.matmul_f8_e4m3 = matmul_float<F8Weights>;
    set.matmul_q4_g128 = matmul_float<GroupWeights>;
    set.rms_norm = rms_norm;
    set.layer_norm = layer_norm;
    set.add = add;
    set.scale = scale;
    set.add_scaled = add_scaled;
    set.silu_mul = silu_mul;
    set.swiglu_clamped = swiglu_clamped;
    set.gelu_tanh_mul = gelu_tanh_mul;
    set.gelu_tanh = gelu_tanh;
    set.gelu = gelu;
    set.soft_cap = soft_cap;
    set.rope_adjacent = rope_adjacent;
    set.rope_halves = rope_halves;
    set.largest = largest;
    set.exp_sum = exp_sum;
    set.exp_scaled = exp_scaled;
    set.f16_from_f32 = f16_from_f32;
    set.convolution_silu = convolution_silu;
    set.delta_rule = delta_rule;
    set.sigmoid_mul = sigmoid_mul;
}

}  // namespace weir::kernels::avx512
