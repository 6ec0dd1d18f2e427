#include "kernels/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/kernel_table.h"
#include "kernels/test_support.h"
#include "kernels/thread_pool.h"

namespace weir::kernels {
namespace {

using testing::normal_values;
using testing::same_bits;

struct Shape {
    KvLayout layout;
    size_t heads;
    size_t latent = 0;  // where values are part of the keys, their length

    size_t q_stride() const { return heads * layout.key_dim; }
    size_t value_dim() const { return layout.value_dim + latent; }
    size_t out_stride() const { return heads * value_dim(); }
};

// Sequences with their keys and values, in blocks that start out full of NaN and stand anywhere.
class Cache {
  public:
    static constexpr size_t kLayerOffset = 64;

    Cache(const Shape& shape, const std::vector<uint32_t>& lengths, uint32_t seed) : shape_(shape) {
        const KvLayout& layout = shape.layout;
        const size_t bytes = kLayerOffset + layout.block_bytes();
        for (const uint32_t length : lengths) {
            const size_t blocks = (length + layout.block_tokens - 1) / layout.block_tokens;
            auto& pointers = pointers_.emplace_back();
            for (size_t i = 0; i < blocks; ++i) {
                pointers.push_back(storage_.emplace_back(bytes, std::byte{0xff}).data());
            }
        }
        for (const auto& pointers : pointers_) {
            sequences_.push_back({pointers.data()});
        }
        for (size_t s = 0; s < lengths.size(); ++s) {
            const size_t k_dim = layout.kv_heads * layout.key_dim;
            const size_t v_dim = layout.kv_heads * layout.value_dim;
            k_.push_back(normal_values(lengths[s] * k_dim, seed + 2 * static_cast<uint32_t>(s)));
            v_.push_back(
                normal_values(lengths[s] * v_dim, seed + 2 * static_cast<uint32_t>(s) + 1));
        }
    }

    // Writes the tokens [begin, end) of a sequence.
    void write(const Compute& compute, uint32_t sequence, uint32_t begin, uint32_t end) {
        const KvLayout& layout = shape_.layout;
        std::vector<uint32_t> positions;
        for (uint32_t p = begin; p < end; ++p) {
            positions.push_back(p);
        }
        const std::vector<uint32_t> of(positions.size(), sequence);
        const size_t k_dim = layout.kv_heads * layout.key_dim;
        const size_t v_dim = layout.kv_heads * layout.value_dim;
        write_kv(compute, {.layout = layout,
                           .layer_offset = kLayerOffset,
                           .sequences = sequences_,
                           .sequence_of = of,
                           .positions = positions,
                           .k = k_[sequence].data() + begin * k_dim,
                           .k_stride = k_dim,
                           .v = v_[sequence].data() + begin * v_dim,
                           .v_stride = v_dim});
    }

    std::vector<float> attend(const Compute& compute, const std::vector<QueryRow>& rows,
                              const std::vector<float>& q, const float* sinks = nullptr,
                              float soft_cap = 0.0f) const {
        std::vector<float> out(rows.size() * shape_.out_stride());
        attention(compute, {.layout = shape_.layout,
                            .layer_offset = kLayerOffset,
                            .sequences = sequences_,
                            .rows = rows,
                            .heads = shape_.heads,
                            .value_dim = shape_.latent,
                            .scale = 0.3f,
                            .soft_cap = soft_cap,
                            .sinks = sinks,
                            .q = q.data(),
                            .q_stride = shape_.q_stride(),
                            .out = out.data(),
                            .out_stride = shape_.out_stride()});
        return out;
    }

    void set_keys(size_t sequence, const std::vector<float>& k) { k_[sequence] = k; }
    void set_values(size_t sequence, const std::vector<float>& v) { v_[sequence] = v; }

    const std::vector<float>& k(size_t sequence) const { return k_[sequence]; }
    const std::vector<float>& v(size_t sequence) const { return v_[sequence]; }

