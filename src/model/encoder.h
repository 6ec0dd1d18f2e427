#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/token_id.h"
#include "kernels/kernel_set.h"
#include "model/config.h"
#include "model/layers/block.h"
#include "model/load.h"
#include "model/scratch.h"
#include "model/weight_binder.h"

namespace weir::model {

// How one vector is made of those of a text's tokens.
enum class Pooling : uint8_t {
    Mean,
    First,  // the first token's, [CLS]
};

// The longest text that an encoder is loaded for.
inline constexpr uint32_t kEncoderTokensMax = 1u << 14;

// What an encoder takes, before any weight is read; all of it but the files is scratch.
struct EncoderPlan {
    ModelInfo info;  // context_tokens: of one text
    uint64_t weights_mapped_bytes = 0;
    uint64_t weights_copied_bytes = 0;
    uint64_t scratch_bytes = 0;  // activations, keys and values of one text

    uint64_t total_bytes() const {
        return weights_mapped_bytes + weights_copied_bytes + scratch_bytes;
    }
};

// A text encoder: tokens in, one vector out; every token sees every other (families/bert.cpp has
// the formulas). The layers are the decoders' (layers/), over keys and values that live for one
// text and one layer in the encoder's own memory.
//
// Threads: one at a time; spreads over the pool of `compute`.
// Ownership: owns its scratch, shares the mapped files; borrows `compute`.
// Invariant: after loading nothing is allocated. A text's vector does not depend on threads or on
// other texts.
class Encoder {
  public:
    // Errors: Unsupported if the model is no encoder; otherwise as load_model.
    static Result<std::unique_ptr<Encoder>> load(ModelSource::Pointer source,
                                                 kernels::Compute compute);

    // Errors as load; no weight is read.
    static Result<EncoderPlan> plan(const ModelSource& source);

    // Whether the tensors are those of the config; they are read.
    static Result<void> check(const TensorIndex& index, const TransformerConfig& config);

    uint32_t hidden() const { return config_.hidden; }
    uint32_t vocabulary() const { return config_.vocabulary; }
    uint32_t tokens_max() const { return tokens_max_; }

    // out [hidden]. Errors: InvalidArgument for no token, too many, or one past the vocabulary.
    Result<void> encode(std::span<const TokenId> tokens, Pooling pooling, std::span<float> out);

  private:
    struct Weights {
        tensor::MatrixView words;     // [vocabulary, hidden]
        tensor::MatrixView position;  // [context, hidden]
        tensor::MatrixView types;     // [token_types, hidden]
        Norm norm;
        std::vector<Block> blocks;
        WeightCounts counts;
        std::vector<std::vector<std::byte>> owned;
    };
    Encoder(ModelSource::Pointer source, TransformerConfig config, Weights weights,
            kernels::Compute compute);
    static Result<Weights> bind(const TensorIndex& index, const TransformerConfig& config,
                                Purpose purpose);
    static uint64_t scratch_bytes(const TransformerConfig& config, const Weights& weights,
                                  uint32_t tokens);

    void embed(std::span<const TokenId> tokens);
    void run_blocks(std::span<const TokenId> tokens);

    ModelSource::Pointer source_;
    TransformerConfig config_;
    Weights weights_;
    kernels::Compute compute_;
    uint32_t tokens_max_;

    ScratchArena arena_;
    std::span<float> x_;  // [tokens, hidden]

    // Row r is position r of the one text; every row sees all of them.
    std::vector<uint32_t> numbers_;      // 0, 1, 2, …
    std::vector<uint32_t> zeros_;        // the sequence of each row, and its segment
    std::vector<uint32_t> positions_;    // rows of the table of positions, of the text at hand
    std::vector<std::byte*> kv_blocks_;  // of one layer at a time
    std::vector<GroupRows> groups_;      // the one
};

// Makes the vector's length one; zeros stay.
void normalize(std::span<float> vector);

}  // namespace weir::model
