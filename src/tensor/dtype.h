#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"

namespace weir::tensor {

// How the numbers of a tensor are stored. To add a type: an enumerator, its row in the table of
// dtype.cpp, its struct in blocks.h, and its pair of functions in quantize.cpp.
enum class DType : uint8_t {
    F32,
    F16,
    BF16,
    Q8_0,  // blocks of 32, int8 with one scale
    Q4_0,  // blocks of 32, 4 bits with one scale
    Q4_K,  // blocks of 256, 4 bits, eight 6-bit scales and minima
    Q6_K,  // blocks of 256, 6 bits, sixteen 8-bit scales
};

struct DTypeInfo {
    DType dtype;
    std::string_view name;
    uint32_t block_elements;  // elements along a row that are stored together
    uint32_t block_bytes;
    uint32_t ggml_type;  // the id in a GGUF tensor description
};

// Every type, in the order of the enumerators.
std::span<const DTypeInfo> all_dtypes();
const DTypeInfo& info(DType dtype);
std::string_view name(DType dtype);

// What a kernel needs a tensor's address to be a multiple of. Quantized blocks begin with a half or
// with bytes.
constexpr size_t alignment(DType dtype) {
    return dtype == DType::F32 ? alignof(float) : alignof(uint16_t);
}

// The type with this id in GGUF; nothing if this build cannot read it.
std::optional<DType> dtype_from_ggml(uint32_t ggml_type);

// Bytes of one row of `columns` elements. InvalidArgument if the row is not whole blocks or its
// size does not fit.
Result<uint64_t> row_bytes(DType dtype, uint64_t columns);

}  // namespace weir::tensor
