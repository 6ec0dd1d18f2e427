#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/large_vector.h"
#include "text/piece_memo.h"

namespace weir::text {

// What two neighbouring symbols merge to, and how early.
struct Merge {
    static constexpr uint32_t kNever = UINT32_MAX;
    static constexpr uint32_t kRanksMax = (1U << 25) - 1;  // every other rank is below
    uint32_t rank = kNever;                                // lower first
    uint32_t result = 0;
};

// (left, right) to Merge, by open addressing behind a filter.
//
// Threads: immutable after filling.
class MergeTable {
  public:
    void reserve(size_t merges);
    // A pair that is there already keeps its lower rank.
    void insert(uint32_t left, uint32_t right, Merge merge);
    Merge find(uint32_t left, uint32_t right) const {
        const uint64_t key = key_of(left, right);
        const uint64_t hash = hash_of(key);
        const size_t bit = static_cast<size_t>(hash) & filter_mask_;
        if ((filter_[bit / 64] >> (bit % 64) & 1) == 0) {
            return {};
        }
        for (size_t at = slot_of(hash);; at = (at + 1) & mask_) {
            const Slot& slot = slots_[at];
            if (slot.key == key || slot.key == kEmpty) {
                return slot.merge;
            }
        }
    }

    // Says that insert will be called for the pair soon.
    void prefetch(uint32_t left, uint32_t right) const {
        const uint64_t hash = hash_of(key_of(left, right));
        __builtin_prefetch(&slots_[slot_of(hash)]);
        __builtin_prefetch(&filter_[(static_cast<size_t>(hash) & filter_mask_) / 64]);
    }

  private:
    // Both halves at once are no symbol, so no merge has this key; its Merge stays kNever.
    static constexpr uint64_t kEmpty = UINT64_MAX;
    struct Slot {
        uint64_t key = kEmpty;
        Merge merge;
    };

    static uint64_t key_of(uint32_t left, uint32_t right) { return uint64_t{left} << 32 | right; }
    static uint64_t hash_of(uint64_t key) {
        const uint64_t mixed = (key ^ (key >> 31)) * 0x9E3779B97F4A7C15;
        return mixed ^ (mixed >> 32);
    }
    size_t slot_of(uint64_t hash) const { return static_cast<size_t>(hash >> 32) & mask_; }
    void pass(uint64_t hash) {
        const size_t bit = static_cast<size_t>(hash) & filter_mask_;
        filter_[bit / 64] |= uint64_t{1} << (bit % 64);
    }
    void grow(size_t slots);

    LargeVector<Slot> slots_ = LargeVector<Slot>(2);
    size_t mask_ = 1;
    size_t used_ = 0;
    // Most pairs of a text never merge, and the table is larger than a core's own cache: a bit for
    // each hash says of nearly all of them that they are not there.
    LargeVector<uint64_t> filter_ = LargeVector<uint64_t>(1);
    size_t filter_mask_ = 63;
};

// What one thread needs while it encodes; kept between pieces to save allocations.
struct BpeScratch {
    std::vector<uint32_t> symbols;
    std::vector<uint32_t> previous;
    std::vector<uint32_t> next;
    std::vector<uint32_t> begins;  // of the symbols that a merger left, among those it was given
    std::vector<Merge> merges;     // of each symbol with the next one
    std::vector<uint64_t> heap;    // rank in the upper half, position in the lower
    PieceMemo memo;                // of the one model that uses this
    uint64_t steps = 0;            // pair look-ups and heap operations, for tests of the bounds
};

// Repeatedly merges the neighbouring pair of the lowest rank, the leftmost among equals, until no
// pair merges. O(n log n) for n symbols.
void merge_symbols(const MergeTable& table, BpeScratch& scratch);

}  // namespace weir::text
