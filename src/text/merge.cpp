#include "text/merge.h"

#include <algorithm>
#include <array>
#include <bit>
#include <functional>
#include <queue>
#include <utility>

namespace weir::text {
namespace {

constexpr size_t kSlotsMin = 16;

// Half full at most.
size_t slots_for(size_t merges) {
    return std::max(kSlotsMin, std::bit_ceil(merges * 2));
}

// Up to here a plain scan for the lowest rank beats the heap; most pieces are words.
constexpr size_t kScanSymbolsMax = 40;
// Up to here the heap stays in the caches.
constexpr size_t kHeapSymbolsMax = 2048;

// Quadratic in a bounded number of symbols, without any bookkeeping.
void merge_by_scanning(const MergeTable& table, BpeScratch& scratch) {
    std::vector<uint32_t>& symbols = scratch.symbols;
    std::array<Merge, kScanSymbolsMax> merges;  // of symbol i with symbol i + 1
    size_t count = symbols.size();
    for (size_t i = 0; i + 1 < count; ++i) {
        merges[i] = table.find(symbols[i], symbols[i + 1]);
    }
    scratch.steps += count;
    while (count > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < count; ++i) {
            if (merges[i].rank < merges[best].rank) {
                best = i;
            }
        }
        if (merges[best].rank == Merge::kNever) {
            break;
        }
        symbols[best] = merges[best].result;
        for (size_t i = best + 1; i + 1 < count; ++i) {
            symbols[i] = symbols[i + 1];
            merges[i - 1] = merges[i];
        }
        --count;
        if (best + 1 < count) {
            merges[best] = table.find(symbols[best], symbols[best + 1]);
        }
        if (best > 0) {
            merges[best - 1] = table.find(symbols[best - 1], symbols[best]);
        }
        scratch.steps += 2;
    }
    symbols.resize(count);
}

// The merge of each symbol with the next one; none for the last.
void look_up_all(const MergeTable& table, BpeScratch& scratch) {
    const std::vector<uint32_t>& symbols = scratch.symbols;
    scratch.merges.assign(symbols.size(), Merge{});
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
        const bool as_before =
            i > 0 && symbols[i] == symbols[i - 1] && symbols[i + 1] == symbols[i];
        scratch.merges[i] =
            as_before ? scratch.merges[i - 1] : table.find(symbols[i], symbols[i + 1]);
    }
    scratch.steps += symbols.size();
}

// Symbols as a linked list, which both mergers of long pieces work on. scratch.merges is known.
class SymbolList {
  public:
    static constexpr uint32_t kEnd = UINT32_MAX;

    SymbolList(const MergeTable& table, BpeScratch& scratch)
        : table_(table), scratch_(scratch), count_(static_cast<uint32_t>(scratch.symbols.size())) {
        scratch_.previous.resize(count_);
        scratch_.next.resize(count_);
        for (uint32_t at = 0; at < count_; ++at) {
            scratch_.previous[at] = at == 0 ? kEnd : at - 1;
            scratch_.next[at] = at + 1 == count_ ? kEnd : at + 1;
        }
    }

    uint32_t count() const { return count_; }
    // Of the pair that begins at `at` now; kNever where none does.
    uint32_t rank(uint32_t at) const { return scratch_.merges[at].rank; }
    uint64_t& steps() { return scratch_.steps; }

    // Merges the pair at `at` and calls changed(at) for the pairs that came about by it.
    template <typename Changed>
    void merge(uint32_t at, const Changed& changed) {
        const uint32_t gone = scratch_.next[at];
        const uint32_t after = scratch_.next[gone];
        const uint32_t before = scratch_.previous[at];
        scratch_.symbols[at] = scratch_.merges[at].result;
        scratch_.merges[gone] = Merge{};
        scratch_.merges[at] = Merge{};
        scratch_.next[at] = after;
        if (before != kEnd) {
            look_up(before);
            changed(before);
        }
        if (after != kEnd) {
            scratch_.previous[after] = at;
            look_up(at);
            changed(at);
        }
    }

    // Leaves the symbols that remain in scratch.symbols.
    void collect() {
        size_t count = 0;
        for (uint32_t at = 0; at != kEnd; at = scratch_.next[at]) {
            scratch_.symbols[count++] = scratch_.symbols[at];
        }
        scratch_.symbols.resize(count);
    }

