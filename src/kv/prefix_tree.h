#pragma once

#include <compare>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/token_id.h"
#include "kv/block_pool.h"
#include "kv/state.h"

namespace weir::kv {

// What must agree, beside the tokens, before one sequence may use what another computed. Fields are
// compared one by one: no text of one can imitate another.
struct PrefixKey {
    std::string tenant;
    std::string model;    // names the weights, not the file's path
    std::string adapter;  // empty: none
    std::string rope;     // the variant, where positions can be scaled per request
    friend auto operator<=>(const PrefixKey&, const PrefixKey&) = default;
};

// Tokens that were looked up, and what became of them. Only grows.
struct PrefixStats {
    uint64_t query_tokens = 0;
    uint64_t hit_tokens = 0;
    // Looked up and computed all the same, because …
    uint64_t never_seen_tokens = 0;     // … no cached sequence begins like this (any more)
    uint64_t partial_block_tokens = 0;  // … they fill no block, or the last one needs its logits
    uint64_t no_checkpoint_tokens = 0;  // … the recurrent state behind them is not kept
    uint64_t window_passed_tokens = 0;  // … a window group has dropped what they need
    uint64_t evicted_blocks = 0;        // to make room
    uint64_t evicted_checkpoints = 0;
};

// One block of tokens behind its parent's, and the memory that was computed for it.
struct PrefixNode {
    PrefixNode* parent = nullptr;
    const PrefixKey* key = nullptr;                 // a root's only
    std::vector<TokenId> tokens;                    // block_tokens of them; none in a root
    std::vector<std::optional<BlockLease>> blocks;  // [groups]; absent: a window passed it
    std::optional<BlockLease> checkpoint;           // the recurrent state after the last token
    uint64_t checkpoint_used = 0;                   // when it was made or given back last

    struct Less {
        using is_transparent = void;
        bool operator()(std::span<const TokenId> a, std::span<const TokenId> b) const;
    };
    std::map<std::span<const TokenId>, PrefixNode*, Less> children;  // by their tokens

    uint32_t pins = 0;  // sequences whose path goes through here
    uint32_t depth = 0;
    uint64_t last_used = 0;
    uint64_t serial = 0;
    // Of the sequence that went through here last and is over, the blocks of its path; 0: none is.
    uint32_t end = 0;
    uint64_t window_used = 0;  // when a sequence was or may be taken up by its window blocks; or 0
    uint32_t evictable_blocks = 0;  // its share of PrefixTree::evictable_blocks()
    std::list<PrefixNode>::iterator self;
};

// All the prefixes that can be given back: a radix tree whose edges are whole blocks. Children are
// found by comparing tokens; there is no hash to collide (TE3), and every tenant has roots of its
// own (TE1, TE2).
//
// Eviction takes the least recently used leaf that no sequence's path goes through, deepest first;
// besides, blocks of window groups that no running sequence needs and that the last one that is
// over had passed: they serve only who turns off there. So they go before any leaf, unless somebody
// did turn off there (the end of a system prompt) or is expected to (the end of a prompt): then by
// when that was. And recurrent checkpoints, which are copies and so always droppable: first the one
// that was not made or given back for the longest time. (That a sequence went through a
// checkpoint's node on its way to a later one is no use of it, and the deepest of a conversation,
// which its next turn needs, is not the first to go.)
//
// Threads: one, the engine's. Ownership: owns its nodes; leases blocks of pools that outlive it.
// Invariant: a pinned node's ancestors are pinned; evictable_blocks() is exact.
// Not here: acquiring blocks, and copying state (KvCache, SequenceState).
class PrefixTree {
  public:
    PrefixTree(const StateSpec& spec, uint32_t nodes_max);
    PrefixTree(const PrefixTree&) = delete;
    PrefixTree& operator=(const PrefixTree&) = delete;

    // The longest beginning of `tokens`, at most `tokens_max` of it, whose state can be restored.
    struct Match {
        std::vector<PrefixNode*> path;
        uint32_t seen_tokens = 0;  // whole blocks of them are known, whatever can be restored
        uint32_t never_seen_tokens = 0;
        uint32_t partial_block_tokens = 0;
        uint32_t no_checkpoint_tokens = 0;
        uint32_t window_passed_tokens = 0;
    };
    Match find(const PrefixKey& key, std::span<const TokenId> tokens, uint32_t tokens_max) const;

    // The child of `parent` (nullptr: the key's root) for one block of tokens, made if missing.
    // nullptr: the tree is full and nothing can be evicted. A new node has no blocks.
    PrefixNode* child(PrefixNode* parent, const PrefixKey& key, std::span<const TokenId> tokens);

    // Every change to a node that bears on eviction happens while one of these is alive.
    class Update {
      public:
        Update(PrefixTree& tree, PrefixNode& node) : tree_(tree), node_(node) {
            tree_.unlink(node_);
        }
        Update(const Update&) = delete;
        Update& operator=(const Update&) = delete;
        ~Update() { tree_.link(node_); }

      private:
        PrefixTree& tree_;
        PrefixNode& node_;
    };

    void pin(PrefixNode& node);  // the parent must be pinned already, or a root
    void unpin(PrefixNode& node);
    void touch(PrefixNode& node);
    void touch_checkpoint(PrefixNode& node);
    void touch_windows(PrefixNode& node);

    bool evict_one();         // false: nothing to evict. May free no block at all.
    bool evict_checkpoint();  // false: there is none
    void clear();             // drops what is not in use

    uint32_t evictable_blocks() const { return evictable_blocks_; }
    uint32_t checkpoints() const { return static_cast<uint32_t>(checkpoints_.size()); }
    size_t nodes() const { return nodes_.size(); }

    // What a node takes at most, with its entries in the tree's indices, as glibc allocates.
    static uint64_t bytes_per_node(const StateSpec& spec);

    // The first block of a group with this window that a sequence of so many tokens still needs.
    static uint32_t first_block_needed(const StateSpec& spec, const AttentionGroup& group,
                                       uint32_t tokens);

    PrefixStats stats;

  private:
    struct OlderFirst {
        bool operator()(const PrefixNode* a, const PrefixNode* b) const;
    };
    struct OlderWindowsFirst {
        bool operator()(const PrefixNode* a, const PrefixNode* b) const;
    };
    struct OlderCheckpointFirst {
        bool operator()(const PrefixNode* a, const PrefixNode* b) const;
    };
    using Queue = std::set<PrefixNode*, OlderFirst>;

    PrefixNode* root(const PrefixKey& key);
    void link(PrefixNode& node);
    void unlink(PrefixNode& node);
    void remove_leaf(PrefixNode& node);
    bool is_loose(const PrefixNode& node, size_t group) const;
    void drop_loose_blocks(PrefixNode& node);
    bool windows_are_whole(std::span<PrefixNode* const> path) const;

    const StateSpec spec_;
    const uint32_t nodes_max_;
    std::list<PrefixNode> nodes_;  // flat, so that no destructor recurses along a prompt
    std::map<PrefixKey, PrefixNode*> roots_;
    Queue leaves_;                                    // without children and pins
    std::set<PrefixNode*, OlderWindowsFirst> loose_;  // with window blocks that nobody needs
    std::set<PrefixNode*, OlderCheckpointFirst> checkpoints_;  // with a checkpoint
    uint32_t evictable_blocks_ = 0;
    uint64_t tick_ = 0;
    uint64_t serials_ = 0;
};

}  // namespace weir::kv
