#include "kernels/recurrent.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "kernels/kernel_table.h"
#include "kernels/row_ops.h"
#include "kernels/test_support.h"
#include "kernels/thread_pool.h"

namespace weir::kernels {
namespace {

using testing::normal_values;
using testing::same_bits;
using Floats = std::vector<float>;
constexpr double kEpsilon = std::numeric_limits<float>::epsilon();

// States lie behind something else, so that an offset that is forgotten shows.
constexpr size_t kOffset = 12;

// Two states of `size` floats each, as memory with the offset in front.
struct States {
    std::vector<std::byte> first, second;

    States(const Floats& both, size_t size)
        : first(kOffset + size * sizeof(float)), second(first.size()) {
        std::memcpy(first.data() + kOffset, both.data(), size * sizeof(float));
        std::memcpy(second.data() + kOffset, both.data() + size, size * sizeof(float));
    }
    static void append(const std::vector<std::byte>& memory, Floats& out) {
        const size_t size = (memory.size() - kOffset) / sizeof(float);
        out.resize(out.size() + size);
        std::memcpy(out.data() + out.size() - size, memory.data() + kOffset, size * sizeof(float));
    }
};

// The result and the state of two sequences, of `rows` and of two rows, computed in slices of at
// most `slice` rows.
using Outcome = Floats;

struct Convolution {
    size_t taps = 4;
    size_t channels = 5;
    size_t rows = 7;

    Floats weight() const { return normal_values(taps * channels, 1); }
    Floats u() const { return normal_values((rows + 2) * channels, 2); }
    Floats states() const { return normal_values(2 * (taps - 1) * channels, 3); }

    Outcome run(const Compute& compute, size_t slice) const {
        const Floats w = weight();
        const Floats input = u();
        States state(states(), (taps - 1) * channels);
        Floats out(input.size());
        for (size_t at = 0; at < rows; at += slice) {
            const std::vector<StateRows> slices = {
                {at, std::min(slice, rows - at), state.first.data()},
                {rows, at == 0 ? 2u : 0u, state.second.data()}};
            causal_convolution_silu(compute, {.slices = slices,
                                              .state_offset = kOffset,
                                              .taps = taps,
                                              .channels = channels,
                                              .weight = w.data(),
                                              .u = input.data(),
                                              .out = out.data()});
        }
        States::append(state.first, out);
        States::append(state.second, out);
        return out;
    }
};

// The definition, in double precision, on the sequence with its state in front.
Outcome convolution_by_definition(const Convolution& shape) {
    const Floats weight = shape.weight();
    const Floats u = shape.u();
    const Floats states = shape.states();
    const size_t kept = shape.taps - 1;
    const size_t channels = shape.channels;
    Outcome out;
    Outcome end_states;
    for (size_t s = 0; s < 2; ++s) {
        Floats all(states.begin() + static_cast<ptrdiff_t>(s * kept * channels),
                   states.begin() + static_cast<ptrdiff_t>((s + 1) * kept * channels));
        const size_t from = s == 0 ? 0 : shape.rows;
        const size_t count = s == 0 ? shape.rows : 2;
        all.insert(all.end(), u.begin() + static_cast<ptrdiff_t>(from * channels),
                   u.begin() + static_cast<ptrdiff_t>((from + count) * channels));
        for (size_t t = 0; t < count; ++t) {
            for (size_t c = 0; c < channels; ++c) {
                double sum = 0;
                for (size_t i = 0; i < shape.taps; ++i) {
                    sum +=
                        static_cast<double>(all[(t + i) * channels + c]) * weight[i * channels + c];
                }
                out.push_back(static_cast<float>(sum / (1 + std::exp(-sum))));
            }
        }
        end_states.insert(end_states.end(), all.end() - static_cast<ptrdiff_t>(kept * channels),
                          all.end());
    }
    out.insert(out.end(), end_states.begin(), end_states.end());
    return out;
}

const Convolution kConvolutions[] = {{},
                                     {.taps = 1, .channels = 16, .rows = 3},
                                     {.taps = 3, .channels = 1100, .rows = 2},
                                     {.taps = 4, .channels = 64, .rows = 33}};

// Sums of at most four terms of size one, in halves of epsilon each; then exp, a sum, a quotient.
TEST(Recurrent, ConvolutionIsItsDefinition) {
    for (const Convolution& shape : kConvolutions) {
        ThreadPool pool(2);
        const Outcome out = shape.run({reference_kernels(), pool}, 100);
        const Outcome expected = convolution_by_definition(shape);
        ASSERT_EQ(out.size(), expected.size());
        for (size_t i = 0; i < out.size(); ++i) {
            ASSERT_NEAR(out[i], expected[i], 64 * kEpsilon) << i;
        }
    }
}

TEST(Recurrent, ConvolutionHasOneResultInEveryVariantAndSlicing) {
    for (const Convolution& shape : kConvolutions) {
        ThreadPool pool(2);
        const Outcome expected = shape.run({reference_kernels(), pool}, 100);
        for (const KernelSet* kernels : available_kernels()) {
            for (const size_t slice : {1u, 2u, 3u, 5u, 100u}) {
                ASSERT_TRUE(same_bits(shape.run({*kernels, pool}, slice), expected))
                    << name(*kernels) << " in slices of " << slice;
            }
        }
    }
}

struct Delta {
    size_t key_heads = 2;
    size_t value_heads = 4;
    size_t key_dim = 8;
    size_t value_dim = 5;
    HeadMap map = HeadMap::Grouped;
    size_t rows = 9;