  private:
    void look_up(uint32_t at) {
        scratch_.merges[at] =
            table_.find(scratch_.symbols[at], scratch_.symbols[scratch_.next[at]]);
        ++scratch_.steps;
    }

    const MergeTable& table_;
    BpeScratch& scratch_;
    uint32_t count_;
};

// Entries are rank and position in one number, and never removed when their pair changes: an entry
// counts only if the pair at its position still has its rank. Each merge makes at most two new
// pairs, so that at most 3n entries go through the heap.
void merge_by_heap(const MergeTable& table, BpeScratch& scratch) {
    SymbolList list(table, scratch);
    std::vector<uint64_t>& heap = scratch.heap;
    heap.clear();
    const auto entry = [&](uint32_t at) {
        return uint64_t{list.rank(at)} << 32 | at;
    };
    for (uint32_t at = 0; at < list.count(); ++at) {
        if (list.rank(at) != Merge::kNever) {
            heap.push_back(entry(at));
        }
    }
    std::make_heap(heap.begin(), heap.end(), std::greater<>());
    while (!heap.empty()) {
        std::pop_heap(heap.begin(), heap.end(), std::greater<>());
        const uint64_t top = heap.back();
        heap.pop_back();
        ++list.steps();
        const auto position = static_cast<uint32_t>(top);
        if (list.rank(position) != top >> 32) {
            continue;
        }
        list.merge(position, [&](uint32_t at) {
            if (list.rank(at) != Merge::kNever) {
                heap.push_back(entry(at));
                std::push_heap(heap.begin(), heap.end(), std::greater<>());
                ++list.steps();
            }
        });
    }
    list.collect();
}

// Merges every pair of `rank`, the lowest there is, from left to right in one pass that reads and
// writes memory in order. Where a merge makes a pair that must come before the next of them, it is
// the last of the pass. Returns how many were merged; scratch.merges is true again afterwards.
size_t merge_all_of(uint32_t rank, const MergeTable& table, BpeScratch& scratch) {
    std::vector<uint32_t>& symbols = scratch.symbols;
    std::vector<Merge>& merges = scratch.merges;
    size_t merged = 0;
    size_t to = 0;
    bool overtaken = false;
    const auto look_up = [&](size_t at, uint32_t left, uint32_t right) {
        merges[at] = table.find(left, right);
        overtaken |= merges[at].rank <= rank;
        ++scratch.steps;
    };
    for (size_t from = 0; from < symbols.size(); ++from, ++to) {
        symbols[to] = symbols[from];
        if (merges[from].rank != rank || overtaken) {
            merges[to] = merges[from];
            continue;
        }
        symbols[to] = merges[from].result;
        ++merged;
        ++from;  // the right one of the pair
        if (to > 0) {
            look_up(to - 1, symbols[to - 1], symbols[to]);
        }
        merges[to] = Merge{};
        if (from + 1 < symbols.size()) {
            look_up(to, symbols[to], symbols[from + 1]);
        }
    }
    symbols.resize(to);
    merges.resize(to);
    return merged;
}

// A run of one letter, of spaces, of a short pattern: the pairs of the lowest rank are a good part
// of all pairs, and merging them leaves such a run again. As long as that is so, passes over the
// whole text are the fastest; each takes away a fixed part of it, so that all of them together are
// linear. What remains is for the mergers that follow.
void merge_dense_ranks(const MergeTable& table, BpeScratch& scratch) {
    constexpr size_t kDensePart = 8;
    constexpr size_t kProgressPart = 16;
    while (true) {
        const size_t count = scratch.symbols.size();
        uint32_t lowest = Merge::kNever;
        size_t places = 0;
        for (const Merge& merge : scratch.merges) {
            places = merge.rank == lowest ? places + 1 : merge.rank < lowest ? 1 : places;
            lowest = std::min(lowest, merge.rank);
        }
        scratch.steps += count;
        if (lowest == Merge::kNever || places < count / kDensePart ||
            merge_all_of(lowest, table, scratch) < count / kProgressPart) {
            return;
        }
    }
}

// For very long pieces the heap's jumps through memory cost more than all else. The same order
// comes from one list of positions a rank: lists fill from left to right, since they are filled by
// sweeps over the text, and are then read from left to right. What comes to a list once its reading
// has begun waits in a small heap beside it. A heap of ranks says which list is next.
class RankLists {
  public:
    bool empty() const { return ranks_.empty(); }

