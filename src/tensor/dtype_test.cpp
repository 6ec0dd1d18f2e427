#include "tensor/dtype.h"

#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <vector>

#include "tensor/matrix_view.h"

namespace weir::tensor {
namespace {

TEST(DType, EveryTypeIsFoundByItsGgmlId) {
    std::set<uint32_t> ids;
    for (const DTypeInfo& row : all_dtypes()) {
        if (row.ggml_type) {
            EXPECT_EQ(dtype_from_ggml(*row.ggml_type), row.dtype);
            EXPECT_TRUE(ids.insert(*row.ggml_type).second) << row.name;
        }
    }
    EXPECT_EQ(ids.size(), kDTypes - 2);  // F8_E4M3 and Q4_G128 are not of GGUF
}

TEST(DType, AnUnknownGgmlIdIsNoType) {
    EXPECT_FALSE(dtype_from_ggml(4).has_value());  // removed from the format
    EXPECT_FALSE(dtype_from_ggml(1u << 31).has_value());
}

TEST(DType, RowBytesCountsWholeBlocks) {
    EXPECT_EQ(row_bytes(DType::F32, 3).value(), 12u);
    EXPECT_EQ(row_bytes(DType::BF16, 3).value(), 6u);
    EXPECT_EQ(row_bytes(DType::Q8_0, 64).value(), 68u);
    EXPECT_EQ(row_bytes(DType::Q4_0, 64).value(), 36u);
    EXPECT_EQ(row_bytes(DType::Q4_K, 512).value(), 288u);
    EXPECT_EQ(row_bytes(DType::Q6_K, 512).value(), 420u);
}

TEST(DType, RowBytesRefusesAPartOfABlockAndSizesThatDoNotFit) {
    EXPECT_FALSE(row_bytes(DType::Q8_0, 33).has_value());
    EXPECT_FALSE(row_bytes(DType::Q4_K, 128).has_value());
    EXPECT_FALSE(row_bytes(DType::F32, std::numeric_limits<uint64_t>::max() / 2).has_value());
}

TEST(MatrixView, RefusesFewerBytesThanItsShapeNeeds) {
    const std::vector<std::byte> bytes(4 * 34);
    EXPECT_TRUE(MatrixView::over(DType::Q8_0, 4, 32, bytes).has_value());
    EXPECT_FALSE(MatrixView::over(DType::Q8_0, 5, 32, bytes).has_value());
    EXPECT_FALSE(MatrixView::over(DType::Q8_0, 1ull << 63, 64, bytes).has_value());
}

TEST(MatrixView, RefusesAnOddAddress) {
    alignas(4) const std::byte bytes[40] = {};
    EXPECT_TRUE(MatrixView::over(DType::F32, 1, 8, std::span(bytes)).has_value());
    EXPECT_FALSE(MatrixView::over(DType::F32, 1, 8, std::span(bytes).subspan(2)).has_value());
    EXPECT_FALSE(MatrixView::over(DType::F16, 1, 8, std::span(bytes).subspan(1)).has_value());
}

TEST(MatrixView, ASliceStartsAtItsFirstRow) {
    const std::vector<std::byte> bytes(4 * 34);
    const auto matrix = MatrixView::over(DType::Q8_0, 4, 32, bytes);
    ASSERT_TRUE(matrix.has_value());
    const MatrixView tail = matrix->slice(3, 1);
    EXPECT_EQ(tail.rows, 1u);
    EXPECT_EQ(tail.data, bytes.data() + 3 * 34);
}

}  // namespace
}  // namespace weir::tensor
