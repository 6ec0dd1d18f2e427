#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace weir::text {

// What two neighbouring symbols merge to, and how early.
struct Merge {
    static constexpr uint32_t kNever = UINT32_MAX;
    uint32_t rank = kNever;  // lower first
    uint32_t result = 0;
};

// (left, right) to Merge, by open addressing.
//
// Threads: immutable after filling.
class MergeTable {
  public:
    void reserve(size_t merges);
    // A pair that is there already keeps its lower rank.
    void insert(uint32_t left, uint32_t right, Merge merge);
    Merge find(uint32_t left, uint32_t right) const {
        const uint64_t key = key_of(left, right);
        for (size_t at = slot_of(key);; at = (at + 1) & mask_) {
            const Slot& slot = slots_[at];
            if (slot.key == key || slot.key == kEmpty) {
                return slot.merge;
            }
        }
    }

  private:
    // Both halves at once are no symbol, so no merge has this key; its Merge stays kNever.
    static constexpr uint64_t kEmpty = UINT64_MAX;
    struct Slot {
        uint64_t key = kEmpty;
        Merge merge;
    };

    static uint64_t key_of(uint32_t left, uint32_t right) { return uint64_t{left} << 32 | right; }
    size_t slot_of(uint64_t key) const {
        const uint64_t mixed = (key ^ (key >> 31)) * 0x9E3779B97F4A7C15;
        return static_cast<size_t>(mixed >> 32) & mask_;
    }
    void grow(size_t slots);

    std::vector<Slot> slots_ = std::vector<Slot>(2);
    size_t mask_ = 1;
    size_t used_ = 0;
};

// What one thread needs while it encodes; kept between pieces to save allocations.
struct BpeScratch {
    std::vector<uint32_t> symbols;
    std::vector<uint32_t> previous;
    std::vector<uint32_t> next;
    std::vector<uint32_t> begins;  // of the symbols that a merger left, among those it was given
    std::vector<Merge> merges;     // of each symbol with the next one
    std::vector<uint64_t> heap;    // rank in the upper half, position in the lower
    uint64_t steps = 0;            // pair look-ups and heap operations, for tests of the bounds
};

// Repeatedly merges the neighbouring pair of the lowest rank, the leftmost among equals, until no
// pair merges. O(n log n) for n symbols.
void merge_symbols(const MergeTable& table, BpeScratch& scratch);

}  // namespace weir::text
