#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/avx2.h"
#include "kernels/kernel_table.h"

#pragma GCC target("avx2,fma,f16c")

// In this order: each is written in terms of those before it.
// clang-format off
#include "kernels/cpu/lanes_avx2.h"
#include "kernels/cpu/lanes.inc.h"
#include "kernels/cpu/attention.inc.h"
#include "kernels/cpu/latent_attention.inc.h"
// clang-format on

namespace weir::kernels::avx2 {

void attention(const AttentionPart& part) {
    switch (part.storage) {
        case KvStorage::F32:
            return attend_any<F32Elements>(part);
        case KvStorage::F16:
            return attend_any<F16Elements>(part);
        case KvStorage::Int8:
            return attend_int8(part);
    }
}

}  // namespace weir::kernels::avx2
