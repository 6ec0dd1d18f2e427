#include "model/layers/state_plan.h"

#include <algorithm>
#include <limits>

#include "base/bytes.h"
#include "base/check.h"

namespace weir::model {

namespace {

// Layers that keep the same.
struct Kind {
    KvNeed need;
    std::vector<uint32_t> layers;
};

std::vector<Kind> kinds_of(std::span<const StateNeed> layers) {
    std::vector<Kind> kinds;
    for (uint32_t layer = 0; layer < layers.size(); ++layer) {
        const auto& need = layers[layer].kv;
        if (!need) {
            continue;
        }
        auto kind = std::ranges::find(kinds, *need, &Kind::need);
        if (kind == kinds.end()) {
            kind = kinds.insert(kinds.end(), Kind{*need, {}});
        }
        kind->layers.push_back(layer);
    }
    return kinds;
}

kv::AttentionGroup group_of(const KvNeed& need) {
    const bool bounded = need.visible.sight != Sight::All;
    return {.kv_heads = need.kv_heads,
            .key_dim = need.key_dim,
            .value_dim = need.value_dim,
            .window_tokens = bounded ? std::optional(need.visible.tokens) : std::nullopt,
            .window_stands = need.visible.sight == Sight::Chunk};
}

// Into how many groups each kind is cut: as many as bring it closest to the size of the smallest
// kind, but no more than the cache can have.
size_t parts_of(const kv::StateSpec& spec, const Kind& kind, uint64_t smallest, size_t kinds) {
    const uint64_t bytes = kv::layer_block_bytes(spec, group_of(kind.need)) * kind.layers.size();
    const size_t parts_max = std::min<size_t>(kind.layers.size(), kv::kGroupsMax / kinds);
    return std::clamp<size_t>(static_cast<size_t>((bytes + smallest - 1) / smallest), 1,
                              std::max<size_t>(parts_max, 1));
}

}  // namespace

StatePlan plan_state(std::span<const StateNeed> layers, tensor::DType kv_dtype,
                     uint32_t block_tokens) {
    StatePlan plan;
    plan.spec = {.kv_dtype = kv_dtype, .block_tokens = block_tokens};
    plan.layers.resize(layers.size());
    const std::vector<Kind> kinds = kinds_of(layers);
    uint64_t smallest = std::numeric_limits<uint64_t>::max();
    for (const Kind& kind : kinds) {
        smallest = std::min(
            smallest, kv::layer_block_bytes(plan.spec, group_of(kind.need)) * kind.layers.size());
    }
    for (const Kind& kind : kinds) {
        const size_t parts = parts_of(plan.spec, kind, smallest, kinds.size());
        for (size_t part = 0; part < parts; ++part) {
            kv::AttentionGroup group = group_of(kind.need);
            const uint64_t layer_bytes = kv::layer_block_bytes(plan.spec, group);
            const size_t begin = kind.layers.size() * part / parts;
            const size_t end = kind.layers.size() * (part + 1) / parts;
            for (size_t i = begin; i < end; ++i) {
                LayerMemory& memory = plan.layers[kind.layers[i]];
                memory.group = plan.spec.groups.size();
                memory.kv_offset = static_cast<size_t>(layer_bytes) * (i - begin);
                group.layers.push_back(kind.layers[i]);
            }
            plan.spec.groups.push_back(std::move(group));
            plan.visible.push_back(kind.need.visible);
        }
    }
    for (size_t layer = 0; layer < layers.size(); ++layer) {
        if (const auto& other = layers[layer].reads_layer) {
            WEIR_ASSERT(*other < layer && layers[*other].kv.has_value());
            plan.layers[layer].group = plan.layers[*other].group;
            plan.layers[layer].kv_offset = plan.layers[*other].kv_offset;
        }
        plan.layers[layer].recurrent_offset = static_cast<size_t>(plan.spec.recurrent_bytes);
        plan.spec.recurrent_bytes += align_up(layers[layer].recurrent_bytes, 64);
    }
    return plan;
}

}  // namespace weir::model
