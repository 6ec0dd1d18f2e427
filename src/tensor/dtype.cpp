#include "tensor/dtype.h"

#include <array>
#include <limits>

#include "base/bytes.h"
#include "base/check.h"
#include "tensor/blocks.h"

namespace weir::tensor {

namespace {

constexpr std::array kTable = {
    DTypeInfo{DType::F32, "F32", 1, 4, 0},
    DTypeInfo{DType::F16, "F16", 1, 2, 1},
    DTypeInfo{DType::BF16, "BF16", 1, 2, 30},
    DTypeInfo{DType::Q8_0, "Q8_0", BlockQ8_0::kElements, sizeof(BlockQ8_0), 8},
    DTypeInfo{DType::Q4_0, "Q4_0", BlockQ4_0::kElements, sizeof(BlockQ4_0), 2},
    DTypeInfo{DType::Q4_K, "Q4_K", BlockQ4_K::kElements, sizeof(BlockQ4_K), 12},
    DTypeInfo{DType::Q6_K, "Q6_K", BlockQ6_K::kElements, sizeof(BlockQ6_K), 14},
    DTypeInfo{DType::Q4_1, "Q4_1", BlockQ4_1::kElements, sizeof(BlockQ4_1), 3},
    DTypeInfo{DType::Q5_0, "Q5_0", BlockQ5_0::kElements, sizeof(BlockQ5_0), 6},
    DTypeInfo{DType::Q5_1, "Q5_1", BlockQ5_1::kElements, sizeof(BlockQ5_1), 7},
    DTypeInfo{DType::Q2_K, "Q2_K", BlockQ2_K::kElements, sizeof(BlockQ2_K), 10},
    DTypeInfo{DType::Q3_K, "Q3_K", BlockQ3_K::kElements, sizeof(BlockQ3_K), 11},
    DTypeInfo{DType::Q5_K, "Q5_K", BlockQ5_K::kElements, sizeof(BlockQ5_K), 13},
    DTypeInfo{DType::IQ4_NL, "IQ4_NL", BlockIQ4_NL::kElements, sizeof(BlockIQ4_NL), 20},
    DTypeInfo{DType::IQ4_XS, "IQ4_XS", BlockIQ4_XS::kElements, sizeof(BlockIQ4_XS), 23},
    DTypeInfo{DType::MXFP4, "MXFP4", BlockMXFP4::kElements, sizeof(BlockMXFP4), 39},
    DTypeInfo{DType::Q4_G128, "Q4_G128", BlockQ4_G128::kElements, sizeof(BlockQ4_G128),
              std::nullopt},
    DTypeInfo{DType::F8_E4M3, "F8_E4M3", 1, 1, std::nullopt},
};

static_assert(kTable.size() == kDTypes);

constexpr bool table_is_in_order() {
    for (size_t i = 0; i < kTable.size(); ++i) {
        if (static_cast<size_t>(kTable[i].dtype) != i) {
            return false;
        }
    }
    return true;
}
static_assert(table_is_in_order());

}  // namespace

std::span<const DTypeInfo> all_dtypes() {
    return kTable;
}

const DTypeInfo& info(DType dtype) {
    const auto index = static_cast<size_t>(dtype);
    WEIR_ASSERT(index < kTable.size());
    return kTable[index];
}

std::string_view name(DType dtype) {
    return info(dtype).name;
}

std::optional<DType> dtype_from_ggml(uint32_t ggml_type) {
    for (const DTypeInfo& row : kTable) {
        if (row.ggml_type == ggml_type) {
            return row.dtype;
        }
    }
    return std::nullopt;
}

Result<uint64_t> row_bytes(DType dtype, uint64_t columns) {
    const DTypeInfo& row = info(dtype);
    if (columns % row.block_elements != 0) {
        return fail(ErrorCode::InvalidArgument,
                    "a {} row has {} columns, which is no multiple of its block of {}", row.name,
                    columns, row.block_elements);
    }
    const auto bytes = checked_mul(columns / row.block_elements, row.block_bytes);
    if (!bytes || *bytes > std::numeric_limits<size_t>::max()) {
        return fail(ErrorCode::InvalidArgument, "a {} row of {} columns is too long", row.name,
                    columns);
    }
    return *bytes;
}

}  // namespace weir::tensor
