#include "kv/memory_region.h"

#include <sys/mman.h>

#include <utility>

namespace weir::kv {

Result<MemoryRegion> MemoryRegion::reserve(uint64_t bytes) {
    if (bytes == 0) {
        return MemoryRegion();
    }
    void* const address =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address == MAP_FAILED) {
        return fail(ErrorCode::ResourceExhausted, "no {} MiB of memory for the KV cache",
                    bytes >> 20);
    }
    // Attention walks whole blocks: fewer TLB misses. Advice only, so failure does not matter.
    (void)::madvise(address, bytes, MADV_HUGEPAGE);
    return MemoryRegion({static_cast<std::byte*>(address), static_cast<size_t>(bytes)});
}

MemoryRegion::MemoryRegion(MemoryRegion&& other) noexcept
    : bytes_(std::exchange(other.bytes_, {})) {}

MemoryRegion& MemoryRegion::operator=(MemoryRegion&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
}

MemoryRegion::~MemoryRegion() {
    if (!bytes_.empty()) {
        ::munmap(bytes_.data(), bytes_.size());
    }
}

}  // namespace weir::kv
