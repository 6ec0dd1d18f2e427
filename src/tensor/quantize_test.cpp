#include "tensor/quantize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "tensor/blocks.h"
#include "tensor/float16.h"
#include "tensor/quantize_search.h"

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
//   Q4_1, Q5_1, Q4_G128: half a step of a range of at most 2, and of Q4_G128 the zero point's too.
//   Q5_0: one step of 1/16 at the positive end.  Q5_K: as Q4_K with 31 steps.
//   Q2_K: half of 2/3, scale (three steps of half of 1/15 each) and minimum (half of 1/15).
//   Q3_K: 1/4 at the positive end, plus the scale's half of 1/32 four times.
//   IQ4: half of the widest gap (24/127), 14/127 at the positive end; IQ4_XS the scale's half of
//        1/32 as well.
//   MXFP4: half of the widest gap (2 of 6), where the power of two doubles it.
//   F8_E4M3: half a unit in the last place of three bits.
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
        case DType::Q4_1:
            return 0.5 * 2 / 15 + 0x1p-9;
        case DType::Q5_0:
            return 1.0 / 16 + 0x1p-11;
        case DType::Q5_1:
            return 0.5 * 2 / 31 + 0x1p-9;
        case DType::Q2_K:
            return 0.5 * 2 / 3 + 2 * 0.5 / 15 + 0.5 / 15 + 0x1p-9;
        case DType::Q3_K:
            return 1.0 / 4 + 0.5 / 32 + 0x1p-9;
        case DType::Q5_K:
            return 0.5 * 2 / 31 + 2 * 0.5 / 63 + 0.5 / 63 + 0x1p-9;
        case DType::IQ4_NL:
            return 14.0 / 127 + 0x1p-9;
        case DType::IQ4_XS:
            return 14.0 / 127 + 0.5 / 32 + 0x1p-9;
        case DType::MXFP4:
            return 2 * 0.5 * 2 / 6;
        case DType::Q4_G128:
            return 2.0 / 15 + 0x1p-9;
        case DType::F8_E4M3:
            return 0x1p-4;
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

// The error that quantize_row_searched is said to make small.
double weighted_error(DType dtype, const std::vector<float>& values,
                      void (*pack)(DType, std::span<const float>, std::span<std::byte>)) {
    std::vector<std::byte> row(row_bytes(dtype, values.size()).value());
    pack(dtype, values, row);
    std::vector<float> back(values.size());
    dequantize_row(dtype, row.data(), back);
    double squares = 0;
    for (const float value : values) {
        squares += static_cast<double>(value) * value;
    }
    const double mean = std::sqrt(squares / static_cast<double>(values.size()));
    double error = 0;
    for (size_t i = 0; i < values.size(); ++i) {
        const double off = static_cast<double>(back[i]) - values[i];
        error += (mean + std::fabs(values[i])) * off * off;
    }
    return error;
}

// By so much at least over many blocks of normal numbers; each block alone need not gain.
TEST(QuantizeSearched, MakesTheErrorSmaller) {
    struct Gain {
        DType dtype;
        double factor;
    };
    for (const Gain& gain :
         {Gain{DType::Q4_0, 0.9}, Gain{DType::Q5_0, 0.9}, Gain{DType::Q4_K, 0.85},
          Gain{DType::Q5_K, 0.85}, Gain{DType::Q6_K, 0.9}}) {
        const std::vector<float> values = normal_values(4096, 7);
        EXPECT_LT(weighted_error(gain.dtype, values, quantize_row_searched),
                  gain.factor * weighted_error(gain.dtype, values, quantize_row))
            << name(gain.dtype);
    }
}

TEST(QuantizeSearched, KeepsZerosConstantsAndSingleSpikes) {
    std::vector<float> values(512, 0.0f);
    std::fill(values.begin() + 256, values.end(), 0.75f);
    values[3] = -2.0f;
    for (const DType dtype : {DType::Q4_0, DType::Q5_0, DType::Q4_K, DType::Q5_K, DType::Q6_K}) {
        std::vector<std::byte> row(row_bytes(dtype, values.size()).value());
        quantize_row_searched(dtype, values, row);
        std::vector<float> back(values.size());
        dequantize_row(dtype, row.data(), back);
        for (size_t i = 0; i < values.size(); ++i) {
            ASSERT_NEAR(back[i], values[i], 0.02f * std::fabs(values[i]) + 0.002f)
                << name(dtype) << " element " << i;
        }
    }
}

