#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "kernels/kernel_set.h"
#include "model/config.h"
#include "model/layers/state_plan.h"
#include "model/model.h"
#include "model/rope.h"
#include "model/scratch.h"
#include "model/weights.h"

namespace weir::model {

// Bytes that a decoder reserves for one pass over `batch_tokens_max` tokens.
uint64_t decoder_scratch_bytes(const TransformerConfig& config, const DecoderWeights& weights,
                               uint32_t batch_tokens_max);

// What a sequence of this model remembers.
StatePlan decoder_state(std::span<const Block> blocks, tensor::DType kv_dtype,
                        uint32_t block_tokens);

struct DecoderParts {
    TransformerConfig config;
    DecoderWeights weights;
    StatePlan state;
    ModelInfo info;
    uint32_t batch_tokens_max = 0;
    std::shared_ptr<const void> source;  // keeps the mapped files
};

// The forward pass that all decoder-only families share: the embedding, blocks of a token mixer and
// a feed-forward layer (layers/), a norm and the output matrix.
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
    const kv::StateSpec& state_spec() const override { return parts_.state.spec; }
    uint32_t batch_tokens_max() const override { return parts_.batch_tokens_max; }
    Result<void> forward(std::span<const SequenceSlice> batch, std::span<float> logits) override;

  private:
    Result<void> check(std::span<const SequenceSlice> batch, std::span<float> logits) const;
    Result<void> check_slice(const SequenceSlice& slice) const;
    void lay_out(std::span<const SequenceSlice> batch);
    void lay_out_states(std::span<const SequenceSlice> batch);
    void lay_out_group(size_t group, std::span<const SequenceSlice> batch);
    void fill_ropes(std::span<const SequenceSlice> batch);
    void embed();
    void write_logits(std::span<const SequenceSlice> batch, std::span<float> logits);

    // A rope of the config: its frequencies by variant, and a line of the table for each row.
    struct Rope {
        RopeFrequencies short_frequencies;
        RopeFrequencies long_frequencies;
        std::span<float> cosines;  // [rows, rotary_dim / 2]
        std::span<float> sines;    // [rows, rotary_dim / 2]
    };

    DecoderParts parts_;
    kernels::Compute compute_;
    float embedding_scale_;
    std::vector<Rope> ropes_;
    std::vector<kernels::RopeTable> rope_tables_;

    ScratchArena arena_;
    std::span<float> x_;             // [rows, hidden], the residual stream
    std::span<float> layer_inputs_;  // [rows, layers, per_layer_width]

    // The pass at hand.
    size_t rows_ = 0;
    std::vector<TokenId> tokens_;        // [rows]
    std::vector<uint32_t> sequence_of_;  // [rows]
    std::vector<uint32_t> positions_;    // [rows]
    std::vector<uint32_t> row_numbers_;  // 0, 1, 2, …: each row has its own line of the ropes
    std::vector<SliceRows> slices_;
    std::vector<kernels::StateRows> states_;
    std::vector<kernels::StateCopy> copies_;  // of all states
    std::vector<GroupRows> groups_;
};

}  // namespace weir::model
