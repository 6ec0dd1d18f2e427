#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace weir::text {

// Which texts of a vocabulary a text begins with. Built once in time linear in the texts, then read
// only; the children of a node lie side by side, sorted by their byte.
//
// Threads: immutable after building. Ownership: keeps no text.
class PrefixTrie {
  public:
    struct Entry {
        std::string_view text;  // not empty
        uint32_t value;         // not kNone
    };
    static constexpr uint32_t kNone = UINT32_MAX;

    PrefixTrie() = default;
    // Of equal texts the last one counts. All texts together have less than 4 GiB.
    explicit PrefixTrie(std::vector<Entry> entries);

    // Calls visit(bytes, value) for every text that `text` begins with, the shortest first.
    template <typename Visit>
    void each_prefix(std::string_view text, const Visit& visit) const {
        if (text.empty() || nodes_.empty()) {
            return;
        }
        uint32_t node = roots_[static_cast<unsigned char>(text[0])];
        for (size_t at = 1; node != kNone; ++at) {
            if (nodes_[node].value != kNone) {
                visit(at, nodes_[node].value);
            }
            if (at == text.size()) {
                return;
            }
            node = child(nodes_[node], static_cast<unsigned char>(text[at]));
        }
    }

  private:
    struct Node {
        uint32_t children = 0;  // the first one
        uint32_t value = kNone;
        uint16_t count = 0;  // of children
    };

    uint32_t child(const Node& node, unsigned char byte) const {
        uint32_t first = node.children;
        uint32_t count = node.count;
        while (count > kScanMax) {  // halves until few are left
            const uint32_t half = count / 2;
            const bool behind = labels_[first + half] <= byte;
            first = behind ? first + half : first;
            count = behind ? count - half : half;
        }
        for (uint32_t at = first; at < first + count; ++at) {
            if (labels_[at] == byte) {
                return at;
            }
        }
        return kNone;
    }

    static constexpr uint32_t kScanMax = 8;
    std::array<uint32_t, 256> roots_{};
    std::vector<Node> nodes_;
    std::vector<unsigned char> labels_;  // of each node, the byte that leads to it
};

}  // namespace weir::text
