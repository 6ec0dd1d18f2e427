#include "text/prefix_trie.h"

#include <algorithm>
#include <utility>

namespace weir::text {
namespace {

using Entry = PrefixTrie::Entry;

unsigned char byte_at(const Entry& entry, size_t depth) {
    return static_cast<unsigned char>(entry.text[depth]);
}

// Sorts by the byte at `depth`, which all texts have; equal ones keep their order.
void sort_by_byte(std::span<Entry> entries, size_t depth, std::vector<Entry>& scratch) {
    constexpr size_t kFew = 64;
    if (entries.size() < kFew) {
        // Insertion: most ranges are single entries or nearly so.
        for (size_t i = 1; i < entries.size(); ++i) {
            for (size_t j = i; j > 0 && byte_at(entries[j], depth) < byte_at(entries[j - 1], depth);
                 --j) {
                std::swap(entries[j], entries[j - 1]);
            }
        }
        return;
    }
    std::array<size_t, 257> begins{};
    for (const Entry& entry : entries) {
        ++begins[byte_at(entry, depth) + size_t{1}];
    }
    for (size_t byte = 1; byte < begins.size(); ++byte) {
        begins[byte] += begins[byte - 1];
    }
    scratch.assign(entries.begin(), entries.end());
    for (const Entry& entry : scratch) {
        entries[begins[byte_at(entry, depth)]++] = entry;
    }
}

}  // namespace

// Level by level: a node's range of entries is sorted by its next byte, and each run of one byte
// becomes a child. A text is looked at once for every byte that it has.
PrefixTrie::PrefixTrie(std::vector<Entry> entries) {
    struct Range {
        uint32_t begin;
        uint32_t end;
        uint32_t depth;
    };
    roots_.fill(kNone);
    std::vector<Range> ranges{{0, static_cast<uint32_t>(entries.size()), 0}};
    std::vector<Entry> scratch;
    nodes_.emplace_back();  // the root, which no text leads to
    labels_.push_back(0);
    for (size_t node = 0; node < ranges.size(); ++node) {
        const auto [range_begin, end, depth] = ranges[node];
        // Texts that end here have no next byte; the others move up behind each other.
        uint32_t begin = end;
        for (uint32_t at = end; at-- > range_begin;) {
            if (entries[at].text.size() > depth) {
                std::swap(entries[at], entries[--begin]);
            } else if (nodes_[node].value == kNone) {
                nodes_[node].value = entries[at].value;
            }
        }
        sort_by_byte(std::span(entries).subspan(begin, end - begin), depth, scratch);
        nodes_[node].children = static_cast<uint32_t>(nodes_.size());
        for (uint32_t at = begin; at < end;) {
            const unsigned char byte = byte_at(entries[at], depth);
            uint32_t run_end = at + 1;
            while (run_end < end && byte_at(entries[run_end], depth) == byte) {
                ++run_end;
            }
            if (depth == 0) {
                roots_[byte] = static_cast<uint32_t>(nodes_.size());
            }
            ++nodes_[node].count;
            nodes_.emplace_back();
            labels_.push_back(byte);
            ranges.push_back({at, run_end, depth + 1});
            at = run_end;
        }
    }
}

}  // namespace weir::text
