#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "json/value.h"
#include "model/tensor_index.h"

// Matrices that a Hugging Face folder says in several tensors. One of the tensors stands for the
// matrix, under its own name, with the matrix's shape and the kernels' type; the others become its
// parts (StoredTensor::parts) and are no tensors of their own.
//
//   Gptq, GptqV2   X.qweight  I32 [in / 8, out]      eight inputs a word, the first lowest
//                  X.qzeros   I32 [groups, out / 8]  eight outputs a word; Gptq: zero point - 1
//                  X.scales   F16 [groups, out]
//                  X.g_idx    I32 [in]               the group of each input, or absent
//   Awq            X.qweight  I32 [in, out / 8]      eight outputs a word, in the order 0 2 4 6 1 3
//   5 7
//                  X.qzeros   I32 [groups, out / 8]  likewise
//                  X.scales   F16 [groups, out]
//   Mxfp4          X_blocks   U8 [.., out, in / 32, 16]  two inputs a byte, the first low
//                  X_scales   U8 [.., out, in / 32]      exponents
//   F8Tiles        X.weight            F8_E4M3 [out, in]
//                  X.weight_scale_inv  F32 [ceil(out / 128), ceil(in / 128)]
//
// The first three are repacked when the model is loaded (Q4_G128, MXFP4), without any rounding;
// F8_E4M3 is used where it lies.
namespace weir::model {

// What config.json's quantization_config says; None without one. Unsupported, naming the field, for
// whatever would make other numbers of the tensors.
Result<WeightPacking> read_weight_packing(const json::Object& config);

// Joins the tensors of a folder; `tensors` are sorted by name before and after. What lacks a part
// stays as it is, or fails in check_parts.
void join_parts(WeightPacking packing, std::vector<StoredTensor>& tensors);

// The name of the tensor that stands for the matrix `name` where that is packed: "X.qweight" for
// "X.weight", "X_blocks" for "X".
std::string packed_name(std::string_view name);

// Whether the parts are there with the shapes and types that the tensor's own shape asks for. For a
// tensor that is not packed: that it need not be (F8_E4M3 without scales has no meaning).
Result<void> check_parts(const StoredTensor& tensor);

// Whether it has to be repacked to be used, and into how many bytes.
bool is_repacked(const StoredTensor& tensor);
Result<uint64_t> repacked_bytes(const StoredTensor& tensor);

// Writes the matrix as rows of its type; `out` has repacked_bytes. After check_parts. DataCorrupt
// or Unsupported, naming the tensor, for groups of columns that are out of order and scales that a
// float16 cannot hold.
Result<void> repack(const StoredTensor& tensor, std::span<std::byte> out);

}  // namespace weir::model
