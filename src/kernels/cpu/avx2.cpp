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
        avx2::set_quantized(set);
        return set;
    }();
    return kSet;
}

}  // namespace weir::kernels