// What the types mean, written a second time: from the field's table of layouts, by byte offsets,
// in float64. Products of a block's fields have at most 24 bits, so that a single rounding, of a
// difference, is all that float32 can do to them.
class Naive {
  public:
    explicit Naive(const std::vector<std::byte>& block) : block_(block) {}

    double element(DType dtype, size_t e) const {
        switch (dtype) {
            case DType::Q8_0:
                return half(0) * signed_byte(2 + e);
            case DType::Q4_0:
                return half(0) * (nibble(2, e) - 8);
            case DType::Q4_1:
                return half(0) * nibble(4, e) + half(2);
            case DType::Q5_0:
                return half(0) * (nibble(6, e) + 16 * bit(2, e) - 16);
            case DType::Q5_1:
                return half(0) * (nibble(8, e) + 16 * bit(4, e)) + half(2);
            case DType::IQ4_NL:
                return half(0) * kTable[nibble(2, e)];
            case DType::MXFP4:
                return std::ldexp(kFp4[nibble(1, e) & 7], byte(0) - 127) *
                       (nibble(1, e) & 8 ? -1 : 1);
            case DType::Q4_G128:
                return half(0) * (nibble(4 + e / 32 * 16, e % 32) - byte(2));
            case DType::Q2_K:
                return half(80) * (byte(e / 16) & 15) * two(16, e) - half(82) * (byte(e / 16) >> 4);
            case DType::Q3_K: {
                const size_t k = e / 16;
                const int low = k < 8 ? byte(96 + k) & 15 : byte(96 + k - 8) >> 4;
                const int high = (byte(96 + 8 + k % 4) >> (2 * (k / 4))) & 3;
                const int minus = (byte(e % 32) >> (e / 32)) & 1 ? 0 : 4;
                return half(108) * (low + 16 * high - 32) * (two(32, e) - minus);
            }
            case DType::Q4_K:
                return half(0) * scale(e / 32) * affine_nibble(16, e) - half(2) * minimum(e / 32);
            case DType::Q5_K: {
                const int fifth = (byte(16 + e % 32) >> (e / 32)) & 1;
                return half(0) * scale(e / 32) * (affine_nibble(48, e) + 16 * fifth) -
                       half(2) * minimum(e / 32);
            }
            case DType::Q6_K: {
                const size_t part = e / 128;
                const size_t quarter = e % 128 / 32;
                const size_t l = e % 32;
                const int both = byte(64 * part + l + (quarter % 2 == 1 ? 32 : 0));
                const int high = (byte(128 + 32 * part + l) >> (2 * quarter)) & 3;
                const int q = (quarter < 2 ? both & 15 : both >> 4) + 16 * high;
                return half(208) * signed_byte(192 + e / 16) * (q - 32);
            }
            case DType::IQ4_XS: {
                const size_t b = e / 32;
                const int low = b % 2 == 0 ? byte(4 + b / 2) & 15 : byte(4 + b / 2) >> 4;
                const int high = ((byte(2) + 256 * byte(3)) >> (2 * b)) & 3;
                return half(0) * (low + 16 * high - 32) * kTable[nibble(8 + 16 * b, e % 32)];
            }
            case DType::F8_E4M3: {
                const int exponent = (byte(e) >> 3) & 15;
                const double fraction = (byte(e) & 7) / 8.0;
                const double magnitude = exponent == 0 ? std::ldexp(fraction, -6)
                                                       : std::ldexp(1 + fraction, exponent - 7);
                return byte(e) & 128 ? -magnitude : magnitude;
            }
            case DType::F32:
            case DType::F16:
            case DType::BF16:
                break;
        }
        return 0;
    }

