#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "model/config.h"
#include "model/layers/block.h"
#include "model/rope.h"
#include "model/tensor_index.h"
#include "model/weight_binder.h"
#include "tensor/matrix_view.h"

namespace weir::model {

// A model's tensors, bound by name to what the forward pass multiplies with, layer by layer. Every
// shape has been checked against the config, every row is whole blocks of its type, and no tensor
// of the file was left unbound (but for a few that are known to mean nothing).
//
// Ownership: `owned` holds what was widened, made, or not aligned as its type needs; the rest
// belongs to the mapped files, which outlive this.
struct DecoderWeights {
    tensor::MatrixView embedding;  // [vocabulary, hidden]
    std::vector<Block> blocks;
    std::optional<LayerInputs> layer_inputs;
    Norm output_norm;
    Linear output;  // [vocabulary, hidden]
    RopeTensors rope;

    WeightCounts counts;
    std::vector<std::vector<std::byte>> owned;
};

// One layer's, after WeightBinder::enter_layer.
Result<Block> bind_block(WeightBinder& in, const TransformerConfig& config, uint32_t layer);

// Errors name the tensor as the file does. For Purpose::Count the same checks of names, types and
// shapes, but no byte is read or copied: for a plan of a model that is larger than the machine.
Result<DecoderWeights> bind_weights(const TensorIndex& index, const TransformerConfig& config,
                                    Purpose purpose);

}  // namespace weir::model
