#include "base/large_vector.h"

#include <sys/mman.h>

namespace weir {
namespace {

constexpr size_t kLargePage = size_t{2} << 20;

}  // namespace

void* allocate_large(size_t bytes) {
    if (bytes < kLargePage) {
        return ::operator new(bytes);
    }
    void* const memory = ::operator new(bytes, std::align_val_t(kLargePage));
    // Advice only, so failure does not matter.
    (void)::madvise(memory, bytes, MADV_HUGEPAGE);
    return memory;
}

void free_large(void* memory, size_t bytes) noexcept {
    if (bytes < kLargePage) {
        ::operator delete(memory);
    } else {
        ::operator delete(memory, std::align_val_t(kLargePage));
    }
}

}  // namespace weir
