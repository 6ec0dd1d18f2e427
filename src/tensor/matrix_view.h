#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "tensor/dtype.h"

namespace weir::tensor {

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

    // A view of `bytes` as a matrix. Fails if the row is not whole blocks, a size overflows, the
    // bytes are too few, or they are not aligned to what the type's numbers need.
    static Result<MatrixView> over(DType dtype, uint64_t rows, uint64_t columns,
                                   std::span<const std::byte> bytes);

    const std::byte* row(size_t index) const { return data + index * row_stride; }

    // Rows [begin, begin + count) as a matrix of their own.
    MatrixView slice(size_t begin, size_t count) const {
        return {dtype, count, columns, row_stride, row(begin)};
    }
};

}  // namespace weir::tensor
