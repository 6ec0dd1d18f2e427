#include "kv/sequence_state.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "kv/kv_cache.h"

namespace weir::kv {
namespace {

uint32_t blocks_for(const StateSpec& spec, uint32_t tokens) {
    return tokens / spec.block_tokens + (tokens % spec.block_tokens == 0 ? 0 : 1);
}

}  // namespace

SequenceState::SequenceState(KvCache& cache, const PrefixKey& key,
                             std::optional<BlockLease> recurrent)
    : owner_(&cache),
      key_(key),
      tables_(cache.spec_.groups.size()),
      view_(cache.spec_.groups.size()),
      recurrent_(std::move(recurrent)) {}

SequenceState::~SequenceState() {
    if (owner_.cache != nullptr) {
        for (PrefixNode* const node : path_) {
            node->end = static_cast<uint32_t>(path_.size());  // bears on nothing while it is pinned
        }
        leave_path(0);
    }
}

// Gives up the path from block number `blocks` on, deepest first, and the leases behind it.
void SequenceState::leave_path(uint32_t blocks) {
    PrefixTree& tree = owner_.cache->tree_;
    while (path_.size() > blocks) {
        PrefixNode& node = *path_.back();
        const size_t index = path_.size() - 1;
        {
            const PrefixTree::Update update(tree, node);
            for (Table& table : tables_) {
                table.blocks[index].reset();
                table.addresses[index] = nullptr;
            }
        }
        if (rolling_ == &node) {
            rolling_ = nullptr;
        }
        tree.touch(node);
        tree.unpin(node);
        path_.pop_back();
    }
}

void SequenceState::restore(std::span<PrefixNode* const> path) {
    KvCache& cache = *owner_.cache;
    const StateSpec& spec = cache.spec_;
    position_ = static_cast<uint32_t>(path.size()) * spec.block_tokens;
    restored_tokens_ = position_;
    for (size_t g = 0; g < tables_.size(); ++g) {
        tables_[g].first = PrefixTree::first_block_needed(spec, spec.groups[g], position_);
        tables_[g].blocks.resize(path.size());
        tables_[g].addresses.resize(path.size());
    }
    for (size_t i = 0; i < path.size(); ++i) {
        PrefixNode& node = *path[i];
        {
            const PrefixTree::Update update(cache.tree_, node);
            for (size_t g = 0; g < tables_.size(); ++g) {
                if (i >= tables_[g].first) {
                    tables_[g].blocks[i] = node.blocks[g]->share();
                    tables_[g].addresses[i] = tables_[g].blocks[i]->data();
                }
            }
        }
        cache.tree_.pin(node);
        cache.tree_.touch(node);
    }
    path_.assign(path.begin(), path.end());
    expect_return(position_);
    if (recurrent_) {
        if (path.empty()) {
            std::memset(recurrent_->data(), 0, spec.recurrent_bytes);
        } else {
            std::memcpy(recurrent_->data(), path.back()->checkpoint->data(), spec.recurrent_bytes);
            cache.tree_.touch_checkpoint(*path.back());
        }
    }
}

uint32_t SequenceState::covered() const {
    if (tables_.empty()) {
        return UINT32_MAX;  // needs none
    }
    return static_cast<uint32_t>(tables_[0].blocks.size()) * owner_.cache->spec_.block_tokens;
}

uint32_t SequenceState::blocks_needed(uint32_t tokens) const {
    const uint32_t wanted = blocks_for(owner_.cache->spec_, tokens);
    uint32_t needed = 0;
    for (const Table& table : tables_) {
        const auto held = static_cast<uint32_t>(table.blocks.size());
        needed += wanted > held ? wanted - held : 0;
    }
    return needed;
}

uint32_t SequenceState::reclaimable_blocks() const {
    const StateSpec& spec = owner_.cache->spec_;
    uint32_t count = 0;
    for (size_t g = 0; g < tables_.size(); ++g) {
        const Table& table = tables_[g];
        const uint32_t uses_if_alone = spec.groups[g].window_tokens ? 2 : 0;  // mine, the tree's
        for (size_t i = table.first; i < table.blocks.size(); ++i) {
            if (!table.blocks[i]) {
                continue;
            }
            const bool reclaimable =
                i < path_.size()
                    ? path_[i]->pins == 1 || table.blocks[i]->use_count() == uses_if_alone
                    : table.blocks[i]->use_count() == 1;
            count += reclaimable ? 1 : 0;
        }
    }
    return count;
}

void SequenceState::drop_passed_blocks() {
    KvCache& cache = *owner_.cache;
    const uint32_t needed_from = std::min(position_, snapshot_position_.value_or(position_));
    for (size_t g = 0; g < tables_.size(); ++g) {
        Table& table = tables_[g];
        const uint32_t first =
            PrefixTree::first_block_needed(cache.spec_, cache.spec_.groups[g], needed_from);
        for (; table.first < std::min<size_t>(first, table.blocks.size()); ++table.first) {
            const uint32_t i = table.first;
            table.addresses[i] = nullptr;
            if (i < path_.size()) {
                const PrefixTree::Update update(cache.tree_, *path_[i]);
                table.blocks[i].reset();
            } else {
                table.blocks[i].reset();
            }
        }
    }
}

bool SequenceState::reserve(uint32_t tokens) {
    KvCache& cache = *owner_.cache;
    drop_passed_blocks();
    const uint32_t wanted = blocks_for(cache.spec_, tokens);
    if (blocks_needed(tokens) > cache.usage().blocks_available()) {
        return false;
    }
    for (Table& table : tables_) {
        while (table.blocks.size() < wanted) {
            auto block = cache.acquire_block();
            if (!block) {
                WEIR_BUG("blocks were counted as available and are not");
                return false;  // what was taken stays in the table and will be used later
            }
            table.addresses.push_back(block->data());
            table.blocks.push_back(std::move(block));
        }
    }
    return true;
}

SequenceView SequenceState::view() {
    for (size_t g = 0; g < tables_.size(); ++g) {
        view_[g] = tables_[g].addresses;
    }
    return {
        .blocks = view_, .recurrent = recurrent_ ? recurrent_->data() : nullptr, .copies = copies_};
}

void SequenceState::advance(uint32_t count) {
    position_ += count;
    WEIR_ASSERT(tables_.empty() ||
                blocks_for(owner_.cache->spec_, position_) <= tables_[0].blocks.size());
}

void SequenceState::plan_checkpoints(std::span<const Checkpoint> wanted) {
    KvCache& cache = *owner_.cache;
    planned_.clear();
    copies_.clear();
    if (!recurrent_) {
        return;
    }
    for (const Checkpoint& what : wanted.first(std::min(wanted.size(), kCheckpointsPerPass))) {
        WEIR_ASSERT(what.position > position_ && what.position % cache.spec_.block_tokens == 0);
        auto slot = cache.acquire_slot();
        if (!slot) {
            return;  // running sequences hold them all
        }
        copies_.push_back({.position = what.position, .to = slot->data()});
        planned_.push_back({what, *std::move(slot)});
    }
}

void SequenceState::expect_return(uint32_t position) {
    KvCache& cache = *owner_.cache;
    const size_t end = std::min<size_t>(position / cache.spec_.block_tokens, path_.size());
    size_t first = end;
    for (const AttentionGroup& group : cache.spec_.groups) {
        if (group.window_tokens) {
            first = std::min<size_t>(first,
                                     PrefixTree::first_block_needed(cache.spec_, group, position));
        }
    }
    for (size_t i = first; i < end; ++i) {
        cache.tree_.touch_windows(*path_[i]);
    }
}

void SequenceState::publish(std::span<const TokenId> tokens) {
    WEIR_ASSERT(tokens.size() >= position_);
    extend_path(tokens);
    keep_checkpoints();
}

void SequenceState::extend_path(std::span<const TokenId> tokens) {
    KvCache& cache = *owner_.cache;
    const uint32_t block_tokens = cache.spec_.block_tokens;
    while (path_.size() < position_ / block_tokens) {
        const size_t index = path_.size();
        PrefixNode* const node =
            cache.tree_.child(path_.empty() ? nullptr : path_.back(), key_,
                              tokens.subspan(index * block_tokens, block_tokens));
        if (node == nullptr) {
            return;
        }
        cache.tree_.pin(*node);
        path_.push_back(node);
        const PrefixTree::Update update(cache.tree_, *node);
        for (size_t g = 0; g < tables_.size(); ++g) {
            auto& mine = tables_[g].blocks[index];
            auto& shared = node->blocks[g];
            if (mine && shared) {
                mine = shared->share();  // somebody else has computed the same bits: keep one
                tables_[g].addresses[index] = mine->data();
            } else if (mine) {
                shared = mine->share();
            }
        }
    }
}

// Those that the pass did not reach, because it failed, were never written and go back.
void SequenceState::keep_checkpoints() {
    const uint32_t block_tokens = owner_.cache->spec_.block_tokens;
    for (PlannedCheckpoint& made : planned_) {
        const size_t blocks = made.what.position / block_tokens;
        if (made.what.position <= position_ && blocks <= path_.size()) {
            keep_checkpoint(*path_[blocks - 1], std::move(made.copy), made.what.keep);
        }
    }
    planned_.clear();
    copies_.clear();
}

void SequenceState::keep_checkpoint(PrefixNode& node, BlockLease copy, Keep keep) {
    PrefixTree& tree = owner_.cache->tree_;
    if (rolling_ != nullptr && rolling_ != &node) {
        const PrefixTree::Update update(tree, *rolling_);
        rolling_->checkpoint.reset();
        rolling_ = nullptr;
    }
    if (!node.checkpoint) {
        const PrefixTree::Update update(tree, node);
        node.checkpoint = std::move(copy);
        rolling_ = keep == Keep::Rolling ? &node : rolling_;
    }
    if (keep == Keep::Durable && rolling_ == &node) {
        rolling_ = nullptr;
    }
    tree.touch_checkpoint(node);
}

std::optional<Snapshot> SequenceState::snapshot() {
    WEIR_ASSERT(!snapshot_position_);
    std::optional<BlockLease> copy;
    if (recurrent_) {
        copy = owner_.cache->acquire_slot();
        if (!copy) {
            return std::nullopt;
        }
        std::memcpy(copy->data(), recurrent_->data(), owner_.cache->spec_.recurrent_bytes);
    }
    snapshot_position_ = position_;
    return Snapshot(position_, std::move(copy));
}

bool SequenceState::own_tail_block() {
    KvCache& cache = *owner_.cache;
    const uint32_t index = position_ / cache.spec_.block_tokens;
    for (Table& table : tables_) {
        auto& tail = table.blocks[index];
        if (!tail || tail->use_count() == 1) {
            continue;
        }
        auto copy = cache.acquire_block();
        if (!copy) {
            return false;
        }
        std::memcpy(copy->data(), tail->data(), cache.blocks_.block_bytes());
        const PrefixTree::Update update(cache.tree_, *path_[index]);
        tail = std::move(copy);
        copy.reset();  // the shared lease, while the node is being updated
        table.addresses[index] = tail->data();
    }
    return true;
}

bool SequenceState::rollback(Snapshot snapshot) {
    WEIR_ASSERT(snapshot_position_ == snapshot.position_ && snapshot.position_ <= position_);
    const uint32_t block_tokens = owner_.cache->spec_.block_tokens;
    position_ = snapshot.position_;
    snapshot_position_.reset();
    planned_.clear();
    copies_.clear();
    if (recurrent_) {
        recurrent_ = std::move(snapshot.recurrent_);
    }
    const uint32_t whole = position_ / block_tokens;
    const uint32_t kept = blocks_for(owner_.cache->spec_, position_);
    const bool tail_is_published = kept > whole && path_.size() > whole;
    leave_path(kept);
    if (tail_is_published) {
        if (!own_tail_block()) {
            return false;
        }
        // The node stays in the tree; this sequence's own copy is no part of it.
        PrefixNode& node = *path_.back();
        if (rolling_ == &node) {
            rolling_ = nullptr;
        }
        owner_.cache->tree_.unpin(node);
        path_.pop_back();
    }
    for (Table& table : tables_) {
        if (table.blocks.size() > kept) {
            table.blocks.resize(kept);
            table.addresses.resize(kept);
        }
    }
    return true;
}

void SequenceState::discard(Snapshot snapshot) {
    WEIR_ASSERT(snapshot_position_ == snapshot.position_);
    snapshot_position_.reset();
}

}  // namespace weir::kv
