#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/tensor_index.h"
#include "tensor/dtype.h"

namespace weir::model {

// Writes one row into `out`, which has exactly its bytes. Any thread may call it.
using RowReader = std::function<void(uint64_t row, std::span<std::byte> out)>;

// A tensor of a file that is going to be made: what it is called there, and how its rows are made
// of the tensors of another file. Nothing is read before open(), and what that takes is given back
// with the reader: a packed matrix is repacked in memory while it is written.
//
// Ownership: borrows the other file.
struct OutputTensor {
    std::string name;
    std::vector<uint64_t> shape;  // outermost first
    tensor::DType dtype = tensor::DType::F32;
    // Errors name the tensor as the file that is read does.
    std::function<Result<RowReader>()> open;
    // Where it is not empty: the tensor is bytes that say no number each (U8 of safetensors), of
    // this shape. `shape` then says how they are written, and `dtype` is F8_E4M3, of one byte too.
    std::vector<uint64_t> raw_shape = {};

    uint64_t rows() const;  // all but the innermost dimension
    uint64_t columns() const { return shape.back(); }
};

// A tensor as it is stored, with its parts put together: MXFP4 as GGUF's blocks; what only
// safetensors say (4 bits of GPTQ and AWQ, FP8 with its scales) as F32, which holds it exactly.
OutputTensor as_stored(const StoredTensor& tensor, std::string name);

// Row i of the new tensor is row row_of(i) of the old one.
OutputTensor with_rows(OutputTensor tensor, std::vector<uint64_t> shape,
                       std::function<uint64_t(uint64_t)> row_of);

// The rows of several tensors of one width, one behind the other; in the type that they have in
// common, or else as F32.
OutputTensor stacked(std::vector<OutputTensor> tensors, std::string name,
                     std::vector<uint64_t> shape);

OutputTensor widened(OutputTensor tensor);  // to F32

// The same numbers as rows of another length; as F32 where a row is then no whole blocks.
OutputTensor reshaped(OutputTensor tensor, std::vector<uint64_t> shape);

// Every number by `function`, as F32.
OutputTensor transformed(OutputTensor tensor, std::function<float(float)> function);

// Column i of the new tensor is column column_of(i) of the old one; as F32 where the numbers of a
// row stand in blocks.
OutputTensor with_columns(OutputTensor tensor, std::function<uint64_t(uint64_t)> column_of);

// Element i of a vector, or row i of a matrix, is the old one's element or row old(i).
OutputTensor by_index(OutputTensor tensor, std::function<uint64_t(uint64_t)> old);

// A tensor [count, rows, columns] as [count, columns, rows]; likewise.
OutputTensor transposed(OutputTensor tensor);

}  // namespace weir::model
