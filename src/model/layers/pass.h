#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/token_id.h"
#include "kernels/activations.h"
#include "kernels/attention.h"
#include "kernels/kernel_set.h"
#include "kernels/recurrent.h"
#include "kernels/row_ops.h"
#include "model/config.h"
#include "model/scratch.h"

namespace weir::model {

// Where a layer's part of a sequence's memory is; state_plan.h decides it.
struct LayerMemory {
    size_t group = 0;             // of Pass::groups
    size_t kv_offset = 0;         // bytes into the group's blocks
    size_t recurrent_offset = 0;  // bytes into the recurrent state
};

// An attention group's part of the pass at hand.
struct GroupRows {
    kernels::KvLayout layout;
    Visibility visible;
    std::vector<kernels::PagedKv> sequences;  // [slices]
    std::vector<kernels::QueryRow> queries;   // [rows]
};

// One sequence's rows: [first_row, first_row + rows) are its tokens at [position, position + rows).
struct SliceRows {
    size_t first_row = 0;
    size_t rows = 0;
    uint32_t position = 0;
};

// The rows of one forward pass and what all layers share. Row r is tokens[r] at positions[r] of
// sequence sequence_of[r]; a sequence's rows stand together, in order of position.
//
// Scratch: a part of a layer takes what it needs from `scratch` when its run begins, as much as it
// said in scratch_bytes; the decoder takes all of it back after each run.
struct Pass {
    const kernels::Compute& compute;
    size_t rows;
    std::span<const TokenId> tokens;        // [rows]
    std::span<const uint32_t> sequence_of;  // [rows]
    std::span<const uint32_t> positions;    // [rows]
    std::span<const uint32_t> row_numbers;  // 0, 1, 2, …: each row's line of the rope tables
    std::span<const SliceRows> slices;      // [sequences of the batch]
    // The same with the sequences' recurrent state; empty if the model has none.
    std::span<const kernels::StateRows> states;
    std::span<const GroupRows> groups;          // as StatePlan::spec.groups
    std::span<const kernels::RopeTable> ropes;  // as TransformerConfig::ropes
    std::span<const float> layer_inputs;        // [rows, layers, per_layer_width], or empty
    ScratchArena& scratch;
};

// What a part of a layer reads: rows [pass.rows, hidden], and the residual stream that they were
// made of.
struct LayerInput {
    kernels::Activations& x;
    std::span<const float> residual;
};

}  // namespace weir::model