    void add(uint32_t rank, uint32_t position) {
        if (rank >= list_of_rank_.size()) {
            list_of_rank_.resize(std::max<size_t>(size_t{rank} + 1, list_of_rank_.size() * 2),
                                 kNoList);
        }
        uint32_t& index = list_of_rank_[rank];
        if (index == kNoList) {
            index = static_cast<uint32_t>(lists_.size());
            lists_.emplace_back();
        }
        List& list = lists_[index];
        if (!list.waiting_in_ranks) {
            list.waiting_in_ranks = true;
            ranks_.push(rank);
        }
        if (list.opened) {
            list.late.push(position);
        } else {
            list.sorted &= list.positions.empty() || list.positions.back() <= position;
            list.positions.push_back(position);
        }
    }

    struct Next {
        uint32_t rank;
        uint32_t position;
    };
    Next pop() {
        const uint32_t rank = ranks_.top();
        List& list = lists_[list_of_rank_[rank]];
        if (!list.opened) {
            list.opened = true;
            if (!list.sorted) {
                std::sort(list.positions.begin(), list.positions.end());
            }
        }
        const bool has_positions = list.read < list.positions.size();
        uint32_t position = 0;
        if (!list.late.empty() && (!has_positions || list.late.top() < list.positions[list.read])) {
            position = list.late.top();
            list.late.pop();
        } else {
            position = list.positions[list.read++];
        }
        if (list.read == list.positions.size() && list.late.empty()) {
            list.waiting_in_ranks = false;
            ranks_.pop();
        }
        return {rank, position};
    }

  private:
    static constexpr uint32_t kNoList = UINT32_MAX;
    template <typename T>
    using MinHeap = std::priority_queue<T, std::vector<T>, std::greater<>>;

    struct List {
        std::vector<uint32_t> positions;
        MinHeap<uint32_t> late;
        size_t read = 0;
        bool sorted = true;
        bool opened = false;
        bool waiting_in_ranks = false;
    };
    std::vector<uint32_t> list_of_rank_;
    std::vector<List> lists_;
    MinHeap<uint32_t> ranks_;  // of the lists that are not empty
};

void merge_by_rank_lists(const MergeTable& table, BpeScratch& scratch) {
    SymbolList list(table, scratch);
    RankLists queue;
    const auto add = [&](uint32_t at) {
        if (list.rank(at) != Merge::kNever) {
            queue.add(list.rank(at), at);
            ++list.steps();
        }
    };
    for (uint32_t at = 0; at < list.count(); ++at) {
        add(at);
    }
    while (!queue.empty()) {
        const auto [rank, position] = queue.pop();
        ++list.steps();
        if (list.rank(position) == rank) {
            list.merge(position, add);
        }
    }
    list.collect();
}

}  // namespace

void MergeTable::reserve(size_t merges) {
    grow(slots_for(merges));
}

void MergeTable::grow(size_t slots) {
    if (slots <= slots_.size()) {
        return;
    }
    const std::vector<Slot> before = std::exchange(slots_, std::vector<Slot>(slots));
    mask_ = slots - 1;
    for (const Slot& slot : before) {
        if (slot.key == kEmpty) {
            continue;
        }
        size_t at = slot_of(slot.key);
        while (slots_[at].key != kEmpty) {
            at = (at + 1) & mask_;
        }
        slots_[at] = slot;
    }
}

void MergeTable::insert(uint32_t left, uint32_t right, Merge merge) {
    grow(slots_for(used_ + 1));
    const uint64_t key = key_of(left, right);
    size_t at = slot_of(key);
    while (slots_[at].key != kEmpty && slots_[at].key != key) {
        at = (at + 1) & mask_;
    }
    if (slots_[at].key == kEmpty) {
        slots_[at] = {key, merge};
        ++used_;
    } else if (merge.rank < slots_[at].merge.rank) {
        slots_[at].merge = merge;
    }
}

void merge_symbols(const MergeTable& table, BpeScratch& scratch) {
    if (scratch.symbols.size() <= kScanSymbolsMax) {
        merge_by_scanning(table, scratch);
        return;
    }
    look_up_all(table, scratch);
    if (scratch.symbols.size() > kHeapSymbolsMax) {
        merge_dense_ranks(table, scratch);
    }
    if (scratch.symbols.size() > kHeapSymbolsMax) {
        merge_by_rank_lists(table, scratch);
    } else {
        merge_by_heap(table, scratch);
    }
}

}  // namespace weir::text
