#include "kv/kv_cache.h"

#include <algorithm>

#include "base/bytes.h"

namespace weir::kv {
namespace {

constexpr uint64_t kSlotAlignment = 64;
constexpr uint32_t kNodesMin = 65'536;  // where nodes can outlive their blocks
constexpr uint32_t kRoots = 256;        // of tenants, models and adapters; more cost cached blocks

uint64_t slot_bytes(const StateSpec& spec) {
    return (spec.recurrent_bytes + kSlotAlignment - 1) / kSlotAlignment * kSlotAlignment;
}

uint32_t nodes_max(const StateSpec& spec, const KvLimits& limits) {
    const uint32_t nodes = std::min(limits.blocks, UINT32_MAX / 2) + kRoots;
    const bool has_blocks = std::ranges::any_of(
        spec.groups, [](const AttentionGroup& group) { return !group.window_tokens; });
    return has_blocks ? nodes : std::max(kNodesMin, nodes);
}

}  // namespace

Result<uint64_t> reserved_bytes(const StateSpec& spec, const KvLimits& limits) {
    const auto blocks = checked_mul(limits.blocks, pool_block_bytes(spec));
    const auto slots = checked_mul(limits.recurrent_slots, slot_bytes(spec));
    const auto total = blocks && slots ? checked_add(*blocks, *slots) : std::nullopt;
    if (!total) {
        return fail(ErrorCode::InvalidArgument, "{} KV blocks do not fit any memory",
                    limits.blocks);
    }
    return *total;
}

uint64_t table_bytes(const StateSpec& spec, const KvLimits& limits) {
    const uint64_t of_block = BlockPool::table_bytes_per_block() + SequenceState::bytes_per_block();
    return limits.blocks * of_block + nodes_max(spec, limits) * PrefixTree::bytes_per_node(spec);
}

uint64_t worst_case_blocks(const StateSpec& spec, uint32_t tokens, uint32_t slice_tokens_max) {
    const auto blocks_for = [&](uint64_t count) {
        return (count + spec.block_tokens - 1) / spec.block_tokens;
    };
    uint64_t total = 0;
    for (const AttentionGroup& group : spec.groups) {
        uint64_t blocks = blocks_for(tokens);
        if (group.window_tokens) {
            // The window before a slice, the slice, and one block for both ends being inside one.
            const uint64_t at_once = uint64_t{*group.window_tokens} - 1 + slice_tokens_max;
            blocks = std::min(blocks, blocks_for(at_once) + 1);
        }
        total += blocks;
    }
    return total;
}

Result<std::unique_ptr<KvCache>> KvCache::create(const StateSpec& spec, const KvLimits& limits) {
    WEIR_TRY(validate(spec));
    WEIR_TRY_ASSIGN(const uint64_t bytes, reserved_bytes(spec, limits));
    WEIR_TRY_ASSIGN(MemoryRegion memory, MemoryRegion::reserve(bytes));
    return std::unique_ptr<KvCache>(new KvCache(spec, limits, std::move(memory)));
}

KvCache::KvCache(const StateSpec& spec, const KvLimits& limits, MemoryRegion memory)
    : spec_(spec),
      memory_(std::move(memory)),
      blocks_(memory_.bytes().first(limits.blocks * pool_block_bytes(spec)),
              pool_block_bytes(spec)),
      slots_(memory_.bytes().subspan(limits.blocks * pool_block_bytes(spec)), slot_bytes(spec)),
      tree_(spec, nodes_max(spec, limits)) {}

std::optional<BlockLease> KvCache::acquire_block() {
    for (;;) {  // ends: every eviction takes something out of a finite tree
        if (auto block = blocks_.acquire()) {
            return block;
        }
        if (!tree_.evict_one()) {
            return std::nullopt;
        }
    }
}

std::optional<BlockLease> KvCache::acquire_slot() {
    auto slot = slots_.acquire();
    if (!slot && tree_.evict_checkpoint()) {
        slot = slots_.acquire();
    }
    return slot;
}

std::optional<SequenceState> KvCache::begin(const PrefixKey& key, std::span<const TokenId> tokens,
                                            uint32_t reuse_max) {
    std::optional<BlockLease> recurrent;
    if (spec_.recurrent_bytes > 0) {
        recurrent = acquire_slot();  // before the search: it may drop a checkpoint
        if (!recurrent) {
            return std::nullopt;
        }
    }
    const PrefixTree::Match match = tree_.find(key, tokens, reuse_max);
    PrefixStats& stats = tree_.stats;
    stats.query_tokens += tokens.size();
    stats.hit_tokens += match.path.size() * spec_.block_tokens;
    stats.never_seen_tokens += match.never_seen_tokens;
    stats.partial_block_tokens += match.partial_block_tokens;
    stats.no_checkpoint_tokens += match.no_checkpoint_tokens;
    stats.window_passed_tokens += match.window_passed_tokens;
    SequenceState state(*this, key, std::move(recurrent));
    state.restore(match.path);
    state.seen_tokens_ = match.seen_tokens;
    return state;
}

KvCache::Probe KvCache::probe(const PrefixKey& key, std::span<const TokenId> tokens,
                              uint32_t reuse_max) const {
    const PrefixTree::Match match = tree_.find(key, tokens, reuse_max);
    Probe probe;
    probe.tokens = static_cast<uint32_t>(match.path.size()) * spec_.block_tokens;
    for (size_t g = 0; g < spec_.groups.size(); ++g) {
        const AttentionGroup& group = spec_.groups[g];
        const uint32_t first = PrefixTree::first_block_needed(spec_, group, probe.tokens);
        for (size_t i = first; i < match.path.size(); ++i) {
            const PrefixNode& node = *match.path[i];
            const bool evictable =
                group.window_tokens ? node.blocks[g]->use_count() == 1 : node.pins == 0;
            probe.evictable_blocks += evictable ? 1 : 0;
        }
    }
    return probe;
}

KvUsage KvCache::usage() const {
    return {.blocks_total = blocks_.capacity(),
            .blocks_free = blocks_.free_blocks(),
            .blocks_evictable = tree_.evictable_blocks(),
            .recurrent_total = slots_.capacity(),
            .recurrent_free = slots_.free_blocks(),
            .recurrent_evictable = tree_.checkpoints()};
}

}  // namespace weir::kv
