#pragma once

#include "base/result.h"
#include "model/family.h"

// What Cohere's families share; cohere.cpp has it.
namespace weir::model {

inline constexpr JsonDefaults kCohereJson = {
    .epsilon_name = "layer_norm_eps", .epsilon = 1e-5, .rope_theta = 500000, .tied = true};
inline constexpr double kCohereLogitScale = 0.0625;  // where no file says it

// The parallel block and its norms.
void start_cohere(TransformerConfig& out);
// All of that in config.json that both have in common.
Result<void> read_cohere_json(JsonConfig& in, TransformerConfig& out);

}  // namespace weir::model
