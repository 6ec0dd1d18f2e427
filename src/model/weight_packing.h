#pragma once

#include <cstdint>

namespace weir::model {

// How the folder of a quantized model says its matrices: packed_tensors.h.
enum class WeightPacking : uint8_t { None, Gptq, GptqV2, Awq, Mxfp4, F8Tiles };

}  // namespace weir::model
