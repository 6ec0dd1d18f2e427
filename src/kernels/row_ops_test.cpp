#include "kernels/row_ops.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "kernels/kernel_table.h"
#include "kernels/reference/exp.h"
#include "kernels/test_support.h"
#include "kernels/thread_pool.h"

namespace weir::kernels {
namespace {

using testing::normal_values;
using testing::same_bits;

constexpr size_t kSizes[] = {1, 7, 15, 16, 17, 64, 100, 2048};

// Runs `operation` with every variant and expects the bits of the reference.
void expect_reference_bits(const std::function<std::vector<float>(const Compute&)>& operation) {
    ThreadPool pool(2);
    const std::vector<float> expected = operation({reference_kernels(), pool});
    for (const KernelSet* kernels : available_kernels()) {
        ASSERT_TRUE(same_bits(operation({*kernels, pool}), expected)) << name(*kernels);
    }
}

TEST(RowOps, RmsNormHasOneResultInEveryVariant) {
    for (const size_t columns : kSizes) {
        const std::vector<float> x = normal_values(5 * columns, 1, 3.0f);
        const std::vector<float> weight = normal_values(columns, 2);
        expect_reference_bits([&](const Compute& compute) {
            std::vector<float> out(x.size());
            rms_norm(compute, x.data(), 5, columns, weight, 1e-5f, out.data());
            return out;
        });
    }
}

TEST(RowOps, LayerNormHasOneResultInEveryVariant) {
    for (const size_t columns : kSizes) {
        const std::vector<float> x = normal_values(6 * columns, 1, 3.0f);
        const std::vector<float> weight = normal_values(2 * columns, 2);
        expect_reference_bits([&](const Compute& compute) {
            std::vector<float> out(x.size());
            layer_norm(compute, x.data(), 6, columns, std::span(weight).first(columns), 1e-5f,
                       out.data());
            return out;
        });
        expect_reference_bits([&](const Compute& compute) {
            std::vector<float> out(x.size());
            layer_norm_heads(compute, x.data(), 3, 2, weight, 1e-5f, out.data());
            return out;
        });
    }
}

// As for RmsNorm, where the mean rounds as often again, in parts of the largest value.
TEST(RowOps, LayerNormIsCloseToDoublePrecision) {
    constexpr size_t kColumns = 100;
    std::vector<float> x = normal_values(2 * kColumns, 1, 3.0f);
    for (float& value : x) {
        value += 5.0f;  // a mean to subtract
    }
    const std::vector<float> weight = normal_values(2 * kColumns, 2);
    std::vector<float> out(2 * kColumns);
    ThreadPool pool(1);
    layer_norm_heads({reference_kernels(), pool}, x.data(), 1, 2, weight, 1e-5f, out.data());
    for (size_t head = 0; head < 2; ++head) {
        const std::span row = std::span(x).subspan(head * kColumns, kColumns);
        double mean = 0;
        for (const float value : row) {
            mean += static_cast<double>(value) / kColumns;
        }
        double variance = 0;
        for (const float value : row) {
            variance += (value - mean) * (value - mean) / kColumns;
        }
        for (size_t i = 0; i < kColumns; ++i) {
            const size_t at = head * kColumns + i;
            const double expected = (row[i] - mean) / std::sqrt(variance + 1e-5f) * weight[at];
            ASSERT_NEAR(out[at], expected,
                        20 * std::numeric_limits<float>::epsilon() * (1 + std::fabs(expected)));
        }
    }
}

// The sum of squares rounds columns / 16 + 4 times, in halves of epsilon; its root halves that;
// then come the mean, the root, the inverse and two products.
TEST(RowOps, RmsNormIsCloseToDoublePrecision) {
    for (const size_t columns : kSizes) {
        const std::vector<float> x = normal_values(columns, 1, 3.0f);
        std::vector<float> out(columns);
        ThreadPool pool(1);
        rms_norm({reference_kernels(), pool}, x.data(), 1, columns, {}, 1e-5f, out.data());
        double squares = 0;
        for (const float value : x) {
            squares += static_cast<double>(value) * value;
        }
        const double factor = 1 / std::sqrt(squares / static_cast<double>(columns) + 1e-5f);
        const double bound =
            (static_cast<double>(columns) / 16 + 8) * std::numeric_limits<float>::epsilon();
        for (size_t i = 0; i < columns; ++i) {
            ASSERT_NEAR(out[i], x[i] * factor, std::fabs(x[i] * factor) * bound);
        }
    }
}

TEST(RowOps, ElementwiseOperationsHaveOneResultInEveryVariant) {
    for (const size_t count : {size_t{1}, size_t{37}, size_t{100000}}) {
        std::vector<float> a = normal_values(count, 1, 20.0f);
        const std::vector<float> b = normal_values(count, 2);
        a[0] = -200.0f;  // exp overflows
        expect_reference_bits([&](const Compute& compute) {
            std::vector<float> out(count);
            add(compute, a.data(), b.data(), count, out.data());
            return out;
        });
        expect_reference_bits([&](const Compute& compute) {
            std::vector<float> out(count);
            silu_mul(compute, a.data(), b.data(), count, out.data());
            return out;
        });
        expect_reference_bits([&](const Compute& compute) {
            std::vector<float> out(count);
            gelu_tanh_mul(compute, a.data(), b.data(), count, out.data());
            return out;
        });
        expect_reference_bits([&](const Compute& compute) {
            std::vector<float> out(count);
            swiglu_clamped(compute, {}, a.data(), b.data(), count, out.data());
            return out;
        });
        expect_reference_bits([&](const Compute& compute) {
            std::vector<float> out = a;
            add_weighted_rows(compute, std::vector<WeightedRow>{{0, 0.3f}}, b.data(), count,
                              out.data());
            return out;
        });
        expect_reference_bits([&](const Compute& compute) {
            std::vector<float> out = a;
            scale(compute, 0.3f, count, out.data());
            return out;
        });
        expect_reference_bits([&](const Compute& compute) {
            std::vector<float> out(count);
            gelu_tanh(compute, a.data(), count, out.data());
            return out;
        });
        expect_reference_bits([&](const Compute& compute) {
            std::vector<float> out(count);
            gelu(compute, a.data(), count, out.data());
            return out;
        });
        expect_reference_bits([&](const Compute& compute) {
            std::vector<float> out = a;
            soft_cap(compute, 30.0f, count, out.data());
            return out;
        });
    }
}

TEST(RowOps, AddBiasAddsToEveryRow) {
    const std::vector<float> bias = {1.0f, 2.0f, 3.0f};
    for (const KernelSet* kernels : available_kernels()) {
        ThreadPool pool(1);
        std::vector<float> x = {0, 0, 0, 10, 10, 10};
        add_bias({*kernels, pool}, bias, 2, x.data());
        EXPECT_EQ(x, (std::vector<float>{1, 2, 3, 11, 12, 13}));
    }
}

TEST(RowOps, SiluAndGeluAreCloseToDoublePrecision) {
    const std::vector<float> x = {-30.0f, -5.0f, -1.0f, -0.01f, 0.0f, 0.5f, 3.0f, 40.0f};
    const std::vector<float> ones(x.size(), 1.0f);
    ThreadPool pool(1);
    std::vector<float> silu(x.size());
    std::vector<float> gelu(x.size());
    silu_mul({reference_kernels(), pool}, x.data(), ones.data(), x.size(), silu.data());
    gelu_tanh_mul({reference_kernels(), pool}, x.data(), ones.data(), x.size(), gelu.data());
    std::vector<float> plain(x.size());
    gelu_tanh({reference_kernels(), pool}, x.data(), x.size(), plain.data());
    EXPECT_TRUE(same_bits(plain, gelu));
    for (size_t i = 0; i < x.size(); ++i) {
        const double v = x[i];
        EXPECT_NEAR(silu[i], v / (1 + std::exp(-v)), std::fabs(v) * 1e-6);
        const double inner = std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v);
        EXPECT_NEAR(gelu[i], 0.5 * v * (1 + std::tanh(inner)), std::fabs(v) * 1e-6);
    }
}

// By definition, with values on both sides of the limits; a NaN stays one.
TEST(RowOps, TheClampedUnitIsCloseToDoublePrecision) {
    const std::vector<float> gate = {-30.0f, -5.0f, 0.0f, 0.5f, 3.0f, 9.0f, 2.0f, 2.0f, 2.0f};
    const std::vector<float> up = {1.0f, -2.0f, 3.0f, 0.5f, -9.0f, 1.0f, 9.0f, -0.5f, NAN};
    ThreadPool pool(1);
    for (const KernelSet* kernels : available_kernels()) {
        std::vector<float> out(gate.size());
        swiglu_clamped({*kernels, pool}, {.limit = 4, .alpha = 1.5f}, gate.data(), up.data(),
                       gate.size(), out.data());
        for (size_t i = 0; i + 1 < gate.size(); ++i) {
            const double g = std::min<double>(gate[i], 4);
            const double u = std::clamp<double>(up[i], -4, 4) + 1;
            EXPECT_NEAR(out[i], g / (1 + std::exp(-1.5 * g)) * u, std::fabs(g * u) * 1e-6);
        }
        EXPECT_TRUE(std::isnan(out.back()));
    }
}

TEST(RowOps, WeightedRowsAreAddedInTheirOrder) {
    const std::vector<float> x = {1, 2, 10, 20, 100, 200};
    for (const KernelSet* kernels : available_kernels()) {
        ThreadPool pool(2);
        std::vector<float> sums = {0, 0, 1000, 1000};
        add_weighted_rows({*kernels, pool}, std::vector<WeightedRow>{{1, 1}, {0, 2}, {1, 0.5f}},
                          x.data(), 2, sums.data());
        EXPECT_EQ(sums, (std::vector<float>{20, 40, 1051, 1102}));
    }
}

TEST(RowOps, GeluByErfIsCloseToDoublePrecision) {
    std::vector<float> x;
    for (float value = -12.0f; value < 12.0f; value += 0.0173f) {
        x.push_back(value);
    }
    std::vector<float> out(x.size());
    ThreadPool pool(1);
    gelu({reference_kernels(), pool}, x.data(), x.size(), out.data());
    for (size_t i = 0; i < x.size(); ++i) {
        const double v = x[i];
        // The approximation's 1.5e-7 and the roundings, in halves of x.
        ASSERT_NEAR(out[i], v / 2 * (1 + std::erf(v / std::sqrt(2.0))), std::fabs(v) * 4e-7);
    }
}

// The exponential is off by 2^-22 of itself at most, below 1; three roundings follow, all in parts
// of the cap.
TEST(RowOps, SoftCapIsCloseToDoublePrecision) {
    std::vector<float> x = {-500.0f, -50.0f, -1.0f, -1e-3f, 0.0f, 1e-3f, 2.0f, 49.0f, 1e6f};
    const std::vector<float> before = x;
    ThreadPool pool(1);
    soft_cap({reference_kernels(), pool}, 50.0f, x.size(), x.data());
    for (size_t i = 0; i < x.size(); ++i) {
        EXPECT_NEAR(x[i], 50.0 * std::tanh(before[i] / 50.0), 50.0 * 0x1p-21);
    }
    EXPECT_EQ(x[4], 0.0f);
    float nan = std::numeric_limits<float>::quiet_NaN();
    soft_cap({reference_kernels(), pool}, 50.0f, 1, &nan);
    EXPECT_TRUE(std::isnan(nan));
}

TEST(RowOps, RopeHasOneResultInEveryVariant) {
    const size_t heads = 3;
    const std::vector<uint32_t> positions = {0, 7, 3};
    for (const auto& [dim, rotary] :
         {std::pair<size_t, size_t>{64, 64}, {40, 24}, {6, 6}, {128, 96}}) {
        const std::vector<float> cosines = normal_values(8 * rotary / 2, 1);
        const std::vector<float> sines = normal_values(8 * rotary / 2, 2);
        const std::vector<float> x = normal_values(positions.size() * heads * dim, 3);
        for (const RopePairs pairs : {RopePairs::Adjacent, RopePairs::Halves}) {
            expect_reference_bits([&](const Compute& compute) {
                std::vector<float> out = x;
                rope(compute, {cosines.data(), sines.data(), rotary, pairs}, positions, heads, dim,
                     out.data(), heads * dim);
                return out;
            });
        }
    }
}

// A quarter turn of the pair (1, 0) is (0, 1), in both layouts; the rest of the head stays.
TEST(RowOps, RopeTurnsItsPairs) {
    const std::vector<float> cosines = {1, 1, 0, 0};
    const std::vector<float> sines = {0, 0, 1, 1};
    const std::vector<uint32_t> positions = {1};
    ThreadPool pool(1);
    for (const KernelSet* kernels : available_kernels()) {
        std::vector<float> adjacent = {1, 0, 2, 0, 9};
        rope({*kernels, pool}, {cosines.data(), sines.data(), 4, RopePairs::Adjacent}, positions, 1,
             5, adjacent.data(), 5);
        EXPECT_EQ(adjacent, (std::vector<float>{0, 1, 0, 2, 9}));
        std::vector<float> halves = {1, 2, 0, 0, 9};
        rope({*kernels, pool}, {cosines.data(), sines.data(), 4, RopePairs::Halves}, positions, 1,
             5, halves.data(), 5);
        EXPECT_EQ(halves, (std::vector<float>{0, 0, 1, 2, 9}));
    }
}

TEST(RowOps, LookupReadsRowsOfEveryType) {
    ThreadPool pool(2);
    for (const tensor::DTypeInfo& type : tensor::all_dtypes()) {
        const testing::Weights table(type.dtype, 5, 256, 9);
        const std::vector<uint32_t> ids = {4, 0, 4};
        std::vector<float> out(3 * 256);
        lookup_rows({reference_kernels(), pool}, table.view, ids, out.data());
        std::vector<float> row(256);
        for (size_t t = 0; t < 3; ++t) {
            tensor::dequantize_row(type.dtype, table.view.row(ids[t]), row);
            ASSERT_TRUE(same_bits(std::span(out).subspan(t * 256, 256), row)) << type.name;
        }
    }
}

TEST(RowOps, SoftmaxHasOneResultInEveryVariantAndSumsToOne) {
    for (const size_t count : {1u, 5u, 16u, 1000u}) {
        const std::vector<float> logits = normal_values(count, 4, 5.0f);
        expect_reference_bits([&](const Compute& compute) {
            const SoftmaxSum sum = softmax_sum(compute, logits, 0.7f);
            std::vector<float> out(count);
            softmax(compute, logits, 0.7f, sum, out.data());
            double total = 0;
            for (const float p : out) {
                total += p;
            }
            EXPECT_NEAR(total, 1.0, 1e-5);
            out.push_back(sum.largest);
            out.push_back(sum.sum);
            return out;
        });
    }
}

TEST(RowOps, SoftmaxOfANanIsNan) {
    for (const size_t at : {0u, 20u, 36u}) {
        std::vector<float> logits = normal_values(37, 4);
        logits[at] = std::numeric_limits<float>::quiet_NaN();
        for (const KernelSet* kernels : available_kernels()) {
            ThreadPool pool(1);
            EXPECT_TRUE(std::isnan(softmax_sum({*kernels, pool}, logits, 1.0f).largest));
        }
    }
}

TEST(RowOps, ExpStaysWithinItsErrorBound) {
    for (double x = -87.3; x < 88.7; x += 0.0137) {
        const auto argument = static_cast<float>(x);
        const double exact = std::exp(static_cast<double>(argument));
        ASSERT_NEAR(reference::exp(argument), exact, exact * 0x1p-22) << argument;
    }
    EXPECT_EQ(reference::exp(0.0f), 1.0f);
    EXPECT_EQ(reference::exp(-88.0f), 0.0f);
    EXPECT_EQ(reference::exp(89.0f), std::numeric_limits<float>::infinity());
    EXPECT_TRUE(std::isnan(reference::exp(std::numeric_limits<float>::quiet_NaN())));
}

TEST(RowOps, ConversionToHalfHasOneResultInEveryVariant) {
    for (const size_t count : {1u, 17u, 64u}) {
        const std::vector<float> x = normal_values(count, 4, 100.0f);
        std::vector<uint16_t> expected(count);
        reference_kernels().f16_from_f32(x.data(), count, expected.data());
        for (const KernelSet* kernels : available_kernels()) {
            std::vector<uint16_t> out(count);
            kernels->f16_from_f32(x.data(), count, out.data());
            EXPECT_EQ(out, expected) << name(*kernels);
        }
    }
}

}  // namespace
}  // namespace weir::kernels
