// Every way to merge the symbols of a piece: a few at once, by a heap, by passes over dense ranks,
// by windows. They are one file because they must give the same symbols, and hand a piece on to
// each other where another way is cheaper.

#include "text/merge.h"

#include <algorithm>
#include <array>
#include <bit>
#include <functional>
#include <limits>
#include <span>
#include <utility>

#include "base/check.h"

namespace weir::text {
namespace {

constexpr size_t kSlotsMin = 16;

// Half full at most.
size_t slots_for(size_t merges) {
    return std::max(kSlotsMin, std::bit_ceil(merges * 2));
}

// So many filter bits for each merge: one look-up in sixteen that could have been spared is not.
constexpr size_t kFilterBitsPerMerge = 16;

// What merge_few takes: one bit of a number for each symbol.
constexpr size_t kFewSymbolsMax = 64;

// The pairs of up to 64 symbols, to find the one to merge next: rank and place in one number, so
// that the least of them is it. Eight at a time have their least kept, so that a change looks at
// few.
class PairKeys {
  public:
    static constexpr uint32_t kNone = UINT32_MAX;

    explicit PairKeys(size_t count) : blocks_((count + kBlock - 1) / kBlock) {
        std::fill_n(keys_.begin(), blocks_ * kBlock, kNone);
    }

    // To be followed by settle.
    void set(size_t place, uint32_t rank) {
        keys_[place] =
            rank == Merge::kNever ? kNone : rank << kPlaceBits | static_cast<uint32_t>(place);
    }
    void settle(size_t place) {
        const size_t block = place / kBlock;
        least_[block] = least_of(keys_.data() + block * kBlock);
    }
    void settle_all() {
        for (size_t block = 0; block < blocks_; ++block) {
            settle(block * kBlock);
        }
    }
    // kNone where nothing merges.
    uint32_t least() const {
        uint32_t least = least_[0];
        for (size_t block = 1; block < blocks_; ++block) {
            least = std::min(least, least_[block]);
        }
        return least;
    }
    static size_t place_of(uint32_t key) { return key & ((1U << kPlaceBits) - 1); }

    static constexpr size_t kBlock = 8;

  private:
    static constexpr unsigned kPlaceBits = 6;
    static_assert(kFewSymbolsMax == size_t{1} << kPlaceBits);
    static_assert(uint64_t{Merge::kRanksMax} << kPlaceBits < kNone);

    static uint32_t least_of(const uint32_t* keys) {
        const uint32_t a = std::min(std::min(keys[0], keys[1]), std::min(keys[2], keys[3]));
        const uint32_t b = std::min(std::min(keys[4], keys[5]), std::min(keys[6], keys[7]));
        return std::min(a, b);
    }

