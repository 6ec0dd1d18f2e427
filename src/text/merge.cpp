#include "text/merge.h"

#include <algorithm>
#include <array>
#include <bit>
#include <functional>
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
// Up to here the heap is small enough to be the fastest.
constexpr size_t kHeapSymbolsMax = 512;
// How much of a longer piece is merged at once.
constexpr size_t kWindowSymbols = 256;

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

    // Leaves the symbols that remain in scratch.symbols and where they began in scratch.begins.
    void collect() {
        scratch_.begins.clear();
        for (uint32_t at = 0; at != kEnd; at = scratch_.next[at]) {
            scratch_.symbols[scratch_.begins.size()] = scratch_.symbols[at];
            scratch_.begins.push_back(at);
        }
        scratch_.symbols.resize(scratch_.begins.size());
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

// Over very long pieces the heap's jumps through memory cost more than all else. So a long piece is
// merged window by window, and the seams are mended.
//
// Why that is exact: the next merge is always that of the lowest rank, the leftmost among equals.
// Look at two neighbours of a result alone: what happens within their two spans, and between them,
// happens in the same order as in the whole text, as long as nothing reaches in from outside. So if
// no two neighbours would merge into anything else by themselves, the first merge across any border
// of the result can never come, and the result is what merging the whole text gives. Within a
// window neighbours are right by that rule read backwards; at a seam a few of them are merged again
// together, and if the outermost two come out as they went in, every pair stands in a merge that
// kept it. Otherwise more of them are taken. A text that needs too much of that is merged as a
// whole.
class WindowMerger {
  public:
    WindowMerger(const MergeTable& table, BpeScratch& scratch)
        : table_(table), scratch_(scratch), source_(std::move(scratch.symbols)) {}

    void run() {
        for (size_t begin = 0; begin < source_.size(); begin += kWindowSymbols) {
            const size_t end = std::min(begin + kWindowSymbols, source_.size());
            merge_stretch(begin, end, right_);
            if (!join(end)) {
                merge_whole();
                return;
            }
        }
        scratch_.symbols = std::move(left_.symbols);
    }

  private:
    static constexpr size_t kSeamResults = 4;
    static constexpr size_t kMendingMax = 8;  // symbols merged again, for each symbol of the piece

    struct Results {
        std::vector<uint32_t> symbols;
        std::vector<uint32_t> begins;  // where each begins in source_
        size_t size() const { return symbols.size(); }
    };

    void merge_stretch(size_t begin, size_t end, Results& out) {
        scratch_.symbols.assign(source_.begin() + static_cast<ptrdiff_t>(begin),
                                source_.begin() + static_cast<ptrdiff_t>(end));
        look_up_all(table_, scratch_);
        merge_by_heap(table_, scratch_);
        out.symbols.assign(scratch_.symbols.begin(), scratch_.symbols.end());
        out.begins.resize(out.symbols.size());
        for (size_t i = 0; i < out.begins.size(); ++i) {
            out.begins[i] = static_cast<uint32_t>(begin) + scratch_.begins[i];
        }
    }

    // Puts right_, which ends at `end`, behind left_. False if that takes too much.
    bool join(size_t end) {
        if (left_.size() == 0) {
            std::swap(left_, right_);
            return true;
        }
        for (size_t count = kSeamResults;; count *= 2) {
            const size_t from_left = std::min(count, left_.size());
            const size_t from_right = std::min(count, right_.size());
            const size_t kept = left_.size() - from_left;
            const bool all_left = kept == 0;
            const bool all_right = from_right == right_.size();
            const size_t seam_begin = all_left ? 0 : left_.begins[kept];
            const size_t seam_end = all_right ? end : right_.begins[from_right];
            mended_ += seam_end - seam_begin;
            if (mended_ > kMendingMax * source_.size()) {
                return false;
            }
            merge_stretch(seam_begin, seam_end, seam_);
            const bool left_holds =
                all_left || (seam_.symbols.front() == left_.symbols[kept] && seam_.size() > 1 &&
                             seam_.begins[1] == left_.begins[kept + 1]);
            const bool right_holds =
                all_right || (seam_.symbols.back() == right_.symbols[from_right - 1] &&
                              seam_.begins.back() == right_.begins[from_right - 1]);
            if (left_holds && right_holds) {
                append(kept, from_right);
                return true;
            }
        }
    }

    void append(size_t kept, size_t from_right) {
        const auto replace_end = [&](std::vector<uint32_t>& left, const std::vector<uint32_t>& seam,
                                     const std::vector<uint32_t>& right) {
            left.resize(kept);
            left.insert(left.end(), seam.begin(), seam.end());
            left.insert(left.end(), right.begin() + static_cast<ptrdiff_t>(from_right),
                        right.end());
        };
        replace_end(left_.symbols, seam_.symbols, right_.symbols);
        replace_end(left_.begins, seam_.begins, right_.begins);
    }

    void merge_whole() {
        scratch_.symbols = source_;
        look_up_all(table_, scratch_);
        merge_by_heap(table_, scratch_);
    }

    const MergeTable& table_;
    BpeScratch& scratch_;
    std::vector<uint32_t> source_;
    Results left_;
    Results right_;
    Results seam_;
    size_t mended_ = 0;
};

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
        WindowMerger(table, scratch).run();
    } else {
        merge_by_heap(table, scratch);
    }
}

}  // namespace weir::text
