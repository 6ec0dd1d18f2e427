#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "model/testing/tiny_mixture.h"

// What the writers of both file formats need.
namespace weir::model::testing {

std::vector<std::byte> float_bytes(const std::vector<float>& values);

// A tensor of one expert: "blk.1.ffn_gate.3.weight".
bool is_expert(const std::string& name);

// Tensors "stem.0ending", "stem.1ending", … one after the other.
MixtureTensor stacked(const TinyMixture& model, const MixtureTensors& tensors,
                      const std::string& stem, const std::string& ending);

// The code of a 4-bit float that element `index` of an expert's matrix has in mxfp4_tensors, and
// the exponent of every block.
unsigned mxfp4_code(const std::string& name, uint64_t index);
inline constexpr int kMxfp4Exponent = -5;  // values up to 0.19

}  // namespace weir::model::testing
