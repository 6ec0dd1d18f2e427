#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace weir {

// Memory that the kernel is advised to back with large pages once it is large itself. A table that
// is looked up all over misses the processor's table of pages at nearly every look otherwise, and
// filling it costs one fault for every 4 KiB. Throws bad_alloc, as new does.
void* allocate_large(size_t bytes);
void free_large(void* memory, size_t bytes) noexcept;

template <typename T>
struct LargeAllocator {
    using value_type = T;

    LargeAllocator() = default;
    template <typename Other>
    LargeAllocator(const LargeAllocator<Other>&) {}

    T* allocate(size_t count) {
        if (count > static_cast<size_t>(-1) / 2 / sizeof(T)) {
            throw std::bad_array_new_length();
        }
        return static_cast<T*>(allocate_large(count * sizeof(T)));
    }
    void deallocate(T* memory, size_t count) noexcept { free_large(memory, count * sizeof(T)); }

    template <typename Other>
    friend bool operator==(const LargeAllocator&, const LargeAllocator<Other>&) {
        return true;
    }
};

template <typename T>
using LargeVector = std::vector<T, LargeAllocator<T>>;

}  // namespace weir
