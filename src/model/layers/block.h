#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "model/layers/layer.h"
#include "model/layers/layer_input.h"
#include "model/layers/norm.h"

namespace weir::model {

// One layer whole. Norms that are not there are left out:
//
//   sequential   x += scale * after_mixer(mixer(before_mixer(x)))
//                x += scale * after_feed_forward(feed_forward(before_feed_forward(x)))
//   norm behind  x = after_mixer(x + mixer(x)); x = after_feed_forward(x + feed_forward(x))
//   then         x += layer_input(x), x *= output_scale, where they are there
//   parallel     n = before_mixer(x); x += scale * (mixer(n) + feed_forward(n))
struct Block {
    BlockForm form = BlockForm::Sequential;
    std::optional<Norm> before_mixer;
    std::optional<Norm> after_mixer;
    std::optional<Norm> before_feed_forward;
    std::optional<Norm> after_feed_forward;
    float residual_scale = 1;
    std::unique_ptr<TokenMixer> mixer;
    std::unique_ptr<FeedForward> feed_forward;
    std::optional<LayerInputGate> layer_input;  // added behind those
    std::span<const float> output_scale;        // [1], or empty: 1
};

// Bytes of scratch that the block takes from Pass::scratch.
uint64_t scratch_bytes(const Block& block, size_t rows, size_t hidden);

// x [pass.rows, hidden], in place.
void run(const Block& block, const Pass& pass, const LayerMemory& memory, std::span<float> x);

}  // namespace weir::model
