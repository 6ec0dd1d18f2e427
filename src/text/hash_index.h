#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace weir::text {

// Text to number, by open addressing; the texts lie together in one arena. Made for vocabularies:
// filled once, then read only.
//
// Threads: immutable after filling. Ownership: copies the texts.
class TextIndex {
  public:
    static constexpr uint32_t kNone = UINT32_MAX;

    void reserve(size_t texts, size_t bytes);
    // Returns false, and changes nothing, if the text is there already.
    bool insert(std::string_view text, uint32_t value);
    uint32_t find(std::string_view text) const;  // kNone if absent
    size_t size() const { return entries_.size(); }

    template <typename Visit>  // visit(text, value)
    void for_each(const Visit& visit) const {
        for (const Entry& entry : entries_) {
            visit(text_of(entry), entry.value);
        }
    }

  private:
    struct Entry {
        uint64_t offset;  // in arena_
        uint32_t bytes;
        uint32_t value;
    };
    // The hash's upper half sits beside the entry's number, so that most misses cost one load.
    struct Slot {
        uint32_t tag = 0;
        uint32_t entry = kNone;
    };

    std::string_view text_of(const Entry& entry) const {
        return {arena_.data() + entry.offset, entry.bytes};
    }
    void grow(size_t slots);

    std::vector<char> arena_;
    std::vector<Entry> entries_;
    std::vector<Slot> slots_;
};

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

}  // namespace weir::text