  private:
    static constexpr double kTable[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};
    static constexpr double kFp4[8] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};

    int byte(size_t at) const { return static_cast<int>(block_[at]); }
    int signed_byte(size_t at) const { return byte(at) < 128 ? byte(at) : byte(at) - 256; }
    double half(size_t at) const {
        const int bits = byte(at) + 256 * byte(at + 1);
        const int exponent = (bits >> 10) & 31;
        const double fraction = (bits & 1023) / 1024.0;
        const double magnitude =
            exponent == 0 ? std::ldexp(fraction, -14) : std::ldexp(1 + fraction, exponent - 15);
        return bits & 0x8000 ? -magnitude : magnitude;
    }
    int nibble(size_t at, size_t j) const {
        return j < 16 ? byte(at + j) & 15 : byte(at + j - 16) >> 4;
    }
    int bit(size_t at, size_t j) const { return (byte(at + j / 8) >> (j % 8)) & 1; }
    int two(size_t at, size_t e) const {
        return (byte(at + 32 * (e / 128) + e % 32) >> (2 * (e / 32 % 4))) & 3;
    }
    int affine_nibble(size_t at, size_t e) const {
        const int both = byte(at + e / 64 * 32 + e % 32);
        return e % 64 < 32 ? both & 15 : both >> 4;
    }
    int scale(size_t j) const {
        return j < 4 ? byte(4 + j) & 63 : (byte(4 + j + 4) & 15) | ((byte(4 + j - 4) >> 6) << 4);
    }
    int minimum(size_t j) const {
        return j < 4 ? byte(4 + j + 4) & 63 : (byte(4 + j + 4) >> 4) | ((byte(4 + j) >> 6) << 4);
    }

    const std::vector<std::byte>& block_;
};

// Where the float16 numbers of a block are.
std::vector<size_t> halves_of(DType dtype) {
    switch (dtype) {
        case DType::Q4_1:
        case DType::Q5_1:
        case DType::Q4_K:
        case DType::Q5_K:
            return {0, 2};
        case DType::Q2_K:
            return {80, 82};
        case DType::Q3_K:
            return {108};
        case DType::Q6_K:
            return {208};
        case DType::MXFP4:
        case DType::F8_E4M3:
            return {};
        default:
            return {0};
    }
}

TEST(Dequantize, ArbitraryBlocksMeanWhatTheTableOfLayoutsSays) {
    std::mt19937 engine(11);
    for (const DTypeInfo& type : all_dtypes()) {
        if (type.block_bytes <= 4 && type.dtype != DType::F8_E4M3) {
            continue;  // the 16- and 32-bit floats: float16_test.cpp
        }
        const bool bytes_are_all = type.dtype == DType::F8_E4M3;
        const size_t elements = bytes_are_all ? 256 : type.block_elements;
        std::vector<std::byte> block(bytes_are_all ? 256 : type.block_bytes);
        for (int round = 0; round < 50; ++round) {
            for (size_t i = 0; i < block.size(); ++i) {
                block[i] = static_cast<std::byte>(bytes_are_all ? i : engine());
            }
            for (const size_t at : halves_of(type.dtype)) {  // finite, and not far from one another
                const uint16_t bits = f16_from_f32(static_cast<float>(engine() % 2000) - 1000.0f);
                std::memcpy(block.data() + at, &bits, 2);
            }
            std::vector<float> out(elements);
            dequantize_row(type.dtype, block.data(), out);
            for (size_t e = 0; e < elements; ++e) {
                if (bytes_are_all && (e & 127) == 127) {
                    ASSERT_TRUE(std::isnan(out[e]));
                    continue;
                }
                ASSERT_EQ(out[e], static_cast<float>(Naive(block).element(type.dtype, e)))
                    << type.name << " element " << e;
            }
        }
    }
}

TEST(Dequantize, ARowOfTilesIsTimesItsScales) {
    const std::vector<std::byte> ones(3 * 200, std::byte{0x38});  // 1.0
    std::vector<float> scales = {2, 3, 5, 7};
    MatrixView view = MatrixView::over(DType::F8_E4M3, 3, 200, ones).value();
    view.scales = {scales.data(), 2, 126};
    std::vector<float> row(200);
    dequantize_row(view, 1, row);  // the last row of the first tiles
    EXPECT_EQ(row[0], 2.0f);
    EXPECT_EQ(row[127], 2.0f);
    EXPECT_EQ(row[128], 3.0f);
    dequantize_row(view.slice(2, 1), 0, row);
    EXPECT_EQ(row[127], 5.0f);
    EXPECT_EQ(row[199], 7.0f);
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
