#include "kv/state.h"

#include <algorithm>

#include "base/bytes.h"

namespace weir::kv {
namespace {

constexpr uint64_t kAlignment = 64;

// Of one token's key or value of one head: kernels/attention.h has the layout.
uint64_t token_bytes(tensor::DType dtype, uint64_t dim) {
    constexpr uint64_t kScaledTogether = 32;
    switch (dtype) {
        case tensor::DType::F32:
            return 4 * dim;
        case tensor::DType::Q8_0:
            return dim + 4 * ((dim + kScaledTogether - 1) / kScaledTogether);
        default:
            return 2 * dim;
    }
}

}  // namespace

uint32_t first_seen(const AttentionGroup& group, uint32_t position) {
    if (!group.window_tokens || position < *group.window_tokens) {
        return 0;
    }
    return group.window_stands ? position - position % *group.window_tokens
                               : position - *group.window_tokens + 1;
}

uint64_t layer_block_bytes(const StateSpec& spec, const AttentionGroup& group) {
    const uint64_t bytes =
        token_bytes(spec.kv_dtype, group.key_dim) + token_bytes(spec.kv_dtype, group.value_dim);
    // Factors far below 2^32: the product fits 64 bits for every spec that validate accepts.
    return align_up(bytes * group.kv_heads * spec.block_tokens, kAlignment);
}

uint64_t block_bytes(const StateSpec& spec, const AttentionGroup& group) {
    return layer_block_bytes(spec, group) * group.layers.size();
}

uint64_t pool_block_bytes(const StateSpec& spec) {
    uint64_t largest = 0;
    for (const AttentionGroup& group : spec.groups) {
        largest = std::max(largest, block_bytes(spec, group));
    }
    return largest;
}

Result<void> validate(const StateSpec& spec) {
    if (spec.kv_dtype != tensor::DType::F32 && spec.kv_dtype != tensor::DType::F16 &&
        spec.kv_dtype != tensor::DType::Q8_0) {
        return unsupported("keys and values are kept as F32, F16 or Q8_0, not {}",
                           tensor::name(spec.kv_dtype));
    }
    if (spec.block_tokens == 0 || spec.block_tokens > kBlockTokensMax) {
        return data_corrupt("blocks of {} tokens", spec.block_tokens);
    }
    if (spec.groups.size() > kGroupsMax || spec.recurrent_bytes > kRecurrentBytesMax) {
        return data_corrupt("{} attention groups and {} bytes of recurrent state",
                            spec.groups.size(), spec.recurrent_bytes);
    }
    for (const AttentionGroup& group : spec.groups) {
        if (group.layers.empty() || group.layers.size() > kLayersMax || group.kv_heads == 0 ||
            group.kv_heads > kHeadsMax || group.key_dim == 0 || group.key_dim > kHeadDimMax ||
            group.value_dim > kHeadDimMax || group.window_tokens == 0u) {
            return data_corrupt("{} layers of {} heads with {} + {} numbers a head",
                                group.layers.size(), group.kv_heads, group.key_dim,
                                group.value_dim);
        }
        if (spec.kv_dtype == tensor::DType::Q8_0 &&
            (group.value_dim == 0 || std::max(group.key_dim, group.value_dim) > kInt8HeadDimMax)) {
            return unsupported("keys of {} numbers and values of {} are not kept in 8 bits",
                               group.key_dim, group.value_dim);
        }
    }
    return {};
}

}  // namespace weir::kv
