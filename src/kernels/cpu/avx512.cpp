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
        avx512::set_quantized(set);
        return set;
    }();
    return kSet;
}

}  // namespace weir::kernels
