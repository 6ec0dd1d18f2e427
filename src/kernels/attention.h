#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/kernel_set.h"
#include "tensor/dtype.h"

// Attention over a paged KV cache.
//
// Order of sums. A query sees the keys [key_begin, key_end) of its sequence. They are taken in
// chunks cut at the absolute positions that are multiples of kAttentionChunk, in order:
//   score[j]  = scale * (sum over d, in order, of fma(q[d], k[j][d], sum)),
//               then soft_cap * tanh(score[j] / soft_cap) if there is one
//   m'        = max(m, scores of the chunk that the query sees)
//   p[j]      = exp(score[j] - m')
//   l[j % 16] = l[j % 16] * exp(m - m') + p[j]
//   o[d]      = o[d] * exp(m - m'), then o[d] = fma(p[j], v[j][d], o[d]) in order of j
// and at the end o[d] / (l folded in halves). Keys that the query does not see are skipped, never
// multiplied: their memory may hold anything. So a query's result depends on its own q and on the
// keys and values that it sees, whatever else is computed beside it, in which chunks it came, and
// however many threads there are. Work is split by query and by KV head, never inside a reduction.
namespace weir::kernels {

// How the keys and values of one layer lie in one block of `block_tokens` tokens:
//
//   [kv_heads] { keys   [key_dim][block_tokens]
//                values [block_tokens][value_dim] }
//
// Keys lie across (all tokens' first component, then the second, …), so that a vector of scores
// needs no horizontal sums; values lie along. With 8 bits (Q8_0), each 32 components of a token's
// key, and of its value, share a scale (the last may be fewer), and an element is its whole number
// times that, rounded once:
//
//   [kv_heads] { keys   int8 [key_dim][block_tokens],  scales float [key_dim / 32][block_tokens]
//                values int8 [block_tokens][value_dim], scales float [block_tokens][value_dim / 32]
//                }
//
// In every other respect it is as if the elements had been stored as float32. Without values
// (value_dim 0) the first components of a key are its value, as in latent attention: they are
// stored once.
struct KvLayout {
    tensor::DType dtype = tensor::DType::F16;  // F32, F16 or Q8_0
    size_t block_tokens = 16;                  // 16, 32 or 64
    size_t kv_heads = 0;
    size_t key_dim = 0;    // the head dimension of queries and keys
    size_t value_dim = 0;  // of values and outputs; 0: values are the first part of the keys

    size_t head_bytes() const {
        return block_tokens * (token_bytes(key_dim) + token_bytes(value_dim));
    }
    // Of one token's key or value of one head.
    size_t token_bytes(size_t dim) const {
        switch (dtype) {
            case tensor::DType::F32:
                return 4 * dim;
            case tensor::DType::Q8_0:
                return dim + 4 * ((dim + kScaledTogether - 1) / kScaledTogether);
            default:
                return 2 * dim;
        }
    }
    static constexpr size_t kScaledTogether = 32;
    // Of one layer. A block of the pool holds one such part for each layer, each at a multiple of
    // 64 bytes.
    size_t block_bytes() const { return kv_heads * head_bytes(); }
};

// The KV of one sequence: blocks[i] is the memory of the pool's block that holds the tokens
// [i * block_tokens, (i + 1) * block_tokens); this layer's part starts at `layer_offset` in it.
struct PagedKv {
    std::byte* const* blocks = nullptr;
};

// Writes the keys and values of tokens: row t goes to position positions[t] of sequences[of[t]].
// k is [rows, kv_heads, key_dim], v is [rows, kv_heads, value_dim], with strides in floats.
// float16 storage rounds to nearest even; what does not fit becomes an infinity. 8 bits are what
// quantize_q8 makes of a row.  A layout without
// values takes no v.
struct KvWrite {
    KvLayout layout;
    size_t layer_offset = 0;
    std::span<const PagedKv> sequences;
    std::span<const uint32_t> sequence_of;  // [rows]
    std::span<const uint32_t> positions;    // [rows]
    const float* k = nullptr;
    size_t k_stride = 0;
    const float* v = nullptr;
    size_t v_stride = 0;
};
void write_kv(const Compute& compute, const KvWrite& args);

// One row of queries (all heads of one token) and what it sees.
struct QueryRow {
    uint32_t sequence = 0;   // index into `sequences`
    uint32_t key_begin = 0;  // first visible key: 0, or where the sliding window starts
    uint32_t key_end = 0;    // one past the last; greater than key_begin
};

// q and out are [rows, heads, dim] with strides in floats; head h reads KV head
// h / (heads / kv_heads). Rows of one sequence that stand together, in order of position, share
// the work of reading the keys.
struct AttentionArgs {
    KvLayout layout;
    size_t layer_offset = 0;
    std::span<const PagedKv> sequences;
    std::span<const QueryRow> rows;
    size_t heads = 0;
    size_t value_dim = 0;  // where the layout has none: up to key_dim and kLatentValuesMax
    float scale = 1.0f;
    float soft_cap = 0.0f;         // 0: none
    const float* sinks = nullptr;  // [heads] or none: a score that joins the sum but has no value
    const float* q = nullptr;
    size_t q_stride = 0;
    float* out = nullptr;
    size_t out_stride = 0;
};
void attention(const Compute& compute, const AttentionArgs& args);

}  // namespace weir::kernels