  private:
    Shape shape_;
    std::vector<std::vector<std::byte>> storage_;
    std::vector<std::vector<std::byte*>> pointers_;
    std::vector<PagedKv> sequences_;
    std::vector<std::vector<float>> k_;
    std::vector<std::vector<float>> v_;
};

std::vector<Shape> shapes() {
    using tensor::DType;
    return {
        {{DType::F32, 16, 2, 64, 64}, 4},    {{DType::F16, 16, 2, 64, 64}, 8},
        {{DType::F16, 32, 1, 128, 128}, 3},  {{DType::F32, 64, 3, 8, 24}, 3},
        {{DType::F16, 16, 1, 20, 12}, 40},   {{DType::F32, 16, 2, 5, 3}, 4},
        {{DType::F32, 16, 1, 40, 0}, 4, 32}, {{DType::F16, 32, 1, 72, 0}, 40, 59},
        {{DType::F16, 16, 1, 24, 0}, 9, 24}, {{DType::Q8_0, 16, 2, 64, 64}, 4},
        {{DType::Q8_0, 64, 1, 40, 20}, 40},
    };
}

std::vector<QueryRow> causal_rows(uint32_t sequence, uint32_t begin, uint32_t end,
                                  uint32_t window) {
    std::vector<QueryRow> rows;
    for (uint32_t p = begin; p < end; ++p) {
        rows.push_back({sequence, p + 1 > window ? p + 1 - window : 0, p + 1});
    }
    return rows;
}

// The variants whose loops depend on the shape; where there are none, the reference.
std::span<const KernelSet* const> fast_kernels() {
    const auto all = available_kernels();
    return all.size() > 1 ? all.subspan(1) : all;
}

constexpr uint32_t kNoWindow = 1u << 30;

TEST(Attention, EveryVariantGivesTheBitsOfTheReference) {
    ThreadPool pool(2);
    for (const Shape& shape : shapes()) {
        for (const uint32_t window : {kNoWindow, 40u}) {
            Cache cache(shape, {130}, 1);
            cache.write({reference_kernels(), pool}, 0, 0, 130);
            // The start, the first cut between chunks, and the end.
            auto rows = causal_rows(0, 0, 3, window);
            for (const auto& [begin, end] : {std::pair<uint32_t, uint32_t>{62, 66}, {127, 130}}) {
                const auto more = causal_rows(0, begin, end, window);
                rows.insert(rows.end(), more.begin(), more.end());
            }
            const auto q = normal_values(rows.size() * shape.q_stride(), 9);
            for (const float cap : {0.0f, 1.5f}) {
                const auto expected =
                    cache.attend({reference_kernels(), pool}, rows, q, nullptr, cap);
                ASSERT_TRUE(std::all_of(expected.begin(), expected.end(),
                                        [](float x) { return std::isfinite(x); }));
                for (const KernelSet* kernels : fast_kernels()) {
                    ASSERT_TRUE(
                        same_bits(cache.attend({*kernels, pool}, rows, q, nullptr, cap), expected))
                        << name(*kernels) << " dim " << shape.layout.key_dim << " window " << window
                        << " cap " << cap;
                }
            }
        }
    }
}

TEST(Attention, EveryVariantWritesTheSameCache) {
    ThreadPool pool(1);
    for (const Shape& shape : shapes()) {
        const auto rows = causal_rows(0, 69, 70, kNoWindow);
        const auto q = normal_values(shape.q_stride(), 9);
        Cache reference(shape, {70}, 3);
        reference.write({reference_kernels(), pool}, 0, 0, 70);
        const auto expected = reference.attend({reference_kernels(), pool}, rows, q);
        for (const KernelSet* kernels : fast_kernels()) {
            Cache cache(shape, {70}, 3);
            cache.write({*kernels, pool}, 0, 0, 70);
            ASSERT_TRUE(same_bits(cache.attend({reference_kernels(), pool}, rows, q), expected));
        }
    }
}

// Promise 2: token by token, in chunks of any size, all at once, beside other sequences or alone,
// on one thread or three: the same bits. Later tokens are not yet written when earlier ones are
// computed (their memory holds NaN), and it makes no difference.
TEST(Attention, ChunksBatchMatesAndThreadsChangeNothing) {
    for (const Shape& shape : shapes()) {
        for (const uint32_t window : {kNoWindow, 21u}) {
            const auto q = normal_values(100 * shape.q_stride(), 9);
            for (const KernelSet* kernels : fast_kernels()) {
                std::vector<float> expected;
                {
                    ThreadPool pool(1);
                    Cache cache(shape, {100}, 1);
                    cache.write({*kernels, pool}, 0, 0, 100);
                    expected = cache.attend({*kernels, pool}, causal_rows(0, 0, 100, window), q);
                }
                for (const uint32_t chunk : {1u, 7u, 64u}) {
                    ThreadPool pool(3);
                    const Compute compute{*kernels, pool};
                    Cache cache(shape, {100, 70}, 1);
                    cache.write(compute, 1, 0, 70);
                    for (uint32_t begin = 0; begin < 100; begin += chunk) {
                        const uint32_t end = std::min(100u, begin + chunk);
                        cache.write(compute, 0, begin, end);
                        // Between rows of another sequence.
                        auto rows = causal_rows(1, 64, 67, window);
                        const auto own = causal_rows(0, begin, end, window);
                        rows.insert(rows.end(), own.begin(), own.end());
                        rows.push_back({1, 10, 70});
                        auto batch_q = normal_values(3 * shape.q_stride(), 5);
                        batch_q.insert(batch_q.end(),
                                       q.begin() + static_cast<ptrdiff_t>(begin * shape.q_stride()),
                                       q.begin() + static_cast<ptrdiff_t>(end * shape.q_stride()));
                        batch_q.resize(rows.size() * shape.q_stride(), 0.5f);
                        const auto out = cache.attend(compute, rows, batch_q);
                        const size_t stride = shape.out_stride();
                        ASSERT_TRUE(same_bits(
                            std::span(out).subspan(3 * stride, (end - begin) * stride),
                            std::span(expected).subspan(begin * stride, (end - begin) * stride)))
                            << name(*kernels) << " chunk " << chunk << " at " << begin;
                    }
                }
            }
        }
    }
}

// Against double precision. With |p| a convex combination, an output is off by at most the largest
// |v| times the relative error of the weights: the scores' rounding (key_dim + 2 roundings of
// sum |q k| * scale, twice, since the largest is subtracted; a cap makes that no more, and adds its
// own 2^-21), exp's 2^-22, and one rounding per key in each of the sums.
TEST(Attention, IsCloseToDoublePrecision) {
    const Shape shape{{tensor::DType::F32, 16, 2, 32, 32}, 4};
    const uint32_t length = 100;
    ThreadPool pool(1);
    Cache cache(shape, {length}, 1);
    const std::vector<float> sinks = {0.5f, -1.0f, 2.0f, 0.0f};
    const auto all = available_kernels();
    for (size_t run = 0; run < 2 * all.size(); ++run) {
        const KernelSet* kernels = all[run / 2];
        const float cap = run % 2 == 0 ? 0.0f : 1.5f;
        cache.write({*kernels, pool}, 0, 0, length);
        const auto q = normal_values(shape.q_stride(), 9);
        const auto out = cache.attend({*kernels, pool}, {{0, 7, length}}, q, sinks.data(), cap);
        for (size_t h = 0; h < 4; ++h) {
            double scores[length];
            double reach = 0;
            for (size_t j = 7; j < length; ++j) {
                double sum = 0;
                double magnitude = 0;
                for (size_t d = 0; d < 32; ++d) {
                    const double product =
                        static_cast<double>(q[h * 32 + d]) * cache.k(0)[j * 64 + h / 2 * 32 + d];
                    sum += product;
                    magnitude += std::fabs(product);
                }
                scores[j] = sum * static_cast<double>(0.3f);
                scores[j] = cap == 0 ? scores[j] : cap * std::tanh(scores[j] / cap);
                reach = std::max(reach, magnitude * 0.3);
            }
            double total = std::exp(static_cast<double>(sinks[h]));
            for (size_t j = 7; j < length; ++j) {
                total += std::exp(scores[j]);
            }
            for (size_t d = 0; d < 32; ++d) {
                double expected = 0;
                double largest = 0;
                for (size_t j = 7; j < length; ++j) {
                    const double v = cache.v(0)[j * 64 + h / 2 * 32 + d];
                    expected += std::exp(scores[j]) / total * v;
                    largest = std::max(largest, std::fabs(v));
                }
                const double epsilon = std::numeric_limits<float>::epsilon();
                const double bound = largest * (2 * (32 + 2) * epsilon * reach + 2 * cap * 0x1p-21 +
                                                0x1p-21 + 2 * length * epsilon);
                ASSERT_NEAR(out[h * 32 + d], expected, bound) << name(*kernels);
            }
        }
    }
}

// The same keys with their first part stored again as values.
TEST(Attention, ValuesInTheKeysGiveTheBitsOfValuesBesideThem) {
    const Shape latent{{tensor::DType::F16, 16, 1, 40, 0}, 6, 32};
    const Shape beside{{tensor::DType::F16, 16, 1, 40, 32}, 6};
    const uint32_t length = 150;
    ThreadPool pool(2);
    for (const KernelSet* kernels : available_kernels()) {
        const Compute compute{*kernels, pool};
        Cache one(latent, {length}, 1);
        one.write(compute, 0, 0, length);
        std::vector<float> values;
        for (uint32_t t = 0; t < length; ++t) {
            const auto key = std::span(one.k(0)).subspan(t * 40, 32);
            values.insert(values.end(), key.begin(), key.end());
        }
        Cache other(beside, {length}, 1);
        other.set_values(0, values);
        other.write(compute, 0, 0, length);
        auto rows = causal_rows(0, 60, 70, 33);
        rows.push_back({0, 0, length});
        const auto q = normal_values(rows.size() * latent.q_stride(), 9);
        const std::vector<float> sinks = {0.5f, -1.0f, 2.0f, 0.0f, 9.0f, -9.0f};
        ASSERT_TRUE(same_bits(one.attend(compute, rows, q, sinks.data()),
                              other.attend(compute, rows, q, sinks.data())))
            << name(*kernels);
    }
}

// Of rows of `dim`, each 32 numbers, or fewer at the end, as whole multiples of a 127th of their
// largest.
std::vector<float> rounded_to_int8(std::vector<float> x, size_t dim) {
    for (size_t row = 0; row < x.size(); row += dim) {
        for (size_t begin = 0; begin < dim; begin += 32) {
            const auto block = std::span(x).subspan(row + begin, std::min<size_t>(32, dim - begin));
            float largest = 0;
            for (const float value : block) {
                largest = std::max(largest, std::fabs(value));
            }
            for (float& value : block) {
                value = std::nearbyint(value * (127.0f / largest)) * (largest / 127.0f);
            }
        }
    }
    return x;
}

TEST(Attention, EightBitsAreWholeNumbersTimesTheirScales) {
    for (const auto& [key_dim, value_dim] : {std::pair<size_t, size_t>{64, 64}, {40, 20}}) {
        const Shape int8{{tensor::DType::Q8_0, 32, 1, key_dim, value_dim}, 4};
        const Shape plain{{tensor::DType::F32, 32, 1, key_dim, value_dim}, 4};
        const uint32_t length = 150;
        ThreadPool pool(2);
        const auto q = normal_values(12 * int8.q_stride(), 9);
        auto rows = causal_rows(0, 60, 70, 33);
        rows.push_back({0, 0, length});
        rows.push_back({0, 140, length});
        for (const KernelSet* kernels : available_kernels()) {
            const Compute compute{*kernels, pool};
            Cache one(int8, {length}, 1);
            one.write(compute, 0, 0, length);
            Cache other(plain, {length}, 1);
            other.set_keys(0, rounded_to_int8(one.k(0), key_dim));
            other.set_values(0, rounded_to_int8(one.v(0), value_dim));
            other.write(compute, 0, 0, length);
            ASSERT_TRUE(same_bits(one.attend(compute, rows, q), other.attend(compute, rows, q)))
                << name(*kernels) << " " << key_dim;
        }
    }
}

// A NaN in a later token's value must not reach a query that does not see it.
TEST(Attention, ALaterNanDoesNotReachEarlierQueries) {
    for (const Shape& shape : shapes()) {
        ThreadPool pool(1);
        for (const KernelSet* kernels : fast_kernels()) {
            Cache cache(shape, {64}, 1);
            cache.write({*kernels, pool}, 0, 0, 40);  // 40 … 63 are NaN
            const auto q = normal_values(64 * shape.q_stride(), 9);
            const auto out = cache.attend({*kernels, pool}, causal_rows(0, 0, 64, kNoWindow), q);
            const size_t seen = 40 * shape.out_stride();
            ASSERT_TRUE(std::all_of(out.begin(), out.begin() + static_cast<ptrdiff_t>(seen),
                                    [](float x) { return std::isfinite(x); }));
            ASSERT_TRUE(std::isnan(out[seen]));
        }
    }
}

TEST(Attention, ALoneKeyIsItsValue) {
    const Shape shape{{tensor::DType::F32, 16, 1, 16, 16}, 1};
    ThreadPool pool(1);
    for (const KernelSet* kernels : available_kernels()) {
        Cache cache(shape, {5}, 1);
        cache.write({*kernels, pool}, 0, 0, 5);
        const auto out = cache.attend({*kernels, pool}, {{0, 3, 4}}, normal_values(16, 2));
        EXPECT_TRUE(same_bits(out, std::span(cache.v(0)).subspan(3 * 16, 16)));
    }
}

}  // namespace
}  // namespace weir::kernels
