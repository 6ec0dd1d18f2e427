#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "base/large_vector.h"

namespace weir::text {

// Text to number, by open addressing; the texts lie together in one arena. Made for vocabularies:
// filled once, then read only.
//
// Threads: immutable after filling. Ownership: copies the texts.
class TextIndex {
  public:
    static constexpr uint32_t kNone = UINT32_MAX;

    // A text as it is compared. One of up to 15 bytes is its own key, so that finding a word costs
    // one cache line. A longer one has its hash there and is compared in the arena.
    struct Key {
        uint64_t low = 0;
        uint64_t high = 0;  // the upper byte is the length, 0xFF for a long text
        friend bool operator==(const Key&, const Key&) = default;
    };

    static constexpr size_t kShortBytesMax = 15;  // up to here the key is the whole text

    void reserve(size_t texts, size_t bytes);
    // Returns false, and changes nothing, if the text is there already.
    bool insert(std::string_view text, uint32_t value) { return insert(text, key_of(text), value); }
    uint32_t find(std::string_view text) const {  // kNone if absent
        return find(text, key_of(text));
    }

    // The same in two steps: a vocabulary's table is larger than the caches, and its reader knows
    // long before which texts come next. The key is key_of(text).
    bool insert(std::string_view text, const Key& key, uint32_t value);
    uint32_t find(std::string_view text, const Key& key) const {
        // An empty slot's value is kNone.
        return slots_.empty() ? kNone : slots_[slot_of(text, key)].value;
    }
    // Asks the memory for what find and insert will look at.
    void prefetch(const Key& key) const {
        if (!slots_.empty()) {
            __builtin_prefetch(&slots_[hash_of(key) & (slots_.size() - 1)]);
        }
    }
    static Key key_of(std::string_view text) {
        const size_t size = text.size();
        if (size > kShortBytesMax) {
            return key_of_long(text);
        }
        const uint64_t length = uint64_t{size} << 56;
        if (size < 8) {
            return {load_up_to_7(text.data(), size), length};
        }
        return {load<uint64_t>(text.data()), load_up_to_7(text.data() + 8, size - 8) | length};
    }
    static size_t hash_of(const Key& key) {
        const uint64_t mixed = (key.low ^ (key.high * kMultiplier)) * kMultiplier;
        return static_cast<size_t>((mixed ^ (mixed >> 32)) * kMultiplier >> 24);
    }
    size_t size() const { return entries_.size(); }

    template <typename Visit>  // visit(text, value)
    void for_each(const Visit& visit) const {
        for (const Entry& entry : entries_) {
            visit(text_of(entry), entry.value);
        }
    }

  private:
    static constexpr uint64_t kMultiplier = 0x9E3779B97F4A7C15;

    struct Entry {
        uint64_t offset;  // in arena_
        uint32_t bytes;
        uint32_t value;
    };
    struct Slot {
        Key key;
        uint32_t entry = kNone;
        uint32_t value = kNone;
    };

    template <typename Word>
    static uint64_t load(const char* bytes) {
        Word word = 0;
        std::memcpy(&word, bytes, sizeof(word));
        return word;
    }
    // Up to 7 bytes as one number, by overlapping loads and no loop.
    static uint64_t load_up_to_7(const char* bytes, size_t count) {
        if (count >= 4) {
            return load<uint32_t>(bytes) | load<uint32_t>(bytes + count - 4) << (8 * (count - 4));
        }
        if (count == 0) {
            return 0;
        }
        const auto at = [bytes](size_t i) {
            return uint64_t{static_cast<unsigned char>(bytes[i])};
        };
        return at(0) | at(count / 2) << (8 * (count / 2)) | at(count - 1) << (8 * (count - 1));
    }
    static Key key_of_long(std::string_view text);
    static bool is_long(const Key& key) { return key.high >> 56 == 0xFF; }

    std::string_view text_of(const Entry& entry) const {
        return {arena_.data() + entry.offset, entry.bytes};
    }
    // The slot of the text, or the empty one where it would go.
    size_t slot_of(std::string_view text, const Key& key) const {
        const size_t mask = slots_.size() - 1;
        size_t at = hash_of(key) & mask;
        while (slots_[at].entry != kNone &&
               !(slots_[at].key == key &&
                 (!is_long(key) || text_of(entries_[slots_[at].entry]) == text))) {
            at = (at + 1) & mask;
        }
        return at;
    }
    void grow(size_t slots);

    std::vector<char> arena_;
    std::vector<Entry> entries_;
    LargeVector<Slot> slots_;
};

}  // namespace weir::text
