#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kv/state.h"
#include "model/layers/layer.h"

namespace weir::model {

// What a sequence remembers, all layers together, and where each layer's part of it is.
//
// Layers that keep the same share attention groups. All groups draw blocks of one size, that of the
// largest: so where some kinds of layers are many and others few (five windowed layers to a global
// one), the many are cut into groups of about the size of the few.
struct StatePlan {
    kv::StateSpec spec;
    std::vector<Visibility> visible;  // [spec.groups]
    std::vector<LayerMemory> layers;  // [layers]
};

StatePlan plan_state(std::span<const StateNeed> layers, tensor::DType kv_dtype,
                     uint32_t block_tokens);

}  // namespace weir::model
