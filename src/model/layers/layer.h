#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "model/config.h"
#include "model/layers/pass.h"

namespace weir::model {

// Paged keys and values of one layer.
struct KvNeed {
    uint32_t kv_heads = 0;
    uint32_t key_dim = 0;
    uint32_t value_dim = 0;  // 0: values are the first part of the keys
    Visibility visible;

    friend bool operator==(const KvNeed&, const KvNeed&) = default;
};

// What a layer keeps of a sequence.
struct StateNeed {
    std::optional<KvNeed> kv;
    std::optional<uint32_t> reads_layer;  // instead: keys and values of an earlier layer
    uint64_t recurrent_bytes = 0;
};

// How a layer's tokens learn of each other: attention, latent attention, a recurrence.
//
// Threads: run is called by one thread and spreads over the pool. Ownership: borrows the weights.
// Invariant: nothing of a pass stays here; a row's result depends on its own sequence alone. In a
// plan, which reads no weights, it is made all the same, for its state and its scratch: whoever
// makes one looks at no number of a tensor.
class TokenMixer {
  public:
    virtual ~TokenMixer() = default;

    virtual StateNeed state() const = 0;
    virtual uint64_t scratch_bytes(size_t rows) const = 0;

    // out [pass.rows, hidden] = what the mixer makes of the input, which it does not overlap.
    // Extends the sequences' state.
    virtual void run(const Pass& pass, const LayerMemory& memory, const LayerInput& input,
                     std::span<float> out) const = 0;
};

// What a layer does with each token by itself. As TokenMixer, but without a state.
class FeedForward {
  public:
    virtual ~FeedForward() = default;

    virtual uint64_t scratch_bytes(size_t rows) const = 0;
    virtual void run(const Pass& pass, const LayerInput& input, std::span<float> out) const = 0;
};

}  // namespace weir::model
