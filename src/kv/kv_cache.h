#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/result.h"
#include "kv/memory_region.h"
#include "kv/prefix_tree.h"
#include "kv/sequence_state.h"

namespace weir::kv {

// How much to reserve. All of it is reserved at once; nothing is allocated for tokens later.
struct KvLimits {
    uint32_t blocks = 0;           // of pool_block_bytes(spec) each, all groups together
    uint32_t recurrent_slots = 0;  // running sequences, checkpoints and snapshots together

    friend bool operator==(const KvLimits&, const KvLimits&) = default;
};

// The bytes that `limits` reserve, exactly. Errors: InvalidArgument if they do not fit 64 bits.
Result<uint64_t> reserved_bytes(const StateSpec& spec, const KvLimits& limits);

// What the tables beside them take at most: of the pool, of the prefix tree, and of the sequences
// that hold the blocks. A block that several sequences hold takes 32 bytes more for each of them.
uint64_t table_bytes(const StateSpec& spec, const KvLimits& limits);

// The blocks that one sequence of `tokens` tokens holds at most, while it is computed in slices of
// at most `slice_tokens_max`.
uint64_t worst_case_blocks(const StateSpec& spec, uint32_t tokens, uint32_t slice_tokens_max);

// What is where. free + evictable is what a sequence can be given; the rest is in use.
struct KvUsage {
    uint32_t blocks_total = 0;
    uint32_t blocks_free = 0;
    uint32_t blocks_evictable = 0;
    uint32_t recurrent_total = 0;
    uint32_t recurrent_free = 0;
    uint32_t recurrent_evictable = 0;  // checkpoints

    uint32_t blocks_available() const { return blocks_free + blocks_evictable; }
    uint32_t blocks_used() const { return blocks_total - blocks_available(); }
    uint32_t recurrent_available() const { return recurrent_free + recurrent_evictable; }
};

// The memory of all sequences of one model: blocks, recurrent slots and the prefix tree over them.
//
// Threads: one, the engine's. Ownership: owns the memory; sequences and snapshots that were begun
// here must be gone before it is.
class KvCache {
  public:
    // Errors: DataCorrupt or Unsupported for a spec that no model can mean, ResourceExhausted.
    static Result<std::unique_ptr<KvCache>> create(const StateSpec& spec, const KvLimits& limits);
    KvCache(const KvCache&) = delete;
    KvCache& operator=(const KvCache&) = delete;

    // A new sequence that is going to compute `tokens`; it begins with what the tree remembers of
    // the first `reuse_max` of them (give one less than all: the last token's logits are needed).
    // Nothing: every recurrent slot is in use.
    std::optional<SequenceState> begin(const PrefixKey& key, std::span<const TokenId> tokens,
                                       uint32_t reuse_max);

    // What `begin` would find, without doing or counting anything.
    struct Probe {
        uint32_t tokens = 0;            // already computed
        uint32_t evictable_blocks = 0;  // of the blocks found: no sequence holds them yet
    };
    Probe probe(const PrefixKey& key, std::span<const TokenId> tokens, uint32_t reuse_max) const;

    KvUsage usage() const;
    const PrefixStats& stats() const { return tree_.stats; }
    const StateSpec& spec() const { return spec_; }
    void drop_prefixes() { tree_.clear(); }  // everything that no sequence is using

  private:
    friend class SequenceState;
    KvCache(const StateSpec& spec, const KvLimits& limits, MemoryRegion memory);

    std::optional<BlockLease> acquire_block();
    std::optional<BlockLease> acquire_slot();

    const StateSpec spec_;
    const MemoryRegion memory_;
    BlockPool blocks_;
    BlockPool slots_;
    PrefixTree tree_;  // last: its leases go back to the pools
};

}  // namespace weir::kv
