#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "tensor/dtype.h"

namespace weir::kv {

enum class BlockId : uint32_t {};

// Layers that keep keys and values of one shape for the same stretch of the past. Every group has
// its own block table; all groups draw blocks from one pool.
struct AttentionGroup {
    std::vector<uint32_t> layers;  // model layer numbers, ascending
    uint32_t kv_heads = 0;
    uint32_t key_dim = 0;                   // numbers per head
    uint32_t value_dim = 0;                 // numbers per head; 0: values are part of the keys
    std::optional<uint32_t> window_tokens;  // absent: the whole past
    // The window does not slide but stands: a query sees the tokens of its own stretch of
    // window_tokens, from the last multiple of that on.
    bool window_stands = false;
};

// The first token of the past that a query of the group at `position` sees.
uint32_t first_seen(const AttentionGroup& group, uint32_t position);

// All that a sequence remembers, as one model needs it.
struct StateSpec {
    tensor::DType kv_dtype = tensor::DType::F16;  // F32, F16 or Q8_0 (8 bits and scales)
    uint32_t block_tokens = 16;
    std::vector<AttentionGroup> groups;
    // Recurrent and convolution state of one sequence, all layers together; 0 for a pure
    // transformer. It is a function of the tokens so far and cannot be cut, only copied.
    uint64_t recurrent_bytes = 0;
};

// A copy of the recurrent state to be made in the middle of a pass.
struct StateCopy {
    uint32_t position = 0;    // tokens that the sequence has computed by then
    std::byte* to = nullptr;  // recurrent_bytes
};

// One sequence's memory during one forward pass. Borrowed from the engine.
//
// blocks[g][i] is the memory of group g's block i: tokens [i*block_tokens, (i+1)*block_tokens) of
// all the group's layers, one layer after the other in the group's order. nullptr: dropped, because
// the group's window has passed it. Block memory is aligned to 64 bytes.
struct SequenceView {
    std::span<const std::span<std::byte* const>> blocks;  // [groups][blocks]
    std::byte* recurrent = nullptr;  // recurrent_bytes, zero at position 0; updated in place
    // Copies that the pass makes of it, ascending: each after a token of the pass.
    std::span<const StateCopy> copies;
};

// Bytes of one layer's part of a block of `group` (rounded up to 64), and of a whole block.
uint64_t layer_block_bytes(const StateSpec& spec, const AttentionGroup& group);
uint64_t block_bytes(const StateSpec& spec, const AttentionGroup& group);

// The size of every block of the pool: that of the largest group's. A loader that wants no waste
// cuts its layers into groups of one size.
uint64_t pool_block_bytes(const StateSpec& spec);

// What a state may be, so that no product of these numbers overflows.
inline constexpr uint32_t kBlockTokensMax = 1024;
inline constexpr size_t kGroupsMax = 64;
inline constexpr size_t kLayersMax = 4096;
inline constexpr uint32_t kHeadsMax = 4096;
inline constexpr uint32_t kHeadDimMax = 65536;
inline constexpr uint32_t kInt8HeadDimMax = 512;  // of keys and values in 8 bits
inline constexpr uint64_t kRecurrentBytesMax = uint64_t{1} << 40;
Result<void> validate(const StateSpec& spec);

}  // namespace weir::kv