    size_t keys() const { return key_heads * key_dim; }
    size_t values() const { return value_heads * value_dim; }
    size_t stride() const { return 2 * keys() + values() + 3; }
    size_t state_size() const { return value_heads * key_dim * value_dim; }
    Floats qkv() const {
        Floats made = normal_values((rows + 2) * stride(), 1);
        ThreadPool pool(1);
        for (const size_t at : {size_t{0}, keys()}) {
            l2_normalize({reference_kernels(), pool}, made.data() + at, rows + 2, stride(),
                         key_heads, key_dim, 1e-6f, 1.0f);
        }
        return made;
    }
    Floats gates(uint32_t seed) const {
        Floats made = normal_values((rows + 2) * value_heads, seed);
        for (float& value : made) {
            value = 1.0f / (1.0f + std::exp(-value));
        }
        return made;
    }
    Floats states() const { return normal_values(2 * state_size(), 4); }

    Outcome run(const Compute& compute, size_t slice) const {
        const Floats input = qkv();
        const Floats decay = gates(2);
        const Floats beta = gates(3);
        States state(states(), state_size());
        Floats out((rows + 2) * values());
        for (size_t at = 0; at < rows; at += slice) {
            const std::vector<StateRows> slices = {
                {at, std::min(slice, rows - at), state.first.data()},
                {rows, at == 0 ? 2u : 0u, state.second.data()}};
            delta_rule(compute, {.slices = slices,
                                 .state_offset = kOffset,
                                 .key_heads = key_heads,
                                 .value_heads = value_heads,
                                 .key_dim = key_dim,
                                 .value_dim = value_dim,
                                 .map = map,
                                 .q = input.data(),
                                 .k = input.data() + keys(),
                                 .v = input.data() + 2 * keys(),
                                 .stride = stride(),
                                 .decay = decay.data(),
                                 .beta = beta.data(),
                                 .out = out.data()});
        }
        States::append(state.first, out);
        States::append(state.second, out);
        return out;
    }
};

// As the paper writes it, in double precision: decay, correct, read.
Outcome delta_by_definition(const Delta& shape) {
    const Floats input = shape.qkv();
    const Floats decay = shape.gates(2);
    const Floats beta = shape.gates(3);
    const Floats begin = shape.states();
    std::vector<double> states(begin.begin(), begin.end());
    Outcome out((shape.rows + 2) * shape.values());
    for (size_t r = 0; r < shape.rows + 2; ++r) {
        for (size_t j = 0; j < shape.value_heads; ++j) {
            double* state = states.data() + (r < shape.rows ? 0 : shape.state_size()) +
                            j * shape.key_dim * shape.value_dim;
            const size_t shared = shape.value_heads / shape.key_heads;
            const size_t key_head =
                shape.map == HeadMap::Grouped ? j / shared : j % shape.key_heads;
            const float* q = input.data() + r * shape.stride() + key_head * shape.key_dim;
            const float* k = q + shape.keys();
            const float* v =
                input.data() + r * shape.stride() + 2 * shape.keys() + j * shape.value_dim;
            for (size_t i = 0; i < shape.key_dim * shape.value_dim; ++i) {
                state[i] *= decay[r * shape.value_heads + j];
            }
            for (size_t c = 0; c < shape.value_dim; ++c) {
                double known = 0;
                for (size_t i = 0; i < shape.key_dim; ++i) {
                    known += state[i * shape.value_dim + c] * k[i];
                }
                const double delta = beta[r * shape.value_heads + j] * (v[c] - known);
                double sum = 0;
                for (size_t i = 0; i < shape.key_dim; ++i) {
                    state[i * shape.value_dim + c] += k[i] * delta;
                    sum += state[i * shape.value_dim + c] * q[i];
                }
                out[r * shape.values() + j * shape.value_dim + c] = static_cast<float>(sum);
            }
        }
    }
    for (const double value : states) {
        out.push_back(static_cast<float>(value));
    }
    return out;
}

const Delta kDeltas[] = {
    {},
    {.map = HeadMap::Tiled},
    {.key_heads = 1, .value_heads = 1, .key_dim = 3, .value_dim = 1, .rows = 40},
    {.key_heads = 2, .value_heads = 2, .key_dim = 16, .value_dim = 16},
    {.key_heads = 1, .value_heads = 3, .key_dim = 128, .value_dim = 128, .rows = 5},
    {.key_heads = 1, .value_heads = 2, .key_dim = 20, .value_dim = 119, .rows = 5},
};

// Keys have length one, so that a step moves the state by at most the size of v, some units: each
// step rounds key_dim times in sums of such numbers, and old errors shrink with the decay.
TEST(Recurrent, DeltaRuleIsItsDefinition) {
    for (const Delta& shape : kDeltas) {
        ThreadPool pool(2);
        const Outcome out = shape.run({reference_kernels(), pool}, 100);
        const Outcome expected = delta_by_definition(shape);
        ASSERT_EQ(out.size(), expected.size());
        const double bound = 16 * static_cast<double>(shape.key_dim) * kEpsilon;
        for (size_t i = 0; i < out.size(); ++i) {
            ASSERT_NEAR(out[i], expected[i], bound) << i;
        }
    }
}

TEST(Recurrent, DeltaRuleHasOneResultInEveryVariantAndSlicing) {
    for (const Delta& shape : kDeltas) {
        ThreadPool pool(2);
        const Outcome expected = shape.run({reference_kernels(), pool}, 100);
        for (const KernelSet* kernels : available_kernels()) {
            for (const size_t slice : {1u, 4u, 100u}) {
                ASSERT_TRUE(same_bits(shape.run({*kernels, pool}, slice), expected))
                    << name(*kernels) << " in slices of " << slice;
            }
        }
    }
}

// A copy that is asked for in the middle of a slice is the state of who stops there.
TEST(Recurrent, CopiesAreTheStatesOfShorterSlices) {
    constexpr Convolution kConvolution{.taps = 4, .channels = 20, .rows = 9};
    constexpr Delta kDelta{.key_dim = 5, .value_dim = 70};
    const Floats weight = kConvolution.weight();
    const Floats u = kConvolution.u();
    const Floats qkv = kDelta.qkv();
    const Floats decay = kDelta.gates(2);
    const Floats beta = kDelta.gates(3);
    Floats out((kDelta.rows + 2) * std::max(kDelta.values(), kConvolution.channels));
    ThreadPool pool(2);
    const Compute compute{*available_kernels().back(), pool};
    const size_t tail_bytes = 3 * kConvolution.channels * sizeof(float);
    const size_t bytes = kOffset + tail_bytes + kDelta.state_size() * sizeof(float);

    const auto run = [&](size_t rows, std::byte* memory, std::span<const StateCopy> copies) {
        const std::vector<StateRows> slices = {{0, rows, memory, copies}};
        causal_convolution_silu(compute, {.slices = slices,
                                          .state_offset = kOffset,
                                          .taps = kConvolution.taps,
                                          .channels = kConvolution.channels,
                                          .weight = weight.data(),
                                          .u = u.data(),
                                          .out = out.data()});
        delta_rule(compute, {.slices = slices,
                             .state_offset = kOffset + tail_bytes,
                             .key_heads = kDelta.key_heads,
                             .value_heads = kDelta.value_heads,
                             .key_dim = kDelta.key_dim,
                             .value_dim = kDelta.value_dim,
                             .q = qkv.data(),
                             .k = qkv.data() + kDelta.keys(),
                             .v = qkv.data() + 2 * kDelta.keys(),
                             .stride = kDelta.stride(),
                             .decay = decay.data(),
                             .beta = beta.data(),
                             .out = out.data()});
    };
    std::vector<std::vector<std::byte>> copied(3, std::vector<std::byte>(bytes));
    const std::vector<StateCopy> copies = {
        {1, copied[0].data()}, {6, copied[1].data()}, {9, copied[2].data()}};
    std::vector<std::byte> whole(bytes);
    run(9, whole.data(), copies);
    for (size_t i = 0; i < copies.size(); ++i) {
        std::vector<std::byte> alone(bytes);
        run(copies[i].rows, alone.data(), {});
        EXPECT_EQ(copied[i], alone) << copies[i].rows << " rows";
    }
    EXPECT_EQ(whole, copied[2]);
}

TEST(Recurrent, L2NormalizeGivesHeadsOfTheAskedLength) {
    constexpr size_t kRows = 3, kHeads = 2, kDim = 24, kStride = 50;
    const Floats x = normal_values(kRows * kStride, 5);
    ThreadPool pool(2);
    Floats expected;
    for (const KernelSet* kernels : available_kernels()) {
        Floats out = x;
        l2_normalize({*kernels, pool}, out.data(), kRows, kStride, kHeads, kDim, 1e-6f, 0.25f);
        for (size_t r = 0; r < kRows; ++r) {
            for (size_t h = 0; h < kHeads; ++h) {
                double squares = 0;
                for (size_t i = 0; i < kDim; ++i) {
                    const double value = x[r * kStride + h * kDim + i];
                    squares += value * value;
                }
                for (size_t i = 0; i < kDim; ++i) {
                    const size_t at = r * kStride + h * kDim + i;
                    ASSERT_NEAR(out[at], 0.25 * x[at] / std::sqrt(squares + 1e-6), 8 * kEpsilon);
                }
            }
            ASSERT_EQ(out[r * kStride + kHeads * kDim], x[r * kStride + kHeads * kDim]);
        }
        expected = expected.empty() ? out : expected;
        ASSERT_TRUE(same_bits(out, expected)) << name(*kernels);
    }
}

TEST(Recurrent, SigmoidGatesAreCloseToDoublePrecisionInEveryVariant) {
    for (const size_t count : {1u, 16u, 37u}) {
        const Floats gate = normal_values(count, 6, 20.0f);
        const Floats x = normal_values(count, 7);
        ThreadPool pool(1);
        Floats expected(count);
        sigmoid_mul({reference_kernels(), pool}, gate.data(), x.data(), count, expected.data());
        for (size_t i = 0; i < count; ++i) {
            const double exact = x[i] / (1 + std::exp(-static_cast<double>(gate[i])));
            EXPECT_NEAR(expected[i], exact, std::fabs(x[i]) * 1e-6);
        }
        for (const KernelSet* kernels : available_kernels()) {
            Floats out(count);
            sigmoid_mul({*kernels, pool}, gate.data(), x.data(), count, out.data());
            EXPECT_TRUE(same_bits(out, expected)) << name(*kernels);
        }
    }
}

}  // namespace
}  // namespace weir::kernels
