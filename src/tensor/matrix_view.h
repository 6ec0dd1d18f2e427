#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "tensor/dtype.h"

namespace weir::tensor {

// The scales of an F8_E4M3 matrix: one float32 for each tile of 128 rows by 128 columns, and for
// what is left at the right and lower edges.  DeepSeek-V3's weight_scale_inv.
struct TileScales {
    static constexpr size_t kTile = 128;

    const float* data = nullptr;  // [ceil(rows / 128), stride]; none: every scale is 1
    size_t stride = 0;            // ceil(columns / 128)
    size_t first_row = 0;         // of the matrix that `data` is of, where this view begins

    float at(size_t row, size_t column) const {
        return data == nullptr ? 1.0f : data[(first_row + row) / kTile * stride + column / kTile];
    }
};

// A matrix of weights, borrowed: `rows` outputs, each a contiguous row of `columns` inputs.
//
// Ownership: none; whoever owns the bytes (a mapped file, an arena) outlives the view.
// Invariant (of a view from `over`): data holds rows * row_stride bytes, columns is whole blocks.
struct MatrixView {
    DType dtype = DType::F32;
    size_t rows = 0;
    size_t columns = 0;
    size_t row_stride = 0;  // bytes from one row to the next
    const std::byte* data = nullptr;
    TileScales scales{};  // of F8_E4M3

    // A view of `bytes` as a matrix. Fails if the row is not whole blocks, a size overflows, the
    // bytes are too few, or they are not aligned to what the type's numbers need.
    static Result<MatrixView> over(DType dtype, uint64_t rows, uint64_t columns,
                                   std::span<const std::byte> bytes);

    const std::byte* row(size_t index) const { return data + index * row_stride; }

    // Rows [begin, begin + count) as a matrix of their own; without bytes where this has none,
    // because it is only counted.
    MatrixView slice(size_t begin, size_t count) const {
        TileScales of_rows = scales;
        of_rows.first_row += begin;
        const std::byte* const first = data == nullptr ? nullptr : row(begin);
        return {dtype, count, columns, row_stride, first, of_rows};
    }
};

}  // namespace weir::tensor
