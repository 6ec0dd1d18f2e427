#pragma once

#include <cstddef>
#include <span>

#include "kernels/kernel_set.h"
#include "kernels/kernel_table.h"
#include "tensor/dtype.h"

namespace weir::kernels {

// The right-hand side of a matrix product: float rows [rows, columns], and the quantized forms
// that quantized weights need, made once for all the matrices that the rows are multiplied with.
//
// A row is quantized by itself: blocks of 32 for weights in blocks of 32, blocks of 256 for those
// in blocks of 256, none for floats, F8_E4M3 and Q4_G128; int8 with a float32 scale, rounded to
// nearest even. A block that holds a NaN or an infinity gets the scale NaN, so that the outputs of
// its row are NaN, and only those.
//
// Threads: one. Ownership: borrows the values and the scratch; both outlive the object, and the
// values do not change while it lives.
class Activations {
  public:
    // Enough for every form of up to rows x columns.
    static size_t scratch_bytes(size_t rows, size_t columns);

    // `values` is rows x columns, contiguous. `scratch` has at least scratch_bytes(rows, columns)
    // and starts at a multiple of 64.
    Activations(const float* values, size_t rows, size_t columns, std::span<std::byte> scratch);

    size_t rows() const { return rows_; }
    size_t columns() const { return columns_; }
    const float* values() const { return values_; }

    // The forms as the kernels see them, after making the one that `weight` needs.
    const ActivationForms& prepare(const Compute& compute, tensor::DType weight);

  private:
    void quantize_q8(const Compute& compute);
    void quantize_q8k(const Compute& compute);

    const float* values_;
    size_t rows_;
    size_t columns_;
    ActivationForms forms_{};
    bool has_q8_ = false;
    bool has_q8k_ = false;
    Q8Rows q8_{};
    Q8KRows q8k_{};
};

}  // namespace weir::kernels
