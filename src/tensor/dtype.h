#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"

namespace weir::tensor {

// How the numbers of a tensor are stored. To add a type: an enumerator, its row in the table of
// dtype.cpp, its struct in blocks.h, its functions in dequantize.cpp and quantize.cpp, and its
// product (kernels/matmul.h).
enum class DType : uint8_t {
    F32,
    F16,
    BF16,
    Q8_0,     // blocks of 32, int8 with one scale
    Q4_0,     // blocks of 32, 4 bits with one scale
    Q4_K,     // blocks of 256, 4 bits, eight 6-bit scales and minima
    Q6_K,     // blocks of 256, 6 bits, sixteen 8-bit scales
    Q4_1,     // blocks of 32, 4 bits with scale and minimum
    Q5_0,     // blocks of 32, 5 bits with one scale
    Q5_1,     // blocks of 32, 5 bits with scale and minimum
    Q2_K,     // blocks of 256, 2 bits, sixteen 4-bit scales and minima
    Q3_K,     // blocks of 256, 3 bits, sixteen 6-bit scales
    Q5_K,     // blocks of 256, 5 bits, eight 6-bit scales and minima
    IQ4_NL,   // blocks of 32, 4 bits into a table of sixteen unevenly spaced values
    IQ4_XS,   // blocks of 256, the same table, eight 6-bit scales
    MXFP4,    // blocks of 32, 4-bit floats with a power of two
    Q4_G128,  // blocks of 128, 4 bits with scale and zero point: what GPTQ and AWQ files say
    F8_E4M3,  // 8-bit floats; the matrix has one scale for each tile of 128 x 128 (MatrixView)
};

inline constexpr size_t kDTypes = 18;

struct DTypeInfo {
    DType dtype;
    std::string_view name;
    uint32_t block_elements;  // elements along a row that are stored together
    uint32_t block_bytes;
    std::optional<uint32_t> ggml_type;  // the id in a GGUF tensor description, if it has one
};

// Every type, in the order of the enumerators.
std::span<const DTypeInfo> all_dtypes();
const DTypeInfo& info(DType dtype);
std::string_view name(DType dtype);

// What a kernel needs a tensor's address to be a multiple of. Quantized blocks begin with a half or
// with bytes.
constexpr size_t alignment(DType dtype) {
    switch (dtype) {
        case DType::F32:
            return alignof(float);
        case DType::MXFP4:
        case DType::F8_E4M3:
            return 1;
        default:
            return alignof(uint16_t);
    }
}

// The type with this id in GGUF; nothing if this build cannot read it.
std::optional<DType> dtype_from_ggml(uint32_t ggml_type);

// Bytes of one row of `columns` elements. InvalidArgument if the row is not whole blocks or its
// size does not fit.
Result<uint64_t> row_bytes(DType dtype, uint64_t columns);

}  // namespace weir::tensor
