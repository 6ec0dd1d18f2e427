#include "tensor/float16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace weir::tensor {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(Float16, KnownValues) {
    EXPECT_EQ(f32_from_f16(0x3c00), 1.0f);
    EXPECT_EQ(f32_from_f16(0xc000), -2.0f);
    EXPECT_EQ(f32_from_f16(0x7bff), 65504.0f);
    EXPECT_EQ(f32_from_f16(0x0001), 0x1p-24f);
    EXPECT_EQ(f32_from_f16(0x0400), 0x1p-14f);
    EXPECT_EQ(f32_from_f16(0x7c00), kInfinity);
    EXPECT_TRUE(std::isnan(f32_from_f16(0x7c01)));
    EXPECT_TRUE(std::signbit(f32_from_f16(0x8000)));
}

TEST(Float16, EveryHalfSurvivesTheRoundTrip) {
    for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
        const float wide = f32_from_f16(static_cast<uint16_t>(bits));
        if (std::isnan(wide)) {
            EXPECT_TRUE(std::isnan(f32_from_f16(f16_from_f32(wide))));
        } else {
            ASSERT_EQ(f16_from_f32(wide), bits);
        }
    }
}

// Between two neighbours the middle goes to the even one, and anything beside it to the nearer.
TEST(Float16, NarrowingRoundsToNearestEven) {
    for (uint32_t bits = 0; bits < 0x7bff; ++bits) {
        const float low = f32_from_f16(static_cast<uint16_t>(bits));
        const float high = f32_from_f16(static_cast<uint16_t>(bits + 1));
        const float middle = (low + high) / 2;  // exact: one bit more than a half has
        ASSERT_EQ(f16_from_f32(middle), bits + (bits & 1)) << bits;
        ASSERT_EQ(f16_from_f32(std::nextafter(middle, 0.0f)), bits);
        ASSERT_EQ(f16_from_f32(std::nextafter(middle, kInfinity)), bits + 1);
    }
    EXPECT_EQ(f16_from_f32(65519.996f), 0x7bff);
    EXPECT_EQ(f16_from_f32(65520.0f), 0x7c00);
    EXPECT_EQ(f16_from_f32(-kInfinity), 0xfc00);
}

TEST(BFloat16, RoundsToNearestEvenAndKeepsNan) {
    EXPECT_EQ(bf16_from_f32(1.0f), 0x3f80);
    EXPECT_EQ(f32_from_bf16(0x3f80), 1.0f);
    EXPECT_EQ(bf16_from_f32(std::bit_cast<float>(0x3f808000u)), 0x3f80);  // tie, even below
    EXPECT_EQ(bf16_from_f32(std::bit_cast<float>(0x3f818000u)), 0x3f82);  // tie, even above
    EXPECT_EQ(bf16_from_f32(std::bit_cast<float>(0x3f808001u)), 0x3f81);
    EXPECT_EQ(bf16_from_f32(kInfinity), 0x7f80);
    EXPECT_TRUE(std::isnan(f32_from_bf16(bf16_from_f32(std::bit_cast<float>(0x7f800001u)))));
}

TEST(E4M3, EveryNumberComesBack) {
    for (int bits = 0; bits < 256; ++bits) {
        const auto byte = static_cast<uint8_t>(bits);
        EXPECT_EQ(e4m3_from_f32(f32_from_e4m3(byte)) & 0x7f, byte & 0x7f);
        if ((byte & 0x7f) != 0x7f) {
            EXPECT_EQ(e4m3_from_f32(f32_from_e4m3(byte)), byte);
        }
    }
}

TEST(E4M3, RoundsToTheNearestAndStaysFinite) {
    EXPECT_EQ(f32_from_e4m3(e4m3_from_f32(1000.0f)), 448.0f);
    EXPECT_EQ(f32_from_e4m3(e4m3_from_f32(-440.0f)), -448.0f);
    EXPECT_EQ(f32_from_e4m3(e4m3_from_f32(1.0625f)), 1.0f);   // a tie, to even
    EXPECT_EQ(f32_from_e4m3(e4m3_from_f32(1.1875f)), 1.25f);  // a tie, to even
    EXPECT_EQ(f32_from_e4m3(e4m3_from_f32(0x1p-10f)), 0.0f);  // half of the smallest
    EXPECT_EQ(f32_from_e4m3(e4m3_from_f32(0x1.8p-10f)), 0x1p-9f);
}

TEST(E8M0, IsAPowerOfTwoFromEndToEnd) {
    for (int exponent = 0; exponent < 256; ++exponent) {
        EXPECT_EQ(half_of_e8m0(static_cast<uint8_t>(exponent)), std::ldexp(1.0, exponent - 128));
    }
}

}  // namespace
}  // namespace weir::tensor
