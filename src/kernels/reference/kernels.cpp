#include "kernels/kernel_table.h"
#include "kernels/reference/rows.h"

namespace weir::kernels {

const KernelSet& reference_kernels() {
    static constexpr KernelSet kSet = {
        .name = "reference",
        .quantize_q8 = reference::quantize_q8,
        .quantize_q8k = reference::quantize_q8k,
        .matmul_f32 = reference::matmul_f32,
        .matmul_f16 = reference::matmul_f16,
        .matmul_bf16 = reference::matmul_bf16,
        .matmul_q8_0 = reference::matmul_q8_0,
        .matmul_q4_0 = reference::matmul_q4_0,
        .matmul_q4_k = reference::matmul_q4_k,
        .matmul_q6_k = reference::matmul_q6_k,
        .matmul_q4_1 = reference::matmul_q4_1,
        .matmul_q5_0 = reference::matmul_q5_0,
        .matmul_q5_1 = reference::matmul_q5_1,
        .matmul_q2_k = reference::matmul_q2_k,
        .matmul_q3_k = reference::matmul_q3_k,
        .matmul_q5_k = reference::matmul_q5_k,
        .matmul_iq4_nl = reference::matmul_iq4_nl,
        .matmul_iq4_xs = reference::matmul_iq4_xs,
        .matmul_mxfp4 = reference::matmul_mxfp4,
        .matmul_q4_g128 = reference::matmul_q4_g128,
        .matmul_f8_e4m3 = reference::matmul_f8_e4m3,
        .attention = reference::attention,
        .rms_norm = reference::rms_norm,
        .layer_norm = reference::layer_norm,
        .add = reference::add,
        .scale = reference::scale,
        .add_scaled = reference::add_scaled,
        .silu_mul = reference::silu_mul,
        .swiglu_clamped = reference::swiglu_clamped,
        .gelu_tanh_mul = reference::gelu_tanh_mul,
        .gelu_tanh = reference::gelu_tanh,
        .gelu = reference::gelu,
        .soft_cap = reference::soft_cap,
        .rope_adjacent = reference::rope_adjacent,
        .rope_halves = reference::rope_halves,
        .largest = reference::largest,
        .exp_sum = reference::exp_sum,
        .exp_scaled = reference::exp_scaled,
        .f16_from_f32 = reference::f16_from_f32,
        .convolution_silu = reference::convolution_silu,
        .delta_rule = reference::delta_rule,
        .sigmoid_mul = reference::sigmoid_mul,
    };
    return kSet;
}

}  // namespace weir::kernels
