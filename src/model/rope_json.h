#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "json/fields.h"
#include "model/config.h"

namespace weir::model {

// What a rope dictionary of config.json says, before a family has said what it makes of it.
struct RopeJson {
    std::optional<double> theta;
    RopeScaling scaling;
    std::optional<double> rotary_part;  // partial_rotary_factor
    uint32_t original_context = 0;
    double temperature_beta = 0;  // llama_4_scaling_beta
};

struct RopeJsonContext {
    uint32_t context_tokens = 0;               // max_position_embeddings
    std::optional<uint32_t> original_context;  // of the top level; wins
};

// Reads the parameters of one rope, as `rope_parameters` (all in one) or `rope_scaling` have them.
// Unknown members and unknown types are refused by name.
Result<RopeJson> read_rope_json(json::Fields fields, const RopeJsonContext& context);

}  // namespace weir::model
