#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "kernels/attention.h"
#include "kernels/kernel_set.h"
#include "kernels/matmul.h"
#include "model/config.h"
#include "model/model.h"
#include "model/rope.h"
#include "model/scratch.h"
#include "model/weights.h"

namespace weir::model {

// Bytes that a decoder reserves for one pass over `batch_tokens_max` tokens.
uint64_t decoder_scratch_bytes(const TransformerConfig& config, uint32_t batch_tokens_max);

// What a sequence of this model remembers: one attention group for each window size.
kv::StateSpec decoder_state_spec(const TransformerConfig& config, tensor::DType kv_dtype,
                                 uint32_t block_tokens);

struct DecoderParts {
    TransformerConfig config;
    DecoderWeights weights;
    kv::StateSpec state;
    ModelInfo info;
    uint32_t batch_tokens_max = 0;
    std::shared_ptr<const void> source;  // keeps the mapped files
};

// The forward pass that the decoder-only families share (families/llama.cpp has the formulas):
// pre-norm blocks of attention and a gated feed-forward layer, options by config.
//
// A pass lays the batch's tokens out as rows of one matrix; every operation computes each row by
// itself, in an order that knows nothing of the other rows (kernels/ promises it, and nothing here
// looks at the batch's shape), so a row's result depends on its own sequence alone, to the bit.
//
// Threads: one at a time; spreads over the pool of `compute`.
// Ownership: owns the weights' views and its scratch; borrows `compute` and the KV blocks.
// Invariant: forward allocates nothing; everything is reserved for batch_tokens_max tokens.
class Decoder final : public Model {
  public:
    Decoder(DecoderParts parts, kernels::Compute compute);

    const ModelInfo& info() const override { return parts_.info; }
    const kv::StateSpec& state_spec() const override { return parts_.state; }
    uint32_t batch_tokens_max() const override { return parts_.batch_tokens_max; }
    Result<void> forward(std::span<const SequenceSlice> batch, std::span<float> logits) override;

  private:
    // Where a layer's keys and values are.
    struct LayerPlace {
        size_t group = 0;   // of state.groups
        size_t offset = 0;  // bytes into the group's blocks
    };
    // A group's part of the pass at hand.
    struct GroupRows {
        kernels::KvLayout layout;
        std::vector<kernels::PagedKv> sequences;  // [slices]
        std::vector<kernels::QueryRow> queries;   // [rows]
    };

    Result<void> check(std::span<const SequenceSlice> batch, std::span<float> logits) const;
    Result<void> check_slice(const SequenceSlice& slice) const;
    void lay_out(std::span<const SequenceSlice> batch);
    void lay_out_group(size_t group, std::span<const SequenceSlice> batch);
    void attend(const LayerWeights& layer, const LayerPlace& place);
    void project_qkv(const LayerWeights& layer);
    void rotate(const LayerWeights& layer);
    void interleave_pairs(std::span<float> rows, size_t heads);
    void feed_forward(const LayerWeights& layer);
    void write_logits(std::span<const SequenceSlice> batch, std::span<float> logits);

    // out = weight x + bias for `rows` rows of x.
    void multiply(const Linear& linear, kernels::Activations& x, std::span<float> out);
    std::span<float> rows_of(std::span<float> buffer, size_t width) const {
        return buffer.first(rows_ * width);
    }

    DecoderParts parts_;
    kernels::Compute compute_;
    RopeFrequencies frequencies_;
    std::vector<LayerPlace> places_;  // [layers]

    ScratchArena arena_;
    std::span<float> x_;        // [rows, hidden], the residual stream
    std::span<float> normed_;   // [rows, hidden]
    std::span<float> q_;        // [rows, heads, head_dim]
    std::span<float> k_;        // [rows, kv_heads, head_dim]
    std::span<float> v_;        // [rows, kv_heads, head_dim]
    std::span<float> mixed_;    // [rows, heads, head_dim], what attention gives
    std::span<float> gate_;     // [rows, feed_forward]
    std::span<float> up_;       // [rows, feed_forward]
    std::span<float> cosines_;  // [rows, rotary_dim / 2]
    std::span<float> sines_;    // [rows, rotary_dim / 2]
    std::span<std::byte> quantized_;

    // The pass at hand, one entry a row.
    size_t rows_ = 0;
    std::vector<TokenId> tokens_;
    std::vector<uint32_t> sequence_of_;
    std::vector<uint32_t> positions_;
    std::vector<uint32_t> row_numbers_;  // 0, 1, 2, …: each row has its own line of the rope table
    std::vector<GroupRows> groups_;
};

}  // namespace weir::model
