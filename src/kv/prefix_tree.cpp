#include "kv/prefix_tree.h"

#include <algorithm>
#include <tuple>

#include "base/check.h"

namespace weir::kv {

bool PrefixNode::Less::operator()(std::span<const TokenId> a, std::span<const TokenId> b) const {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
}

bool PrefixTree::OlderFirst::operator()(const PrefixNode* a, const PrefixNode* b) const {
    return std::tuple(a->last_used, b->depth, a->serial) <
           std::tuple(b->last_used, a->depth, b->serial);
}

bool PrefixTree::OlderWindowsFirst::operator()(const PrefixNode* a, const PrefixNode* b) const {
    return std::tuple(a->window_used, a->last_used, a->serial) <
           std::tuple(b->window_used, b->last_used, b->serial);
}

bool PrefixTree::OlderCheckpointFirst::operator()(const PrefixNode* a, const PrefixNode* b) const {
    return std::tuple(a->checkpoint_used, a->serial) < std::tuple(b->checkpoint_used, b->serial);
}

PrefixTree::PrefixTree(const StateSpec& spec, uint32_t nodes_max)
    : spec_(spec), nodes_max_(nodes_max) {}

uint64_t PrefixTree::bytes_per_node(const StateSpec& spec) {
    constexpr uint64_t kAllocation = 16;                 // what malloc adds and rounds up
    constexpr uint64_t kTreeNode = 4 * 8 + kAllocation;  // a red-black tree's own
    constexpr uint64_t kListNode = 2 * 8 + kAllocation;
    constexpr uint64_t kQueues = 3;  // leaves_, loose_ and checkpoints_
    const uint64_t tokens = spec.block_tokens * sizeof(TokenId) + kAllocation;
    const uint64_t blocks = spec.groups.size() * sizeof(std::optional<BlockLease>) + kAllocation;
    const uint64_t as_child = sizeof(std::pair<std::span<const TokenId>, PrefixNode*>) + kTreeNode;
    return sizeof(PrefixNode) + kListNode + tokens + blocks + as_child +
           kQueues * (sizeof(PrefixNode*) + kTreeNode);
}

uint32_t PrefixTree::first_block_needed(const StateSpec& spec, const AttentionGroup& group,
                                        uint32_t tokens) {
    return first_seen(group, tokens) / spec.block_tokens;  // by the next query
}

bool PrefixTree::windows_are_whole(std::span<PrefixNode* const> path) const {
    const auto tokens = static_cast<uint32_t>(path.size()) * spec_.block_tokens;
    for (size_t g = 0; g < spec_.groups.size(); ++g) {
        const uint32_t first = first_block_needed(spec_, spec_.groups[g], tokens);
        for (size_t i = path.size(); i > first; --i) {
            if (!path[i - 1]->blocks[g]) {
                return false;
            }
        }
    }
    return true;
}

PrefixTree::Match PrefixTree::find(const PrefixKey& key, std::span<const TokenId> tokens,
                                   uint32_t tokens_max) const {
    Match match;
    const auto usable = std::min(tokens.size(), size_t{tokens_max});
    const size_t whole_blocks = usable / spec_.block_tokens;
    match.partial_block_tokens =
        static_cast<uint32_t>(tokens.size() - whole_blocks * spec_.block_tokens);
    if (const auto root = roots_.find(key); root != roots_.end()) {
        const PrefixNode* at = root->second;
        while (match.path.size() < whole_blocks) {
            const auto block =
                tokens.subspan(match.path.size() * spec_.block_tokens, spec_.block_tokens);
            const auto next = at->children.find(block);
            if (next == at->children.end()) {
                break;
            }
            match.path.push_back(next->second);
            at = next->second;
        }
    }
    match.never_seen_tokens =
        static_cast<uint32_t>((whole_blocks - match.path.size()) * spec_.block_tokens);
    match.seen_tokens = static_cast<uint32_t>(match.path.size()) * spec_.block_tokens;
    while (!match.path.empty()) {
        if (spec_.recurrent_bytes > 0 && !match.path.back()->checkpoint) {
            match.no_checkpoint_tokens += spec_.block_tokens;
        } else if (!windows_are_whole(match.path)) {
            match.window_passed_tokens += spec_.block_tokens;
        } else {
            break;
        }
        match.path.pop_back();
    }
    return match;
}

PrefixNode* PrefixTree::root(const PrefixKey& key) {
    auto [root, is_new] = roots_.try_emplace(key, nullptr);
    if (is_new) {
        nodes_.emplace_back();
        root->second = &nodes_.back();
        root->second->self = std::prev(nodes_.end());
        root->second->key = &root->first;
    }
    return root->second;
}

PrefixNode* PrefixTree::child(PrefixNode* parent, const PrefixKey& key,
                              std::span<const TokenId> tokens) {
    WEIR_ASSERT(tokens.size() == spec_.block_tokens);
    // A pinned parent stays. A root goes with its last child, so room is made before it is asked
    // for.
    while (nodes_.size() + 2 > nodes_max_) {
        if (!evict_one()) {
            return nullptr;
        }
    }
    if (parent == nullptr) {
        parent = root(key);
    }
    if (const auto found = parent->children.find(tokens); found != parent->children.end()) {
        return found->second;
    }
    nodes_.emplace_back();
    PrefixNode& node = nodes_.back();
    node.self = std::prev(nodes_.end());
    node.parent = parent;
    node.tokens.assign(tokens.begin(), tokens.end());
    node.blocks.resize(spec_.groups.size());
    node.depth = parent->depth + 1;
    node.last_used = ++tick_;
    node.serial = ++serials_;
    {
        const Update update(*this, *parent);
        parent->children.emplace(node.tokens, &node);
    }
    link(node);
    return &node;
}

// A block that no running sequence needs, nor whoever goes on where the last one ended.
bool PrefixTree::is_loose(const PrefixNode& node, size_t group) const {
    const AttentionGroup& spec = spec_.groups[group];
    const auto& block = node.blocks[group];
    return spec.window_tokens && block && block->use_count() == 1 &&
           (node.pins > 0 ||
            node.depth <= first_block_needed(spec_, spec, node.end * spec_.block_tokens));
}

void PrefixTree::link(PrefixNode& node) {
    if (node.key != nullptr) {
        return;  // roots hold nothing
    }
    node.evictable_blocks = 0;
    bool has_loose = false;
    for (size_t g = 0; g < node.blocks.size(); ++g) {
        const bool loose = is_loose(node, g);
        has_loose = has_loose || loose;
        node.evictable_blocks += node.blocks[g] && (node.pins == 0 || loose) ? 1 : 0;
    }
    evictable_blocks_ += node.evictable_blocks;
    if (node.pins == 0 && node.children.empty()) {
        leaves_.insert(&node);
    }
    if (has_loose) {
        loose_.insert(&node);
    }
    if (node.checkpoint) {
        checkpoints_.insert(&node);
    }
}

void PrefixTree::unlink(PrefixNode& node) {
    if (node.key != nullptr) {
        return;
    }
    evictable_blocks_ -= node.evictable_blocks;
    node.evictable_blocks = 0;
    leaves_.erase(&node);
    loose_.erase(&node);
    checkpoints_.erase(&node);
}

void PrefixTree::pin(PrefixNode& node) {
    const Update update(*this, node);
    ++node.pins;
}

void PrefixTree::unpin(PrefixNode& node) {
    WEIR_ASSERT(node.pins > 0);
    const Update update(*this, node);
    --node.pins;
}

void PrefixTree::touch(PrefixNode& node) {
    const Update update(*this, node);
    node.last_used = ++tick_;
}

void PrefixTree::touch_checkpoint(PrefixNode& node) {
    const Update update(*this, node);
    node.checkpoint_used = ++tick_;
}

void PrefixTree::touch_windows(PrefixNode& node) {
    const Update update(*this, node);
    node.window_used = ++tick_;
}

void PrefixTree::drop_loose_blocks(PrefixNode& node) {
    const Update update(*this, node);
    for (size_t g = 0; g < node.blocks.size(); ++g) {
        if (is_loose(node, g)) {
            node.blocks[g].reset();
            ++stats.evicted_blocks;
        }
    }
}

void PrefixTree::remove_leaf(PrefixNode& node) {
    unlink(node);
    for (const auto& block : node.blocks) {
        stats.evicted_blocks += block ? 1 : 0;
    }
    stats.evicted_checkpoints += node.checkpoint ? 1 : 0;
    PrefixNode& parent = *node.parent;
    {
        const Update update(*this, parent);
        parent.children.erase(std::span<const TokenId>(node.tokens));
    }
    nodes_.erase(node.self);
    if (parent.key != nullptr && parent.children.empty()) {
        const auto self = parent.self;
        roots_.erase(roots_.find(*parent.key));
        nodes_.erase(self);
    }
}

bool PrefixTree::evict_one() {
    PrefixNode* const leaf = leaves_.empty() ? nullptr : *leaves_.begin();
    PrefixNode* const loose = loose_.empty() ? nullptr : *loose_.begin();
    if (leaf == nullptr && loose == nullptr) {
        return false;
    }
    if (loose == nullptr || (leaf != nullptr && leaf->last_used < loose->window_used)) {
        remove_leaf(*leaf);
    } else {
        drop_loose_blocks(*loose);
    }
    return true;
}

bool PrefixTree::evict_checkpoint() {
    if (checkpoints_.empty()) {
        return false;
    }
    PrefixNode& node = **checkpoints_.begin();
    const Update update(*this, node);
    node.checkpoint.reset();
    ++stats.evicted_checkpoints;
    return true;
}

void PrefixTree::clear() {
    while (evict_one()) {
    }
    while (evict_checkpoint()) {
    }
}

}  // namespace weir::kv
