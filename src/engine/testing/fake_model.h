#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "model/model.h"

namespace weir::engine::testing {

struct FakeModelOptions {
    uint32_t vocabulary = 40;
    uint32_t context_tokens = 4096;
    uint32_t batch_tokens_max = 512;
    uint32_t block_tokens = 4;
    bool full_attention = true;
    std::optional<uint32_t> window_tokens;  // a second group, which sees only so much
    bool recurrent = false;                 // a layer whose state is a function of every token
};

// A model that forgets nothing and forgives nothing. Its "attention" chains the entries of every
// position that a token may see, in order, through a 64-bit mixing function; its recurrent layer
// chains every token. A missing, stale or foreign entry, a token that was fed twice, or a state
// that was not rolled back changes every later logit.
//
// Layers: a full-attention layer (group 0), a windowed layer (the next group), a recurrent layer,
// each on the output of the one before. An entry is 8 bytes, kept as one F32 key and one F32 value.
class FakeModel final : public model::Model {
  public:
    explicit FakeModel(const FakeModelOptions& options);

    const model::ModelInfo& info() const override { return info_; }
    const kv::StateSpec& state_spec() const override { return spec_; }
    uint32_t batch_tokens_max() const override { return options_.batch_tokens_max; }
    Result<void> forward(std::span<const model::SequenceSlice> batch,
                         std::span<float> logits) override;

    uint64_t passes() const { return passes_; }
    uint64_t tokens_computed() const { return tokens_computed_; }

    // Called before every pass; an error is the pass's result.
    std::function<Result<void>(std::span<const model::SequenceSlice>)> before_pass;
    // Called for every row of logits: what it does to them is what the engine sees.
    std::function<void(const model::SequenceSlice&, uint32_t position, std::span<float>)> on_row;

  private:
    uint64_t compute_token(const model::SequenceSlice& slice, uint32_t index) const;

    FakeModelOptions options_;
    model::ModelInfo info_;
    kv::StateSpec spec_;
    uint64_t passes_ = 0;
    uint64_t tokens_computed_ = 0;
};

}  // namespace weir::engine::testing
