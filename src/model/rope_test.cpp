#include "model/rope.h"

#include <gtest/gtest.h>

#include <cmath>

namespace weir::model {
namespace {

// Values published with the models' configurations, given to four decimals.
constexpr float kHalfUnit = 0.5e-4f;

TEST(Rope, Llama3DivisorsOfHead128) {
    const auto divisors = llama3_divisors({.factor = 8}, 500000, 128);
    ASSERT_EQ(divisors.size(), 64u);
    for (size_t i = 0; i <= 28; ++i) {
        EXPECT_EQ(divisors[i], 1.0f) << i;
    }
    const float middle[] = {1.2075f, 1.5534f, 2.0263f, 2.6945f, 3.6843f, 5.2573f};
    for (size_t i = 0; i < 6; ++i) {
        EXPECT_NEAR(divisors[29 + i], middle[i], kHalfUnit) << i;
    }
    for (size_t i = 35; i < 64; ++i) {
        EXPECT_EQ(divisors[i], 8.0f) << i;
    }
}

TEST(Rope, Llama3DivisorsOfHead64) {
    const auto divisors = llama3_divisors({.factor = 32}, 500000, 64);
    EXPECT_EQ(divisors[14], 1.0f);
    EXPECT_NEAR(divisors[15], 1.6513f, kHalfUnit);
    EXPECT_NEAR(divisors[16], 3.2923f, kHalfUnit);
    EXPECT_NEAR(divisors[17], 9.6667f, kHalfUnit);
    EXPECT_EQ(divisors[18], 32.0f);
}

TEST(Rope, Llama3WithoutAMiddleBandDividesByNothingOrTheFactor) {
    const auto divisors =
        llama3_divisors({.factor = 16, .low_freq_factor = 1, .high_freq_factor = 1}, 500000, 128);
    for (const float divisor : divisors) {
        EXPECT_TRUE(divisor == 1.0f || divisor == 16.0f) << divisor;
    }
}

TEST(Rope, YarnOfQwen25KeepsFastPairsAndStretchesSlowOnes) {
    const RopeConfig config{
        .theta = 1e6,
        .rotary_dim = 128,
        .scaling = YarnScaling{
            .factor = 4, .original_context = 32768, .attention_factor = yarn_mscale(4, 1)}};
    const auto rope = RopeFrequencies::make(config, {});
    const auto base = [](size_t i) {
        return std::pow(1e6, -2.0 * static_cast<double>(i) / 128);
    };
    // corr = 23.596 and 39.651: the ramp runs from pair 23 to pair 40.
    EXPECT_DOUBLE_EQ(rope.frequencies()[23], base(23));
    EXPECT_LT(rope.frequencies()[24], base(24));
    EXPECT_GT(rope.frequencies()[39], base(39) / 4);
    EXPECT_DOUBLE_EQ(rope.frequencies()[40], base(40) / 4);
    EXPECT_NEAR(yarn_mscale(4, 1), 1.13863, 0.5e-5);

    std::vector<float> cosines(64);
    std::vector<float> sines(64);
    rope.fill(0, cosines, sines);
    EXPECT_NEAR(cosines[0], 1.13863f, 0.5e-5);
    EXPECT_EQ(sines[0], 0.0f);
}

TEST(Rope, LinearDividesEveryFrequency) {
    const RopeConfig config{.theta = 1e4, .rotary_dim = 8, .scaling = LinearScaling{4}};
    const auto rope = RopeFrequencies::make(config, {});
    EXPECT_DOUBLE_EQ(rope.frequencies()[0], 0.25);
    EXPECT_DOUBLE_EQ(rope.frequencies()[1], 0.025);
}

TEST(Rope, DivisorsOfTheFileDivide) {
    const RopeConfig config{.theta = 1e4, .rotary_dim = 4};
    const float divisors[] = {1.0f, 8.0f};
    const auto rope = RopeFrequencies::make(config, {.divisors = divisors});
    EXPECT_DOUBLE_EQ(rope.frequencies()[0], 1.0);
    EXPECT_DOUBLE_EQ(rope.frequencies()[1], 0.01 / 8);
}

TEST(Rope, AnglesStayExactAtLongPositions) {
    const auto rope = RopeFrequencies::make({.theta = 5e5, .rotary_dim = 2}, {});
    float cosine = 0;
    float sine = 0;
    rope.fill(131071, std::span(&cosine, 1), std::span(&sine, 1));
    EXPECT_EQ(cosine, static_cast<float>(std::cos(131071.0)));
    EXPECT_EQ(sine, static_cast<float>(std::sin(131071.0)));
}

}  // namespace
}  // namespace weir::model
