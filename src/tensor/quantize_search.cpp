#include "tensor/quantize_search.h"

#include <array>
#include <cstring>
#include <limits>

#include "base/check.h"
#include "tensor/blocks.h"
#include "tensor/float16.h"
#include "tensor/pack_bits.h"
#include "tensor/quantize.h"

// Least squares, again and again: for whole numbers q that are fixed, the best scale (and minimum)
// has a closed form; for a scale that is fixed, the best q is the nearest. Starting from a range of
// scales around the one that just holds the largest element, one round of both finds what is good,
// and the best of all starts is kept. Scales that are stored as small integers are then moved by
// one in each direction, with the q that each would have.
namespace weir::tensor {

namespace {

constexpr size_t kPartMax = 32;

// Part of a block with a weight for the error of each element.
struct Part {
    std::span<const float> x;
    std::array<float, kPartMax> weight{};

    explicit Part(std::span<const float> values) : x(values) {
        float squares = 0.0f;
        for (const float value : x) {
            squares += value * value;
        }
        const float mean = std::sqrt(squares / static_cast<float>(x.size()));
        for (size_t i = 0; i < x.size(); ++i) {
            weight[i] = mean + std::fabs(x[i]);
        }
    }

    // Of x = scale * q + offset with the nearest q in [low, high].
    float error(float scale, float offset, int low, int high) const {
        const float steps = inverse(scale);
        float sum = 0.0f;
        for (size_t i = 0; i < x.size(); ++i) {
            const float q = static_cast<float>(rounded((x[i] - offset) * steps, low, high));
            const float difference = scale * q + offset - x[i];
            sum += weight[i] * difference * difference;
        }
        return sum;
    }
};

// x = scale * q with q in [low, -low - 1].
float best_scale(const Part& part, int low) {
    const float largest = extreme(part.x);
    if (largest == 0.0f) {
        return 0.0f;
    }
    float best = largest / static_cast<float>(low);
    float error = part.error(best, 0.0f, low, -low - 1);
    constexpr int kStarts = 9;  // to each side, a tenth of a step apart
    for (int start = -kStarts; start <= kStarts; ++start) {
        const float steps = (static_cast<float>(low) + 0.1f * static_cast<float>(start)) / largest;
        float xq = 0.0f;
        float qq = 0.0f;
        for (size_t i = 0; i < part.x.size(); ++i) {
            const float q = static_cast<float>(rounded(part.x[i] * steps, low, -low - 1));
            xq += part.weight[i] * part.x[i] * q;
            qq += part.weight[i] * q * q;
        }
        const float scale = qq > 0.0f ? xq / qq : 0.0f;
        const float found = part.error(scale, 0.0f, low, -low - 1);
        if (found < error) {
            error = found;
            best = scale;
        }
    }
    return best;
}

// x = scale * q - minimum with q in [0, levels], scale and minimum not negative.
struct Affine {
    float scale = 0.0f;
    float minimum = 0.0f;
};

Affine fit(const Part& part, float low, float steps, int levels) {
    float w = 0;
    float q_sum = 0;
    float qq = 0;
    float x_sum = 0;
    float xq = 0;
    for (size_t i = 0; i < part.x.size(); ++i) {
        const float q = static_cast<float>(rounded((part.x[i] - low) * steps, 0, levels));
        w += part.weight[i];
        q_sum += part.weight[i] * q;
        qq += part.weight[i] * q * q;
        x_sum += part.weight[i] * part.x[i];
        xq += part.weight[i] * part.x[i] * q;
    }
    const float determinant = w * qq - q_sum * q_sum;
    if (determinant > 0.0f) {
        const float scale = (w * xq - q_sum * x_sum) / determinant;
        const float offset = (qq * x_sum - q_sum * xq) / determinant;
        if (offset <= 0.0f && scale > 0.0f) {
            return {scale, -offset};
        }
    }
    return {qq > 0.0f ? std::max(0.0f, xq / qq) : 0.0f, 0.0f};
}

Affine best_affine(const Part& part, int levels) {
    const auto [low_of, high_of] = std::minmax_element(part.x.begin(), part.x.end());
    const float low = std::min(0.0f, *low_of);
    const float extent = std::max(*high_of, low) - low;
    if (extent <= 0.0f) {
        return {0.0f, -low};
    }
    Affine best{extent / static_cast<float>(levels), -low};
    float error = part.error(best.scale, -best.minimum, 0, levels);
    constexpr int kStarts = 20;
    for (int start = 0; start <= kStarts; ++start) {
        const float reach = static_cast<float>(levels) - 1.0f + 0.1f * static_cast<float>(start);
        const Affine found = fit(part, low, reach / extent, levels);
        const float of_found = part.error(found.scale, -found.minimum, 0, levels);
        if (of_found < error) {
            error = of_found;
            best = found;
        }
    }
    return best;
}

// `first` and its neighbours within [low, high]: calls error(n) and gives the best n.
template <typename Error>
int best_near(int first, int low, int high, const Error& error) {
    int best = first;
    float least = error(first);
    for (const int n : {first - 1, first + 1}) {
        if (n >= low && n <= high && error(n) < least) {
            least = error(n);
            best = n;
        }
    }
    return best;
}

template <typename Block, typename Put>
void pack_affine(std::span<const float, 256> x, int levels, Block& block, const Put& put) {
    std::array<Affine, 8> wanted{};
    float scale_max = 0.0f;
    float minimum_max = 0.0f;
    for (size_t s = 0; s < 8; ++s) {
        wanted[s] = best_affine(Part(x.subspan(32 * s, 32)), levels);
        scale_max = std::max(scale_max, wanted[s].scale);
        minimum_max = std::max(minimum_max, wanted[s].minimum);
    }
    block.d = f16_from_f32(scale_max / 63.0f);
    block.dmin = f16_from_f32(minimum_max / 63.0f);
    const float d = f32_from_f16(block.d);
    const float dmin = f32_from_f16(block.dmin);

    std::array<int, 8> scale{};
    std::array<int, 8> minimum{};
    for (size_t s = 0; s < 8; ++s) {
        const Part part(x.subspan(32 * s, 32));
        const auto error = [&](int sc, int mn) {
            return part.error(d * static_cast<float>(sc), -dmin * static_cast<float>(mn), 0,
                              levels);
        };
        scale[s] = rounded(wanted[s].scale * inverse(d), 0, 63);
        minimum[s] = rounded(wanted[s].minimum * inverse(dmin), 0, 63);
        scale[s] = best_near(scale[s], 0, 63, [&](int sc) { return error(sc, minimum[s]); });
        minimum[s] = best_near(minimum[s], 0, 63, [&](int mn) { return error(scale[s], mn); });
        const float steps = inverse(d * static_cast<float>(scale[s]));
        const float offset = dmin * static_cast<float>(minimum[s]);
        for (size_t l = 0; l < 32; ++l) {
            put(s, l, rounded((x[32 * s + l] + offset) * steps, 0, levels));
        }
    }
    pack_scales_q4_k(scale, minimum, block.scales);
}

BlockQ4_K pack(std::span<const float, 256> x, BlockQ4_K*) {
    BlockQ4_K block{};
    pack_affine(x, 15, block, [&](size_t s, size_t l, int q) { put_q4_k(block, s, l, q); });
    return block;
}

BlockQ5_K pack(std::span<const float, 256> x, BlockQ5_K*) {
    BlockQ5_K block{};
    pack_affine(x, 31, block, [&](size_t s, size_t l, int q) { put_q5_k(block, s, l, q); });
    return block;
}

BlockQ6_K pack(std::span<const float, 256> x, BlockQ6_K*) {
    std::array<float, 16> wanted{};
    for (size_t s = 0; s < 16; ++s) {
        wanted[s] = best_scale(Part(x.subspan(16 * s, 16)), -32);
    }
    BlockQ6_K block{};
    block.d = f16_from_f32(extreme(wanted) / -128.0f);
    const float d = f32_from_f16(block.d);
    for (size_t s = 0; s < 16; ++s) {
        const Part part(x.subspan(16 * s, 16));
        const int scale = best_near(
            rounded(wanted[s] * inverse(d), -128, 127), -128, 127,
            [&](int sc) { return part.error(d * static_cast<float>(sc), 0.0f, -32, 31); });
        block.scales[s] = static_cast<int8_t>(scale);
        const float steps = inverse(d * static_cast<float>(scale));
        for (size_t e = 16 * s; e < 16 * s + 16; ++e) {
            put_q6_k(block, e, rounded(x[e] * steps, -32, 31) + 32);
        }
    }
    return block;
}

BlockQ4_0 pack(std::span<const float, 32> x, BlockQ4_0*) {
    BlockQ4_0 block{};
    block.d = f16_from_f32(best_scale(Part(x), -8));
    const float steps = inverse(f32_from_f16(block.d));
    for (size_t j = 0; j < 16; ++j) {
        const int low = rounded(x[j] * steps, -8, 7) + 8;
        const int high = rounded(x[j + 16] * steps, -8, 7) + 8;
        block.q[j] = static_cast<uint8_t>(low | (high << 4));
    }
    return block;
}

BlockQ5_0 pack(std::span<const float, 32> x, BlockQ5_0*) {
    BlockQ5_0 block{};
    block.d = f16_from_f32(best_scale(Part(x), -16));
    const float steps = inverse(f32_from_f16(block.d));
    for (size_t j = 0; j < 32; ++j) {
        const int q = rounded(x[j] * steps, -16, 15) + 16;
        block.q[j % 16] |= static_cast<uint8_t>((q & 15) << (j < 16 ? 0 : 4));
        block.high[j / 8] |= static_cast<uint8_t>((q >> 4) << (j % 8));
    }
    return block;
}

template <typename Block>
void pack_blocks(std::span<const float> values, std::span<std::byte> row) {
    WEIR_ASSERT(values.size() % Block::kElements == 0);
    WEIR_ASSERT(row.size() == values.size() / Block::kElements * sizeof(Block));
    for (size_t i = 0; i < values.size() / Block::kElements; ++i) {
        const auto part = values.subspan(i * Block::kElements).template first<Block::kElements>();
        const Block block = pack(part, static_cast<Block*>(nullptr));
        std::memcpy(row.data() + i * sizeof(Block), &block, sizeof(Block));
    }
}

}  // namespace

void quantize_row_searched(DType dtype, std::span<const float> values, std::span<std::byte> row) {
    switch (dtype) {
        case DType::Q4_0:
            return pack_blocks<BlockQ4_0>(values, row);
        case DType::Q5_0:
            return pack_blocks<BlockQ5_0>(values, row);
        case DType::Q4_K:
            return pack_blocks<BlockQ4_K>(values, row);
        case DType::Q5_K:
            return pack_blocks<BlockQ5_K>(values, row);
        case DType::Q6_K:
            return pack_blocks<BlockQ6_K>(values, row);
        default:
            return quantize_row(dtype, values, row);
    }
}

}  // namespace weir::tensor
