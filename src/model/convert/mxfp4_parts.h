#pragma once

#include "model/convert/output_tensor.h"
#include "model/tensor_index.h"

// MXFP4 as safetensors have it, from GGUF's blocks (packed_tensors.h reads it the other way round):
//   blocks  U8 [.., out, in / 32, 16]  two inputs a byte, the first low
//   scales  U8 [.., out, in / 32]      exponents
namespace weir::model {

// Whether all experts of a GGUF file are MXFP4: one quantization_config speaks for all of them.
bool has_mxfp4_experts(const TensorIndex& index);

// `stack` is MXFP4 [experts, out, in].
OutputTensor mxfp4_blocks(OutputTensor stack);
OutputTensor mxfp4_scales(OutputTensor stack);

}  // namespace weir::model
