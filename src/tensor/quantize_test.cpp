#include "tensor/quantize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "tensor/blocks.h"
#include "tensor/float16.h"

namespace weir::tensor {
namespace {

std::vector<float> normal_values(size_t count, uint32_t seed) {
    std::mt19937 engine(seed);
    std::normal_distribution<float> distribution(0.0f, 0.05f);
    std::vector<float> values(count);
    std::generate(values.begin(), values.end(), [&] { return distribution(engine); });
    return values;
}

std::vector<float> round_trip(DType dtype, const std::vector<float>& values) {
    std::vector<std::byte> row(row_bytes(dtype, values.size()).value());
    quantize_row(dtype, values, row);
    std::vector<float> back(values.size());
    dequantize_row(dtype, row.data(), back);
    return back;
}

// The largest error, in units of the largest magnitude, that one element may have.
//   F16/BF16: half a unit in the last place.  Q8_0: half of 1/127, and d rounded to 11 bits.
//   Q4_0: one step of 1/8 at the positive end (which has only 7 steps), else half.
//   Q4_K: the sub-block's range of at most 2 in 15 steps: half a step, plus the rounding of the
//         6-bit scale (15 steps * half of 1/63 of the largest step) and minimum (half of 1/63).
//   Q6_K: 1/32 at the positive end, plus the scale's half of 1/128.
double bound(DType dtype) {
    switch (dtype) {
        case DType::F32:
            return 0;
        case DType::F16:
            return 0x1p-11;
        case DType::BF16:
            return 0x1p-8;
        case DType::Q8_0:
            return 0.5 / 127 + 0x1p-11;
        case DType::Q4_0:
            return 1.0 / 8 + 0x1p-11;
        case DType::Q4_K:
            return 0.5 * 2 / 15 + 2 * 0.5 / 63 + 0.5 / 63 + 0x1p-9;
        case DType::Q6_K:
            return 1.0 / 32 + 0.5 / 128 + 0x1p-10;
    }
    return 0;
}

TEST(Quantize, EveryElementComesBackWithinTheBoundOfItsType) {
    for (const DTypeInfo& type : all_dtypes()) {
        for (uint32_t seed = 0; seed < 20; ++seed) {
            const std::vector<float> values = normal_values(256, seed);
            const std::vector<float> back = round_trip(type.dtype, values);
            float largest = 0;
            for (const float value : values) {
                largest = std::max(largest, std::fabs(value));
            }
            for (size_t i = 0; i < values.size(); ++i) {
                ASSERT_LE(std::fabs(values[i] - back[i]), bound(type.dtype) * largest)
                    << type.name << " seed " << seed << " element " << i;
            }
        }
    }
}

TEST(Quantize, ZerosStayZeros) {
    const std::vector<float> zeros(512, 0.0f);
    for (const DTypeInfo& type : all_dtypes()) {
        for (const float value : round_trip(type.dtype, zeros)) {
            ASSERT_EQ(value, 0.0f) << type.name;
        }
    }
}

// Values that a type can say exactly come back exactly: the layouts are read as they were written.
TEST(Quantize, RepresentableValuesAreExact) {
    std::vector<float> values(256);
    for (size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<float>(static_cast<int>(i * 7 % 16) - 8) * 0.25f;
    }
    for (const DType dtype : {DType::F32, DType::F16, DType::BF16, DType::Q4_0}) {
        EXPECT_EQ(round_trip(dtype, values), values) << name(dtype);
    }
}

// Bytes and values worked out by hand from the layouts in blocks.h.
TEST(Dequantize, Q4_0TakesTheLowNibblesFirst) {
    BlockQ4_0 block{};
    block.d = f16_from_f32(0.5f);
    block.q[3] = 0xf1;
    std::vector<float> out(32);
    dequantize_row(DType::Q4_0, reinterpret_cast<const std::byte*>(&block), out);
    EXPECT_EQ(out[3], 0.5f * (1 - 8));
    EXPECT_EQ(out[19], 0.5f * (15 - 8));
    EXPECT_EQ(out[0], -4.0f);
}

TEST(Dequantize, Q4_KReadsSixBitScalesAndMinima) {
    BlockQ4_K block{};
    block.d = f16_from_f32(1.0f);
    block.dmin = f16_from_f32(0.5f);
    block.scales[1] = 0b11'000101;  // scale 1 = 5; high bits of scale 5 = 3
    block.scales[5] = 0b10'000111;  // minimum 1 = 7; high bits of minimum 5 = 2
    block.scales[9] = 0b1001'0010;  // low bits: scale 5 = 2, minimum 5 = 9
    block.q[0 + 4] = 0x30;          // sub-block 1, element 4: 3
    block.q[64 + 6] = 0xc0;         // sub-block 5, element 6: 12
    std::vector<float> out(256);
    dequantize_row(DType::Q4_K, reinterpret_cast<const std::byte*>(&block), out);
    EXPECT_EQ(out[32 + 4], 5.0f * 3 - 0.5f * 7);
    EXPECT_EQ(out[32 * 5 + 6], 50.0f * 12 - 0.5f * 41);
    EXPECT_EQ(out[0], 0.0f);
}

TEST(Dequantize, Q6_KPutsTheQuartersOfAHalfTogether) {
    BlockQ6_K block{};
    block.d = f16_from_f32(1.0f);
    std::fill(std::begin(block.scales), std::end(block.scales), int8_t{1});
    block.scales[(128 + 96 + 5) / 16] = -3;
    block.ql[64 + 32 + 5] = 0xa0;  // second half, l = 5: element 101 has its low bits here, high
    block.qh[32 + 5] = 0b10'000000;
    std::vector<float> out(256);
    dequantize_row(DType::Q6_K, reinterpret_cast<const std::byte*>(&block), out);
    EXPECT_EQ(out[128 + 96 + 5], -3.0f * (0xa + 32 - 32));
    EXPECT_EQ(out[0], -32.0f);
}

}  // namespace
}  // namespace weir::tensor
