#pragma once

// Puts the formats of quant32.inc.h and quant256.inc.h into a variant's set. Included once by each
// variant's file, after those.
namespace weir::kernels {

namespace {

void set_all_quantized(KernelSet& set) {
    set.matmul_q8_0 = matmul_quantized<FormatQ8_0>;
    set.matmul_q4_0 = matmul_quantized<FormatQ4_0>;
    set.matmul_q4_k = matmul_quantized<FormatQ4_K>;
    set.matmul_q6_k = matmul_quantized<FormatQ6_K>;
    set.matmul_q4_1 = matmul_quantized<FormatQ4_1>;
    set.matmul_q5_0 = matmul_quantized<FormatQ5_0>;
    set.matmul_q5_1 = matmul_quantized<FormatQ5_1>;
    set.matmul_q2_k = matmul_quantized<FormatQ2_K>;
    set.matmul_q3_k = matmul_quantized<FormatQ3_K>;
    set.matmul_q5_k = matmul_quantized<FormatQ5_K>;
    set.matmul_iq4_nl = matmul_quantized<FormatIQ4_NL>;
    set.matmul_iq4_xs = matmul_quantized<FormatIQ4_XS>;
    set.matmul_mxfp4 = matmul_quantized<FormatMXFP4>;
}

}  // namespace

}  // namespace weir::kernels
