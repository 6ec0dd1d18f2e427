#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"

namespace weir::kv {

// One stretch of anonymous memory, zero at first, given back at the end. Pages are touched on first
// use; on Linux the size counts against the process at once only where overcommit is off.
//
// Threads: none of its own. Ownership: move-only; whoever uses the bytes must not outlive it.
class MemoryRegion {
  public:
    // Errors: ResourceExhausted.
    static Result<MemoryRegion> reserve(uint64_t bytes);

    MemoryRegion() = default;
    MemoryRegion(MemoryRegion&& other) noexcept;
    MemoryRegion& operator=(MemoryRegion&& other) noexcept;
    ~MemoryRegion();

    std::span<std::byte> bytes() const { return bytes_; }

  private:
    explicit MemoryRegion(std::span<std::byte> bytes) : bytes_(bytes) {}
    std::span<std::byte> bytes_;
};

}  // namespace weir::kv
