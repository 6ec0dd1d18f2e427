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
    // A text of up to 15 bytes is its own key, compared in the slot: finding a word costs one
    // cache line. A longer one has its hash there and is compared in the arena.
    struct Key {
        uint64_t low = 0;
        uint64_t high = 0;  // the upper byte is the length, 0xFF for a long text
        friend bool operator==(const Key&, const Key&) = default;
    };
    struct Slot {
        Key key;
        uint32_t entry = kNone;
        uint32_t value = kNone;
    };

    static Key key_of(std::string_view text);
    static size_t hash_of(const Key& key);
    static bool is_long(const Key& key) { return key.high >> 56 == 0xFF; }

    std::string_view text_of(const Entry& entry) const {
        return {arena_.data() + entry.offset, entry.bytes};
    }
    // The slot of the text, or the empty one where it would go.
    size_t slot_of(std::string_view text, const Key& key) const;
    void grow(size_t slots);

    std::vector<char> arena_;
    std::vector<Entry> entries_;
    std::vector<Slot> slots_;
};

}  // namespace weir::text
