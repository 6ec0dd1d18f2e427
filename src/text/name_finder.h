#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace weir::text {

// Finds, for every place of a text, the longest of a set of names that begins there, in time
// linear in the text whatever the names and the text: an Aho-Corasick automaton of the names read
// backwards, which runs over the text from its end. Where it stands after the byte at a place, it
// knows the longest beginning of a backward name that ends there, which is a name from there on.
// Forwards, the longest name is only known behind its last byte, and what was read ahead in vain
// would be read again for the next place.
//
// Threads: immutable once built. Ownership: copies what it needs of the names.
class NameFinder {
  public:
    struct Found {
        size_t begin;
        uint32_t name;  // its number
    };

    NameFinder() = default;
    // `numbers[i]` is what Found says of `names[i]`. No name is empty or there twice.
    NameFinder(std::span<const std::string_view> names, std::span<const uint32_t> numbers);

    bool empty() const { return longest_ == 0; }
    size_t longest() const { return longest_; }  // of the names, in bytes

    // Appends what begins in [begin, end) and ends at `limit` or before, from the last one to the
    // first.
    void find(std::string_view text, size_t begin, size_t end, size_t limit,
              std::vector<Found>& out) const;

  private:
    static constexpr uint32_t kRoot = 0;
    static constexpr uint32_t kNone = UINT32_MAX;
    struct Node {
        uint32_t children_begin = 0;  // side by side, ascending by byte
        uint32_t children_end = 0;
        uint32_t fallback = kRoot;  // the longest other beginning that this one ends with
        uint32_t name = kNone;      // the longest name that this one ends with
        unsigned char byte = 0;
    };
    uint32_t child(uint32_t node, unsigned char byte) const;  // kNone if there is none
    uint32_t step(uint32_t node, unsigned char byte) const;

    std::vector<Node> nodes_;
    std::array<uint32_t, 256> from_root_{};  // kRoot where no name ends with the byte
    size_t longest_ = 0;
};

}  // namespace weir::text
