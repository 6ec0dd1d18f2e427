#include "kernels/cpu/avx2.h"

#include "kernels/kernel_table.h"

// Compiled for every CPU: it only names the functions.
namespace weir::kernels {

const KernelSet& avx2_kernels() {
    static const KernelSet kSet = [] {
        KernelSet set{};
        set.name = "avx2";
        avx2::set_rows(set);
        set.attention = avx2::attention;
        set.matmul_q8_0 = avx2::matmul_q8_0;
        set.matmul_q4_0 = avx2::matmul_q4_0;
        set.matmul_q4_k = avx2::matmul_q4_k;
        set.matmul_q6_k = avx2::matmul_q6_k;
        return set;
    }();
    return kSet;
}

}  // namespace weir::kernels