    size_t blocks_;
    std::array<uint32_t, kFewSymbolsMax> keys_;
    std::array<uint32_t, kFewSymbolsMax / kBlock> least_;
};

// Merges up to 64 symbols in place and returns which of the places still hold one. Quadratic, but
// in a bounded number, and without the jumps through memory that a heap costs.
uint64_t merge_few(const MergeTable& table, std::span<uint32_t> symbols, uint64_t& steps) {
    const size_t count = symbols.size();
    PairKeys keys(count);
    std::array<uint32_t, kFewSymbolsMax> results;
    const auto look_up = [&](size_t place, size_t next) {
        const Merge merge = table.find(symbols[place], symbols[next]);
        results[place] = merge.result;
        keys.set(place, merge.rank);
    };
    for (size_t place = 0; place + 1 < count; ++place) {
        look_up(place, place + 1);
    }
    keys.settle_all();
    steps += count;
    uint64_t live = count == kFewSymbolsMax ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
    for (uint32_t best = keys.least(); best != PairKeys::kNone; best = keys.least()) {
        const size_t place = PairKeys::place_of(best);
        const uint64_t behind = live & (~uint64_t{1} << place);  // not empty: the pair's other half
        const uint64_t after = behind & (behind - 1);
        const uint64_t before = live & ((uint64_t{1} << place) - 1);
        const auto gone = static_cast<size_t>(std::countr_zero(behind));
        live ^= behind ^ after;
        symbols[place] = results[place];
        keys.set(gone, Merge::kNever);
        if (after == 0) {
            keys.set(place, Merge::kNever);
        } else {
            look_up(place, static_cast<size_t>(std::countr_zero(after)));
        }
        if (before != 0) {
            const auto left = static_cast<size_t>(std::bit_width(before)) - 1;
            look_up(left, place);
            if (left / PairKeys::kBlock != place / PairKeys::kBlock) {
                keys.settle(left);
            }
        }
        keys.settle(place);
        if (gone / PairKeys::kBlock != place / PairKeys::kBlock) {
            keys.settle(gone);
        }
        steps += 2;
    }
    return live;
}

// The same for a whole piece, which most words are.
void merge_short(const MergeTable& table, BpeScratch& scratch) {
    std::vector<uint32_t>& symbols = scratch.symbols;
    uint64_t live = merge_few(table, symbols, scratch.steps);
    size_t count = 0;
    for (; live != 0; live &= live - 1) {
        symbols[count++] = symbols[static_cast<size_t>(std::countr_zero(live))];
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
// linear. A few passes may find little: what stands before or behind a run has ranks of its own.
// What remains is for the merger that follows.
void merge_dense_ranks(const MergeTable& table, BpeScratch& scratch) {
    constexpr size_t kDensePart = 8;
    constexpr size_t kProgressPart = 16;
    constexpr unsigned kSparsePassesMax = 3;
    unsigned sparse_passes = 0;
    look_up_all(table, scratch);
    while (true) {
        const size_t count = scratch.symbols.size();
        uint32_t lowest = Merge::kNever;
        size_t places = 0;
        for (const Merge& merge : scratch.merges) {
            places = merge.rank == lowest ? places + 1 : merge.rank < lowest ? 1 : places;
            lowest = std::min(lowest, merge.rank);
        }
        scratch.steps += count;
        if (lowest == Merge::kNever) {
            return;
        }
        const size_t merged = merge_all_of(lowest, table, scratch);
        const bool dense = places >= count / kDensePart;
        sparse_passes += dense ? 0 : 1;
        if (sparse_passes > kSparsePassesMax || (dense && merged < count / kProgressPart)) {
            return;
        }
    }
}

// Whether passes over the whole piece are worth trying, by a look at a part of it: in a run few
// symbols differ from the one before the one before them.
bool looks_like_a_run(std::span<const uint32_t> symbols) {
    constexpr size_t kSample = 512;
    const auto sample =
        symbols.subspan(symbols.size() / 2).first(std::min(kSample, symbols.size() / 2));
    size_t repeats = 0;
    for (size_t i = 2; i < sample.size(); ++i) {
        repeats += sample[i] == sample[i - 2] || sample[i] == sample[i - 1] ? 1 : 0;
    }
    return repeats >= sample.size() / 2;
}

// A long piece is merged from left to right, a window at a time, each beginning a few results back:
// over all of it at once, jumping through memory would cost more than all else.
//
// Why that is exact: the next merge is always that of the lowest rank, the leftmost among equals.
// Look at two neighbours of a result alone: what happens within their two spans, and between them,
// happens in the same order as in the whole text, as long as nothing reaches in from outside. So if
// no two neighbours would merge into anything else by themselves, the first merge across any border
// of the result can never come, and the result is what merging the whole text gives. By the same
// rule read backwards all neighbours in a merged stretch are right. So when a window's first result
// is the one that stood there before, every pair up to it and every pair from it on stands in a
// stretch that kept it, and the results before it and the window's together are those of the text
// so far. When it is not, the window begins further back. A text that needs too much of that is
// merged as a whole.
class WindowMerger {
  public:
    WindowMerger(const MergeTable& table, BpeScratch& scratch)
        : table_(table), scratch_(scratch), source_(std::move(scratch.symbols)) {
        results_.reserve(source_.size() / 2);
        begins_.reserve(source_.size() / 2);
    }

    void run() {
        while (done_ < source_.size()) {
            if (!extend()) {
                merge_whole();
                return;
            }
        }
        scratch_.symbols = std::move(results_);
    }

  private:
    static constexpr size_t kResultsBackMax = 4;
    static constexpr size_t kSymbolsBack = 20;  // more results than one only up to here
    static constexpr size_t kWorkMax = 8;       // symbols merged, for each symbol of the piece

    // How many of the last results the next window begins with.
    size_t results_back() const {
        size_t back = std::min(size_t{1}, results_.size());
        while (back < kResultsBackMax && back < results_.size() &&
               done_ - begins_[results_.size() - back - 1] <= kSymbolsBack) {
            ++back;
        }
        return back;
    }

    // Merges one window more. False if that takes too much.
    bool extend() {
        for (size_t back = results_back();; back = std::min(back * 2, results_.size())) {
            const size_t kept = results_.size() - back;
            const size_t begin = kept == 0 ? 0 : begins_[kept];
            const size_t again = done_ - begin;
            const size_t fresh = std::max(kFewSymbolsMax - std::min(again, kFewSymbolsMax), again);
            const size_t end = begin + again + std::min(fresh, source_.size() - done_);
            work_ += end - begin;
            if (work_ > kWorkMax * source_.size()) {
                return false;
            }
            merge_stretch(begin, end);
            const size_t first_end = (back > 1 ? begins_[kept + 1] : done_) - begin;
            const bool holds =
                kept == 0 || (stretch_.size() > 1 && stretch_.front() == results_[kept] &&
                              stretch_begins_[1] == first_end);
            if (holds) {
                append(kept, begin);
                done_ = end;
                return true;
            }
        }
    }

    void merge_stretch(size_t begin, size_t end) {
        const auto first = source_.begin() + static_cast<ptrdiff_t>(begin);
        const auto last = source_.begin() + static_cast<ptrdiff_t>(end);
        if (end - begin > kFewSymbolsMax) {
            scratch_.symbols.assign(first, last);
            look_up_all(table_, scratch_);
            merge_by_heap(table_, scratch_);
            std::swap(stretch_, scratch_.symbols);
            std::swap(stretch_begins_, scratch_.begins);
            return;
        }
        stretch_.assign(first, last);
        stretch_begins_.resize(stretch_.size());
        uint64_t live = merge_few(table_, stretch_, scratch_.steps);
        uint32_t count = 0;
        for (; live != 0; live &= live - 1) {
            const auto place = static_cast<uint32_t>(std::countr_zero(live));
            stretch_[count] = stretch_[place];
            stretch_begins_[count++] = place;
        }
        stretch_.resize(count);
        stretch_begins_.resize(count);
    }

    void append(size_t kept, size_t begin) {
        results_.resize(kept);
        begins_.resize(kept);
        results_.insert(results_.end(), stretch_.begin(), stretch_.end());
        for (const uint32_t place : stretch_begins_) {
            begins_.push_back(static_cast<uint32_t>(begin) + place);
        }
    }

    void merge_whole() {
        scratch_.symbols = std::move(source_);
        look_up_all(table_, scratch_);
        merge_by_heap(table_, scratch_);
    }

    const MergeTable& table_;
    BpeScratch& scratch_;
    std::vector<uint32_t> source_;
    size_t done_ = 0;                // of source_
    std::vector<uint32_t> results_;  // of what is done
    std::vector<uint32_t> begins_;   // where each begins in source_
    std::vector<uint32_t> stretch_;  // the results of the window
    std::vector<uint32_t> stretch_begins_;
    size_t work_ = 0;
};

}  // namespace

void MergeTable::reserve(size_t merges) {
    grow(slots_for(merges));
}

void MergeTable::grow(size_t slots) {
    if (slots <= slots_.size()) {
        return;
    }
    const LargeVector<Slot> before = std::exchange(slots_, LargeVector<Slot>(slots));
    mask_ = slots - 1;
    // Half full at most, so this is twice as many bits for each slot.
    filter_.assign(slots / 2 * kFilterBitsPerMerge / 64, 0);
    filter_mask_ = filter_.size() * 64 - 1;
    for (const Slot& slot : before) {
        if (slot.key == kEmpty) {
            continue;
        }
        const uint64_t hash = hash_of(slot.key);
        size_t at = slot_of(hash);
        while (slots_[at].key != kEmpty) {
            at = (at + 1) & mask_;
        }
        slots_[at] = slot;
        pass(hash);
    }
}

void MergeTable::insert(uint32_t left, uint32_t right, Merge merge) {
    WEIR_ASSERT(merge.rank < Merge::kRanksMax);
    grow(slots_for(used_ + 1));
    const uint64_t key = key_of(left, right);
    size_t at = slot_of(hash_of(key));
    while (slots_[at].key != kEmpty && slots_[at].key != key) {
        at = (at + 1) & mask_;
    }
    if (slots_[at].key == kEmpty) {
        slots_[at] = {key, merge};
        pass(hash_of(key));
        ++used_;
    } else if (merge.rank < slots_[at].merge.rank) {
        slots_[at].merge = merge;
    }
}

void merge_symbols(const MergeTable& table, BpeScratch& scratch) {
    if (scratch.symbols.size() <= kFewSymbolsMax) {
        if (!scratch.symbols.empty()) {
            merge_short(table, scratch);
        }
        return;
    }
    if (looks_like_a_run(scratch.symbols)) {
        merge_dense_ranks(table, scratch);
    }
    if (scratch.symbols.size() > 1) {
        WindowMerger(table, scratch).run();
    }
}

}  // namespace weir::text
