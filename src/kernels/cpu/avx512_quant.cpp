#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/avx512.h"
#include "kernels/kernel_table.h"
#include "tensor/blocks.h"

#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")

// In this order: each is written in terms of those before it.
// clang-format off
#include "kernels/cpu/quant.inc.h"
#include "kernels/cpu/quant_registers_avx512.h"
#include "kernels/cpu/quant32.inc.h"
#include "kernels/cpu/quant256.inc.h"
#include "kernels/cpu/quant_set.inc.h"
// clang-format on

namespace weir::kernels::avx512 {

void set_quantized(KernelSet& set) {
    set_all_quantized(set);
}

}  // namespace weir::kernels::avx512
