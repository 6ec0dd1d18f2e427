#include "tensor/matrix_view.h"

#include "base/bytes.h"

namespace weir::tensor {

Result<MatrixView> MatrixView::over(DType dtype, uint64_t rows, uint64_t columns,
                                    std::span<const std::byte> bytes) {
    WEIR_TRY_ASSIGN(const uint64_t stride, row_bytes(dtype, columns));
    const auto total = checked_mul(stride, rows);
    if (!total || *total > bytes.size()) {
        return data_corrupt("a {} matrix of {} x {} does not fit in {} bytes", name(dtype), rows,
                            columns, bytes.size());
    }
    if (reinterpret_cast<uintptr_t>(bytes.data()) % alignment(dtype) != 0) {
        return data_corrupt("a {} matrix starts at an odd address", name(dtype));
    }
    return MatrixView{dtype, static_cast<size_t>(rows), static_cast<size_t>(columns),
                      static_cast<size_t>(stride), bytes.data()};
}

}  // namespace weir::tensor
