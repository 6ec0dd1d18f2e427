#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/token_id.h"
#include "kv/state.h"

namespace weir::model {

// Which of two sets of frequencies a sequence's positions turn by, where a model has two (Phi's
// longrope). Chosen once for a sequence, by the length that it may reach: keys of one variant mean
// nothing to queries of the other.
enum class RopeVariant : uint8_t { Short, Long };

// What the rest of the engine may know about a loaded model.
struct ModelInfo {
    std::string architecture;  // GGUF's name: "llama", "qwen2", …
    std::string name;
    uint32_t layers = 0;
    uint32_t hidden = 0;
    uint32_t vocabulary = 0;           // rows of the output matrix; logits have this many columns
    uint32_t context_tokens = 0;       // the longest sequence that will be computed
    uint32_t file_context_tokens = 0;  // the longest that the file allows
    uint64_t parameters = 0;
    uint64_t weight_bytes = 0;
    // Sequences that may grow longer than this have RopeVariant::Long; nothing: no model of two.
    std::optional<uint32_t> short_rope_tokens;

    RopeVariant rope_variant(uint64_t tokens_max) const {
        return short_rope_tokens && tokens_max > *short_rope_tokens ? RopeVariant::Long
                                                                    : RopeVariant::Short;
    }
};

enum class LogitsWanted : uint8_t { None, Last, All };

// A stretch of one sequence to compute: the tokens at positions [position, position + size).
// What came before is in `state`, which the pass extends.
struct SequenceSlice {
    std::span<const TokenId> tokens;  // not empty, each < vocabulary
    uint32_t position = 0;
    kv::SequenceView state;  // with blocks for every position up to the slice's end
    LogitsWanted logits = LogitsWanted::Last;
    RopeVariant rope = RopeVariant::Short;  // the same for all of a sequence's slices
};

// Rows of logits that a batch asks for.
size_t logit_rows(std::span<const SequenceSlice> batch);

// A loaded model: tokens in, logits out. The answer for a slice depends on its sequence's tokens
// alone, to the bit: not on the other slices, on how the sequence was cut into slices, or on the
// number of threads.
//
// Threads: `forward` is called by one thread (the engine's) and spreads over the pool it was given.
class Model {
  public:
    virtual ~Model() = default;

    virtual const ModelInfo& info() const = 0;
    virtual const kv::StateSpec& state_spec() const = 0;

    // The most tokens that one pass may compute, all slices together: activations are reserved
    // for that many at load.
    virtual uint32_t batch_tokens_max() const = 0;

    // Fills `logits` [logit_rows(batch), vocabulary], slices in order, rows in order of position.
    // An error ends this batch, not the model.
    virtual Result<void> forward(std::span<const SequenceSlice> batch, std::span<float> logits) = 0;
};

}  // namespace weir::model
