#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kv/block_pool.h"
#include "kv/prefix_tree.h"
#include "kv/state.h"

namespace weir::kv {

class KvCache;

// A point that a sequence can go back to, for as long as this exists. One at a time per sequence.
class Snapshot {
  public:
    uint32_t position() const { return position_; }

  private:
    friend class SequenceState;
    Snapshot(uint32_t position, std::optional<BlockLease> recurrent)
        : position_(position), recurrent_(std::move(recurrent)) {}
    uint32_t position_;
    std::optional<BlockLease> recurrent_;
};

// All that one sequence remembers: a block table per attention group, and its recurrent state.
//
// The order of calls for one pass: reserve(position + n), plan_checkpoints(), view() for the model,
// advance(n), publish().
//
// Threads: one, the engine's. Ownership: leases of the cache's blocks; given back on destruction,
// except what was published, which the tree keeps until it needs the room.
// Invariant: blocks that others can see (published ones) are never written; a sequence that goes
// back into one gets a copy.
class SequenceState {
  public:
    SequenceState(SequenceState&&) noexcept = default;
    SequenceState& operator=(SequenceState&&) = delete;
    ~SequenceState();

    uint32_t position() const { return position_; }                // tokens computed
    uint32_t restored_tokens() const { return restored_tokens_; }  // of them, found in the tree
    // What the tree knew of the tokens when this began, at least what was restored. Where it is
    // more, two prompts have met here that may meet again: a good place for a checkpoint.
    uint32_t seen_tokens() const { return seen_tokens_; }

    // What the tables take at most for each block held: entries, three times while a table moves to
    // twice its size.
    static constexpr uint64_t bytes_per_block() {
        return 3 * (sizeof(std::optional<BlockLease>) + sizeof(std::byte*) + sizeof(PrefixNode*));
    }

    // Positions that the blocks held have room for, from 0 on.
    uint32_t covered() const;
    // Blocks that reserve(tokens) would take.
    uint32_t blocks_needed(uint32_t tokens) const;
    // Blocks that would become available if this sequence went away now.
    uint32_t reclaimable_blocks() const;

    // Gives back the blocks that a window has passed; reserve() begins with it.
    void drop_passed_blocks();

    // Drops the blocks that a window has passed, and makes room for positions below `tokens`.
    // False: the pool is exhausted; nothing was taken.
    [[nodiscard]] bool reserve(uint32_t tokens);

    // For the model. Valid until the next call that is not const.
    SequenceView view();

    // `count` tokens have been computed, for which room was reserved.
    void advance(uint32_t count);

    enum class Keep : uint8_t {
        Durable,  // stays until it is evicted
        Rolling,  // replaces this sequence's last rolling one
    };
    struct Checkpoint {
        uint32_t position = 0;  // the end of a block
        Keep keep = Keep::Durable;
    };
    // At most so many in one pass; those further on are left out.
    static constexpr size_t kCheckpointsPerPass = 8;
    // Where the next pass is to copy the recurrent state: ascending, after position() and within
    // what is reserved. Those that find no slot are left out, which costs speed later. Nothing
    // happens for a model without recurrent state.
    void plan_checkpoints(std::span<const Checkpoint> wanted);

    // Puts the whole blocks so far into the tree, and the checkpoints that the last pass has made,
    // for others and for this sequence after a preemption. `tokens` are the sequence's, at least
    // position() of them. A model with recurrent state can only be resumed at a checkpoint.
    void publish(std::span<const TokenId> tokens);

    // Others are expected to go on at `position` in their own way: so the window blocks that they
    // will need there are kept longer than others that this sequence passes. What is published.
    void expect_return(uint32_t position);

    // Nothing: no recurrent slot is to be had.
    std::optional<Snapshot> snapshot();
    // Back to where the snapshot was taken, at or before position(). False: that is in the middle
    // of a published block and there is no block for a copy; the sequence must be given up.
    [[nodiscard]] bool rollback(Snapshot snapshot);
    void discard(Snapshot snapshot);

  private:
    friend class KvCache;
    SequenceState(KvCache& cache, const PrefixKey& key, std::optional<BlockLease> recurrent);

    // One group's blocks. `first` is the first that has not been dropped.
    struct Table {
        std::vector<std::optional<BlockLease>> blocks;
        std::vector<std::byte*> addresses;
        uint32_t first = 0;
    };
    // Destroyed exactly once, also when a SequenceState has been moved from.
    struct Owner {
        KvCache* cache;
        explicit Owner(KvCache* c) : cache(c) {}
        Owner(Owner&& other) noexcept : cache(other.cache) { other.cache = nullptr; }
    };

    void restore(std::span<PrefixNode* const> path);
    bool own_tail_block();
    void leave_path(uint32_t blocks);
    void extend_path(std::span<const TokenId> tokens);
    void keep_checkpoints();
    void keep_checkpoint(PrefixNode& node, BlockLease copy, Keep keep);

    Owner owner_;
    PrefixKey key_;
    uint32_t position_ = 0;
    uint32_t restored_tokens_ = 0;
    uint32_t seen_tokens_ = 0;
    std::vector<Table> tables_;  // [groups]
    std::vector<std::span<std::byte* const>> view_;
    std::vector<PrefixNode*> path_;  // the tree's nodes of the first blocks, pinned
    std::optional<BlockLease> recurrent_;
    struct PlannedCheckpoint {
        Checkpoint what;
        BlockLease copy;
    };
    std::vector<PlannedCheckpoint> planned_;  // by the next pass, or made by the last one
    std::vector<StateCopy> copies_;           // the same, for the model
    PrefixNode* rolling_ = nullptr;           // in path_; holds this sequence's rolling checkpoint
    std::optional<uint32_t> snapshot_position_;
};

}  // namespace weir::kv
