#include "kernels/matmul.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "kernels/test_support.h"
#include "kernels/thread_pool.h"
#include "tensor/blocks.h"
#include "tensor/float16.h"

namespace weir::kernels {
namespace {

using tensor::DType;
using testing::normal_values;
using testing::same_bits;
using testing::Scratch;
using testing::Weights;

std::vector<float> product(const KernelSet& kernels, size_t threads,
                           const tensor::MatrixView& weights, const std::vector<float>& x) {
    const size_t columns = weights.columns;
    const size_t rows = x.size() / columns;
    ThreadPool pool(threads);
    Scratch scratch(rows, columns);
    Activations activations(x.data(), rows, columns, scratch.span());
    std::vector<float> out(rows * weights.rows, -1.0f);
    matmul({kernels, pool}, weights, activations, out.data(), weights.rows);
    return out;
}

// Where the float16 numbers of a block are.
std::vector<size_t> halves_of(DType dtype) {
    switch (dtype) {
        case DType::Q4_1:
        case DType::Q5_1:
        case DType::Q4_K:
        case DType::Q5_K:
            return {0, 2};
        case DType::Q2_K:
            return {offsetof(tensor::BlockQ2_K, d), offsetof(tensor::BlockQ2_K, dmin)};
        case DType::Q3_K:
            return {offsetof(tensor::BlockQ3_K, d)};
        case DType::Q6_K:
            return {offsetof(tensor::BlockQ6_K, d)};
        case DType::MXFP4:
            return {};
        default:
            return {0};
    }
}

// Weights of a quantized type as arbitrary bytes, but with finite scales: everything that a file
// can say, the extremes of every field included.
Weights hostile_weights(DType dtype, size_t rows, size_t columns, uint32_t seed) {
    Weights weights(dtype, rows, columns, seed);
    std::mt19937 engine(seed);
    const size_t block = tensor::info(dtype).block_bytes;
    for (size_t at = 0; at < weights.bytes.size(); at += block) {
        const auto extreme = engine() % 3;
        for (size_t i = 0; i < block; ++i) {
            const auto random = static_cast<uint8_t>(engine());
            weights.bytes[at + i] = static_cast<std::byte>(extreme == 0   ? 0xff
                                                           : extreme == 1 ? 0x80
                                                                          : random);
        }
        for (const size_t offset : halves_of(dtype)) {
            const uint16_t half =
                tensor::f16_from_f32(static_cast<float>(engine() % 200) * 0.01f - 1.0f);
            std::memcpy(weights.bytes.data() + at + offset, &half, 2);
        }
        if (dtype == DType::MXFP4) {
            weights.bytes[at] = static_cast<std::byte>(engine() % 220);
        }
        if (dtype == DType::Q4_G128) {
            weights.bytes[at + offsetof(tensor::BlockQ4_G128, zero)] =
                static_cast<std::byte>(engine() % 17);
        }
    }
    return weights;
}

// The variants whose loops depend on the shape; where there are none, the reference.
std::span<const KernelSet* const> fast_kernels() {
    const auto all = available_kernels();
    return all.size() > 1 ? all.subspan(1) : all;
}

std::vector<size_t> test_columns(DType dtype) {
    const size_t block = tensor::info(dtype).block_elements;
    if (block == 1) {
        return {1, 7, 16, 24, 40, 64, 100};
    }
    return {block, 3 * block, block == 256 ? 1280u : 1152u};  // the last is more than one panel
}

std::vector<DType> all_types() {
    std::vector<DType> types;
    for (const tensor::DTypeInfo& row : tensor::all_dtypes()) {
        types.push_back(row.dtype);
    }
    return types;
}

class MatmulOf : public ::testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(EveryType, MatmulOf, ::testing::ValuesIn(all_types()),
                         [](const auto& each) { return std::string(tensor::name(each.param)); });

// The first `rows` outputs of the first `batch` rows of a product with `stride` outputs.
std::vector<float> corner(const std::vector<float>& full, size_t stride, size_t batch,
                          size_t rows) {
    std::vector<float> out;
    for (size_t r = 0; r < batch; ++r) {
        const auto row = std::span(full).subspan(r * stride, rows);
        out.insert(out.end(), row.begin(), row.end());
    }
    return out;
}

TEST_P(MatmulOf, EveryVariantGivesTheBitsOfTheReference) {
    uint32_t seed = 1;
    for (const size_t columns : test_columns(GetParam())) {
        const Weights all(GetParam(), 70, columns, ++seed);
        const std::vector<float> x = normal_values(35 * columns, ++seed);
        const auto expected = product(reference_kernels(), 1, all.view, x);
        for (const KernelSet* kernels : available_kernels().subspan(1)) {
            for (const size_t rows : {1u, 7u, 16u, 41u, 70u}) {
                for (const size_t batch : {1u, 2u, 3u, 7u, 16u, 17u, 35u}) {
                    const std::vector<float> some(
                        x.begin(), x.begin() + static_cast<ptrdiff_t>(batch * columns));
                    const auto out = product(*kernels, 1, all.view.slice(0, rows), some);
                    ASSERT_TRUE(same_bits(out, corner(expected, 70, batch, rows)))
                        << name(*kernels) << " " << rows << " x " << columns << " batch " << batch;
                }
            }
        }
    }
}

TEST_P(MatmulOf, ExtremeBlocksGiveTheBitsOfTheReference) {
    if (tensor::info(GetParam()).block_elements == 1) {
        return;  // a float has no fields to be extreme in
    }
    for (uint32_t seed = 1; seed < 5; ++seed) {
        const size_t columns = test_columns(GetParam())[1];
        const Weights weights = hostile_weights(GetParam(), 37, columns, seed);
        std::vector<float> x = normal_values(19 * columns, seed + 100);
        for (size_t i = 0; i < 5 * columns; ++i) {
            x[i] = std::copysign(2.0f, x[i]);  // all activations at ±127
        }
        const auto expected = product(reference_kernels(), 1, weights.view, x);
        for (const KernelSet* kernels : available_kernels()) {
            ASSERT_TRUE(same_bits(product(*kernels, 1, weights.view, x), expected))
                << name(*kernels);
        }
    }
}

// Promise 2: a row's result is the same alone and among any others, wherever it stands.
TEST_P(MatmulOf, ARowAloneGivesTheBitsOfTheRowAmongOthers) {
    const size_t columns = test_columns(GetParam()).back();
    const Weights weights(GetParam(), 23, columns, 5);
    for (const KernelSet* kernels : fast_kernels()) {
        for (const size_t batch : {2u, 5u, 32u}) {
            const std::vector<float> x = normal_values(batch * columns, 77);
            const auto together = product(*kernels, 2, weights.view, x);
            for (size_t r = 0; r < batch; ++r) {
                const std::vector<float> row(x.begin() + static_cast<ptrdiff_t>(r * columns),
                                             x.begin() + static_cast<ptrdiff_t>((r + 1) * columns));
                const auto alone = product(*kernels, 1, weights.view, row);
                ASSERT_TRUE(same_bits(alone, std::span(together).subspan(r * 23, 23)))
                    << name(*kernels) << " row " << r << " of " << batch;
            }
        }
    }
}

TEST_P(MatmulOf, TheNumberOfThreadsChangesNothing) {
    const size_t columns = test_columns(GetParam()).back();
    const Weights weights(GetParam(), 333, columns, 5);
    const std::vector<float> x = normal_values(18 * columns, 6);
    for (const KernelSet* kernels : fast_kernels()) {
        const auto one = product(*kernels, 1, weights.view, x);
        for (const size_t threads : {2u, 3u}) {
            ASSERT_TRUE(same_bits(product(*kernels, threads, weights.view, x), one))
                << name(*kernels);
        }
    }
}

TEST_P(MatmulOf, ANanRowSpoilsOnlyItself) {
    const size_t columns = test_columns(GetParam()).back();
    const Weights weights(GetParam(), 33, columns, 5);
    std::vector<float> x = normal_values(3 * columns, 6);
    for (const KernelSet* kernels : available_kernels()) {
        const auto clean = product(*kernels, 1, weights.view, x);
        for (const float poison :
             {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
            std::vector<float> poisoned = x;
            poisoned[columns + columns / 2] = poison;
            const auto out = product(*kernels, 1, weights.view, poisoned);
            ASSERT_TRUE(same_bits(std::span(out).first(33), std::span(clean).first(33)));
            ASSERT_TRUE(same_bits(std::span(out).last(33), std::span(clean).last(33)));
            for (size_t o = 33; o < 66; ++o) {
                ASSERT_FALSE(std::isfinite(out[o])) << name(*kernels);
            }
        }
    }
}

// Against double precision on the weights as they were dequantized. The activations' rounding to
// int8 is at most half of 1/127 of the largest of their block, so an output is off by at most
// sum |w| * max |x| / 254; the float sums add, per block or element, half an epsilon of the
// partial sum, of which (columns + 8) * epsilon * sum |w * x| is a bound.
TEST_P(MatmulOf, StaysWithinTheBoundOfItsQuantizedActivations) {
    const size_t columns = test_columns(GetParam()).back();
    const Weights weights(GetParam(), 20, columns, 15);
    const std::vector<float> x = normal_values(columns, 16);
    const bool quantized =
        tensor::info(GetParam()).block_elements > 1 && GetParam() != DType::Q4_G128;
    float largest = 0;
    for (const float value : x) {
        largest = std::max(largest, std::fabs(value));
    }
    for (const KernelSet* kernels : available_kernels()) {
        const auto out = product(*kernels, 1, weights.view, x);
        for (size_t o = 0; o < 20; ++o) {
            std::vector<float> row(columns);
            tensor::dequantize_row(GetParam(), weights.view.row(o), row);
            double sum = 0;
            double magnitude = 0;
            double weight_magnitude = 0;
            for (size_t i = 0; i < columns; ++i) {
                sum += static_cast<double>(row[i]) * x[i];
                magnitude += std::fabs(static_cast<double>(row[i]) * x[i]);
                weight_magnitude += std::fabs(row[i]);
            }
            const double epsilon = std::numeric_limits<float>::epsilon();
            // Scale and minimum apart: each is as large as the weight may be in its block.
            const bool has_minimum = GetParam() == DType::Q4_K || GetParam() == DType::Q5_K ||
                                     GetParam() == DType::Q2_K || GetParam() == DType::Q4_1 ||
                                     GetParam() == DType::Q5_1;
            const double parts = has_minimum ? 32 : 1;
            const double bound =
                parts * static_cast<double>(columns + 8) * epsilon *
                    (magnitude + weight_magnitude * largest) +
                (quantized ? weight_magnitude * static_cast<double>(largest) / 254 : 0.0);
            ASSERT_LE(std::fabs(out[o] - sum), bound) << name(*kernels) << " output " << o;
        }
    }
}

// F8_E4M3 with a scale for each tile of 128 x 128, cut at rows and columns that are no multiples.
struct Tiles {
    std::vector<std::byte> bytes;
    std::vector<float> scales;
    tensor::MatrixView view;

    Tiles(size_t rows, size_t columns, uint32_t seed) : bytes(rows * columns) {
        std::mt19937 engine(seed);
        for (std::byte& byte : bytes) {
            const auto bits = static_cast<uint8_t>(engine());
            byte = static_cast<std::byte>((bits & 0x7f) == 0x7f ? bits ^ 8 : bits);
        }
        const size_t stride = (columns + 127) / 128;
        for (size_t i = 0; i < (rows + 127) / 128 * stride; ++i) {
            scales.push_back(static_cast<float>(engine() % 1000 + 1) * 0.000123f);
        }
        view = tensor::MatrixView::over(DType::F8_E4M3, rows, columns, bytes).value();
        view.scales = {scales.data(), stride, 0};
    }
};

TEST(MatmulOfTiles, EveryVariantGivesTheBitsOfTheReference) {
    for (const size_t columns : {24u, 160u, 288u, 512u}) {
        const Tiles tiles(300, columns, 3);
        const std::vector<float> x = normal_values(11 * columns, 4);
        for (const auto& [begin, count] :
             {std::pair<size_t, size_t>{0, 300}, {100, 65}, {129, 1}}) {
            const auto part = tiles.view.slice(begin, count);
            const auto expected = product(reference_kernels(), 1, part, x);
            for (const KernelSet* kernels : available_kernels().subspan(1)) {
                ASSERT_TRUE(same_bits(product(*kernels, 2, part, x), expected))
                    << name(*kernels) << " rows from " << begin << ", columns " << columns;
            }
        }
    }
}

// The weights as they were dequantized make the same products as F32.
TEST(MatmulOfTiles, AreTheProductsOfTheirFloats) {
    const Tiles tiles(131, 200, 5);
    std::vector<float> floats(131 * 200);
    for (size_t r = 0; r < 131; ++r) {
        tensor::dequantize_row(tiles.view, r, std::span(floats).subspan(r * 200, 200));
    }
    const auto view =
        tensor::MatrixView::over(DType::F32, 131, 200, std::as_bytes(std::span(floats))).value();
    const std::vector<float> x = normal_values(3 * 200, 6);
    for (const KernelSet* kernels : available_kernels()) {
        EXPECT_TRUE(same_bits(product(*kernels, 1, tiles.view, x), product(*kernels, 1, view, x)))
            << name(*kernels);
    }
}

TEST(MatmulOfTiles, EveryOneOfThe256NumbersIsReadAlike) {
    std::vector<std::byte> bytes(256 * 16);
    for (size_t r = 0; r < 256; ++r) {
        bytes[r * 16] = static_cast<std::byte>(r);
    }
    const auto view = tensor::MatrixView::over(DType::F8_E4M3, 256, 16, bytes).value();
    std::vector<float> x(16, 0.0f);
    x[0] = 1.0f;
    for (const KernelSet* kernels : available_kernels()) {
        const auto out = product(*kernels, 1, view, x);
        for (size_t r = 0; r < 256; ++r) {
            const float number = tensor::f32_from_e4m3(static_cast<uint8_t>(r));
            EXPECT_TRUE(out[r] == number || (std::isnan(out[r]) && std::isnan(number)))
                << name(*kernels) << " " << r;
        }
    }
}

TEST(Matmul, SeveralMatricesInOneRegionGiveTheBitsOfEachAlone) {
    const size_t columns = 512;
    const Weights q(DType::Q4_K, 96, columns, 1);
    const Weights k(DType::Q8_0, 24, columns, 2);
    const Weights v(DType::F16, 24, columns, 3);
    const std::vector<float> x = normal_values(5 * columns, 4);
    for (const KernelSet* kernels : available_kernels()) {
        ThreadPool pool(2);
        Scratch scratch(5, columns);
        Activations activations(x.data(), 5, columns, scratch.span());
        std::vector<float> out(5 * 144);
        const MatmulJob jobs[] = {{q.view, out.data(), 144},
                                  {k.view, out.data() + 96, 144},
                                  {v.view, out.data() + 120, 144}};
        matmul({*kernels, pool}, activations, jobs);
        const auto alone_k = product(*kernels, 1, k.view, x);
        const auto alone_v = product(*kernels, 1, v.view, x);
        const auto alone_q = product(*kernels, 1, q.view, x);
        for (size_t r = 0; r < 5; ++r) {
            const auto row = std::span(out).subspan(r * 144, 144);
            ASSERT_TRUE(same_bits(row.first(96), std::span(alone_q).subspan(r * 96, 96)));
            ASSERT_TRUE(same_bits(row.subspan(96, 24), std::span(alone_k).subspan(r * 24, 24)));
            ASSERT_TRUE(same_bits(row.subspan(120), std::span(alone_v).subspan(r * 24, 24)));
        }
    }
}

// Rows of the activations that go to matrices of their own, more of them than one region takes.
TEST_P(MatmulOf, APartOfTheRowsGivesTheBitsOfAllOfThem) {
    const size_t columns = test_columns(GetParam()).back();
    const Weights weights(GetParam(), 70 * 5, columns, 5);
    const std::vector<float> x = normal_values(9 * columns, 6);
    for (const KernelSet* kernels : fast_kernels()) {
        const auto whole = product(*kernels, 1, weights.view, x);
        ThreadPool pool(2);
        Scratch scratch(9, columns);
        Activations activations(x.data(), 9, columns, scratch.span());
        std::vector<float> out(9 * 350, -1.0f);
        std::vector<MatmulJob> jobs;
        for (size_t j = 0; j < 70; ++j) {  // 5 rows of weights for rows j % 8 and the next
            jobs.push_back({.weight = weights.view.slice(j * 5, 5),
                            .out = out.data() + (j % 8) * 350 + j * 5,
                            .out_stride = 350,
                            .first_row = j % 8,
                            .rows = 2});
        }
        matmul({*kernels, pool}, activations, jobs);
        for (size_t r = 0; r < 9; ++r) {
            for (size_t j = 0; j < 70; ++j) {
                const bool computed = r == j % 8 || r == j % 8 + 1;
                const std::vector<float> untouched(5, -1.0f);
                ASSERT_TRUE(same_bits(
                    std::span(out).subspan(r * 350 + j * 5, 5),
                    computed ? std::span(whole).subspan(r * 350 + j * 5, 5) : std::span(untouched)))
                    << name(*kernels) << " row " << r << " job " << j;
            }
        }
    }
}

TEST(Matmul, NoActivationsAreNoWork) {
    const Weights weights(DType::Q8_0, 16, 64, 1);
    ThreadPool pool(2);
    Scratch scratch(1, 64);
    Activations none(nullptr, 0, 64, scratch.span());
    float untouched = 3.0f;
    matmul({*available_kernels().back(), pool}, weights.view, none, &untouched, 16);
    EXPECT_EQ(untouched, 3.0f);
}

}  // namespace
}  // namespace weir::kernels
