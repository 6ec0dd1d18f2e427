#include "text/name_finder.h"

#include <algorithm>
#include <numeric>

namespace weir::text {
namespace {

// The byte `depth` bytes before the end.
unsigned char byte_from_end(std::string_view name, size_t depth) {
    return static_cast<unsigned char>(name[name.size() - 1 - depth]);
}

}  // namespace

// The trie of the backward names, a level at a time: a node stands for a stretch of the names in
// their sorted order, those that have its ending in common.
NameFinder::NameFinder(std::span<const std::string_view> names, std::span<const uint32_t> numbers) {
    struct Stretch {
        size_t begin;
        size_t end;
        size_t depth;
        uint32_t parent;
    };
    std::vector<size_t> order(names.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::ranges::sort(order, [&](size_t a, size_t b) {
        return std::lexicographical_compare(names[a].rbegin(), names[a].rend(), names[b].rbegin(),
                                            names[b].rend(), [](char x, char y) {
                                                return static_cast<unsigned char>(x) <
                                                       static_cast<unsigned char>(y);
                                            });
    });
    nodes_.emplace_back();
    std::vector<Stretch> stretches = {{0, names.size(), 0, kRoot}};
    for (uint32_t node = 0; node < nodes_.size(); ++node) {
        const auto [begin, end, depth, parent] = stretches[node];
        size_t at = begin;
        if (node != kRoot) {
            const uint32_t before = nodes_[parent].fallback;
            nodes_[node].fallback = parent == kRoot ? kRoot : step(before, nodes_[node].byte);
            nodes_[node].name = nodes_[nodes_[node].fallback].name;
            longest_ = std::max(longest_, depth);
            if (names[order[at]].size() == depth) {  // the shortest comes first
                nodes_[node].name = numbers[order[at++]];
            }
        }
        nodes_[node].children_begin = static_cast<uint32_t>(nodes_.size());
        while (at < end) {
            const unsigned char byte = byte_from_end(names[order[at]], depth);
            const size_t first = at;
            while (at < end && byte_from_end(names[order[at]], depth) == byte) {
                ++at;
            }
            if (node == kRoot) {
                from_root_[byte] = static_cast<uint32_t>(nodes_.size());
            }
            nodes_.push_back({.byte = byte});
            stretches.push_back({first, at, depth + 1, node});
        }
        nodes_[node].children_end = static_cast<uint32_t>(nodes_.size());
    }
}

uint32_t NameFinder::child(uint32_t node, unsigned char byte) const {
    const auto begin = nodes_.begin() + nodes_[node].children_begin;
    const auto end = nodes_.begin() + nodes_[node].children_end;
    const auto found = std::lower_bound(begin, end, byte,
                                        [](const Node& a, unsigned char b) { return a.byte < b; });
    return found == end || found->byte != byte ? kNone
                                               : static_cast<uint32_t>(found - nodes_.begin());
}

uint32_t NameFinder::step(uint32_t node, unsigned char byte) const {
    while (node != kRoot) {
        const uint32_t next = child(node, byte);
        if (next != kNone) {
            return next;
        }
        node = nodes_[node].fallback;
    }
    return from_root_[byte];
}

void NameFinder::find(std::string_view text, size_t begin, size_t end, size_t limit,
                      std::vector<Found>& out) const {
    uint32_t node = kRoot;
    for (size_t at = limit; at-- > begin;) {
        node = step(node, static_cast<unsigned char>(text[at]));
        if (at < end && nodes_[node].name != kNone) {
            out.push_back({at, nodes_[node].name});
        }
    }
}

}  // namespace weir::text
