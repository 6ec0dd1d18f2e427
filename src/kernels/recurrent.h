#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/kernel_set.h"

// What layers compute that carry a state from token to token instead of keys and values. The state
// is walked in its sequential form, prompts included: a token's result depends on the tokens before
// it and on nothing else, so it has the same bits in whatever slices they came. Work is split by
// sequence, head and column, never inside a reduction.
namespace weir::kernels {

// A copy of the state after the first `rows` rows of a pass.
struct StateCopy {
    size_t rows = 0;
    std::byte* memory = nullptr;
};

// One sequence's rows of a pass, [first_row, first_row + rows), and the memory of its state before
// the first of them, which becomes the state after the last. An operation's own part of it, and of
// every copy, begins `state_offset` bytes into the memory, at a multiple of 4.
struct StateRows {
    size_t first_row = 0;
    size_t rows = 0;
    std::byte* memory = nullptr;
    std::span<const StateCopy> copies = {};  // ascending; rows 1 to `rows`
};

// A causal convolution of every channel by itself, then SiLU:
//   sum[t][c] = u[t - (taps - 1)][c] * weight[0][c] + … + u[t][c] * weight[taps - 1][c]
//   out[t][c] = silu(sum[t][c])
// added up in this order. What stands before a slice's first row is its state: the sequence's last
// taps - 1 rows of u [taps - 1, channels], the oldest first, zeros before the beginning.
struct CausalConvolution {
    std::span<const StateRows> slices;
    size_t state_offset = 0;
    size_t taps = 0;  // 1 to kConvolutionTapsMax
    size_t channels = 0;
    const float* weight = nullptr;  // [taps, channels]
    const float* u = nullptr;       // [rows, channels]
    float* out = nullptr;           // [rows, channels], not u
};
inline constexpr size_t kConvolutionTapsMax = 16;
void causal_convolution_silu(const Compute& compute, const CausalConvolution& args);

// x[r][h] = x[r][h] * factor / sqrt(sum of squares + epsilon), for heads of head_dim that begin at
// x + r * stride + h * head_dim.
void l2_normalize(const Compute& compute, float* x, size_t rows, size_t stride, size_t heads,
                  size_t head_dim, float epsilon, float factor);

// Which key head a value head shares.
enum class HeadMap : uint8_t {
    Grouped,  // value head j has key head j / (value_heads / key_heads)
    Tiled,    // value head j has key head j % key_heads
};

// The gated delta rule (Yang, Kautz, Hatamizadeh 2024), for every value head with its own matrix S
// [key_dim, value_dim], token after token:
//   delta = beta * (v - decay * S^T k)
//   S     = decay * S + k delta^T
//   out   = S^T q
// Each column of S is a chain of its own: sums over key_dim are in order, by fused multiply-adds.
struct DeltaRule {
    std::span<const StateRows> slices;  // states are [value_heads, key_dim, value_dim]
    size_t state_offset = 0;
    size_t key_heads = 0;
    size_t value_heads = 0;  // a multiple of key_heads
    size_t key_dim = 0;
    size_t value_dim = 0;
    HeadMap map = HeadMap::Grouped;
    const float* q = nullptr;  // [rows, key_heads, key_dim], `stride` floats from row to row
    const float* k = nullptr;  // likewise
    const float* v = nullptr;  // [rows, value_heads, value_dim], likewise
    size_t stride = 0;
    const float* decay = nullptr;  // [rows, value_heads]
    const float* beta = nullptr;   // [rows, value_heads]
    float* out = nullptr;          // [rows, value_heads, value_dim]
};
void delta_rule(const Compute& compute, const DeltaRule& args);

}  // namespace weir::kernels
