#include "kernels/cpu/avx512.h"

#include "kernels/kernel_table.h"

// Compiled for every CPU: it only names the functions.
namespace weir::kernels {

const KernelSet& avx512_kernels() {
    static const KernelSet kSet = [] {
        KernelSet set{};
        set.name = "avx512";
        avx512::set_rows(set);
        set.attention = avx512::attention;
        set.matmul_q8_0 = avx512::matmul_q8_0;
        set.matmul_q4_0 = avx512::matmul_q4_0;
        set.matmul_q4_k = avx512::matmul_q4_k;
        set.matmul_q6_k = avx512::matmul_q6_k;
        return set;
    }();
    return kSet;
}

}  // namespace weir::kernels
