#include "tensor/quantize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/check.h"
#include "tensor/blocks.h"
#include "tensor/float16.h"
#include "tensor/pack_bits.h"

namespace weir::tensor {

namespace {

BlockQ8_0 pack(std::span<const float, 32> x, BlockQ8_0*) {
    BlockQ8_0 block{};
    block.d = f16_from_f32(std::fabs(extreme(x)) / 127.0f);
    const float steps = inverse(f32_from_f16(block.d));
    for (size_t j = 0; j < 32; ++j) {
        block.q[j] = static_cast<int8_t>(rounded(x[j] * steps, -127, 127));
    }
    return block;
}

// The extreme element becomes -8, the end of the range that is one step longer.
BlockQ4_0 pack(std::span<const float, 32> x, BlockQ4_0*) {
    BlockQ4_0 block{};
    block.d = f16_from_f32(extreme(x) / -8.0f);
    const float steps = inverse(f32_from_f16(block.d));
    for (size_t j = 0; j < 16; ++j) {
        const int low = rounded(x[j] * steps, -8, 7) + 8;
        const int high = rounded(x[j + 16] * steps, -8, 7) + 8;
        block.q[j] = static_cast<uint8_t>(low | (high << 4));
    }
    return block;
}

uint8_t both_nibbles(int low, int high) {
    return static_cast<uint8_t>(low | (high << 4));
}

// How far values reach: x = low + step * q with q = 0 … levels.
struct Reach {
    float low;
    float step;
};

Reach reach(std::span<const float> values, int levels) {
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    return {*low, (*high - *low) / static_cast<float>(levels)};
}

BlockQ4_1 pack(std::span<const float, 32> x, BlockQ4_1*) {
    BlockQ4_1 block{};
    const auto [low, step] = reach(x, 15);
    block.d = f16_from_f32(step);
    block.m = f16_from_f32(low);
    const float steps = inverse(f32_from_f16(block.d));
    const float m = f32_from_f16(block.m);
    for (size_t j = 0; j < 16; ++j) {
        block.q[j] = both_nibbles(rounded((x[j] - m) * steps, 0, 15),
                                  rounded((x[j + 16] - m) * steps, 0, 15));
    }
    return block;
}

// The four low bits of element j as in Q4_0, the fifth as bit j of `high`.
void put_five_bits(uint8_t (&high)[4], uint8_t (&q)[16], size_t j, int bits) {
    q[j % 16] |= static_cast<uint8_t>((bits & 15) << (j < 16 ? 0 : 4));
    high[j / 8] |= static_cast<uint8_t>((bits >> 4) << (j % 8));
}

BlockQ5_0 pack(std::span<const float, 32> x, BlockQ5_0*) {
    BlockQ5_0 block{};
    block.d = f16_from_f32(extreme(x) / -16.0f);
    const float steps = inverse(f32_from_f16(block.d));
    for (size_t j = 0; j < 32; ++j) {
        put_five_bits(block.high, block.q, j, rounded(x[j] * steps, -16, 15) + 16);
    }
    return block;
}

BlockQ5_1 pack(std::span<const float, 32> x, BlockQ5_1*) {
    BlockQ5_1 block{};
    const auto [low, step] = reach(x, 31);
    block.d = f16_from_f32(step);
    block.m = f16_from_f32(low);
    const float steps = inverse(f32_from_f16(block.d));
    const float m = f32_from_f16(block.m);
    for (size_t j = 0; j < 32; ++j) {
        put_five_bits(block.high, block.q, j, rounded((x[j] - m) * steps, 0, 31));
    }
    return block;
}

// The index of the table's value that is nearest to x.
int nearest(const int8_t (&table)[16], float x) {
    int best = 0;
    for (int i = 1; i < 16; ++i) {
        if (std::fabs(static_cast<float>(table[i]) - x) <
            std::fabs(static_cast<float>(table[best]) - x)) {
            best = i;
        }
    }
    return best;
}

// The extreme element becomes -127, the longer end of the table.
BlockIQ4_NL pack(std::span<const float, 32> x, BlockIQ4_NL*) {
    BlockIQ4_NL block{};
    block.d = f16_from_f32(extreme(x) / -127.0f);
    const float steps = inverse(f32_from_f16(block.d));
    for (size_t j = 0; j < 16; ++j) {
        block.q[j] =
            both_nibbles(nearest(kIQ4Values, x[j] * steps), nearest(kIQ4Values, x[j + 16] * steps));
    }
    return block;
}

// The power of two that brings the largest element to at most 6, the largest 4-bit float.
BlockMXFP4 pack(std::span<const float, 32> x, BlockMXFP4*) {
    BlockMXFP4 block{};
    const float largest = std::fabs(extreme(x));
    if (largest > 0.0f) {
        const int exponent = static_cast<int>(std::ceil(std::log2(largest / 6.0f)));
        block.exponent = static_cast<uint8_t>(std::clamp(exponent + 127, 0, 254));
    }
    const float steps = largest > 0.0f ? 1.0f / half_of_e8m0(block.exponent) : 0.0f;
    for (size_t j = 0; j < 16; ++j) {
        block.q[j] = both_nibbles(nearest(kMXFP4Doubled, x[j] * steps),
                                  nearest(kMXFP4Doubled, x[j + 16] * steps));
    }
    return block;
}

BlockQ4_G128 pack(std::span<const float, 128> x, BlockQ4_G128*) {
    BlockQ4_G128 block{};
    const auto [low_of, high_of] = std::minmax_element(x.begin(), x.end());
    const float low = std::min(0.0f, *low_of);
    block.d = f16_from_f32((std::max(0.0f, *high_of) - low) / 15.0f);
    const float steps = inverse(f32_from_f16(block.d));
    block.zero = static_cast<uint8_t>(rounded(-low * steps, 0, 15));
    for (size_t e = 0; e < 128; ++e) {
        const int q = rounded(x[e] * steps + static_cast<float>(block.zero), 0, 15);
        block.q[e / 32 * 16 + e % 16] |= static_cast<uint8_t>(q << (e % 32 < 16 ? 0 : 4));
    }
    return block;
}

// What Q4_K and Q5_K share: eight sub-blocks of 32 with `levels` steps above their minimum.
// put(s, l, q) stores the bits of element l of sub-block s.
template <typename Block, typename Put>
void pack_affine(std::span<const float, 256> x, int levels, Block& block, const Put& put) {
    std::array<float, 8> step{};
    std::array<float, 8> below{};  // how far under zero the sub-block reaches
    for (size_t s = 0; s < 8; ++s) {
        const auto part = x.subspan(32 * s, 32);
        const auto [low, high] = std::minmax_element(part.begin(), part.end());
        below[s] = std::max(0.0f, -*low);
        step[s] = (std::max(*high, -below[s]) + below[s]) / static_cast<float>(levels);
    }
    block.d = f16_from_f32(*std::max_element(step.begin(), step.end()) / 63.0f);
    block.dmin = f16_from_f32(*std::max_element(below.begin(), below.end()) / 63.0f);
    const float d = f32_from_f16(block.d);
    const float dmin = f32_from_f16(block.dmin);

    std::array<int, 8> scale{};
    std::array<int, 8> minimum{};
    for (size_t s = 0; s < 8; ++s) {
        minimum[s] = rounded(below[s] * inverse(dmin), 0, 63);
        scale[s] = rounded(step[s] * inverse(d), 0, 63);
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

void put_two_bits(uint8_t (&q)[64], size_t e, int bits) {
    q[32 * (e / 128) + e % 32] |= static_cast<uint8_t>(bits << (2 * (e / 32 % 4)));
}

BlockQ2_K pack(std::span<const float, 256> x, BlockQ2_K*) {
    std::array<float, 16> step{};
    std::array<float, 16> below{};
    for (size_t s = 0; s < 16; ++s) {
        const auto part = x.subspan(16 * s, 16);
        const auto [low, high] = std::minmax_element(part.begin(), part.end());
        below[s] = std::max(0.0f, -*low);
        step[s] = (std::max(*high, -below[s]) + below[s]) / 3.0f;
    }
    BlockQ2_K block{};
    block.d = f16_from_f32(*std::max_element(step.begin(), step.end()) / 15.0f);
    block.dmin = f16_from_f32(*std::max_element(below.begin(), below.end()) / 15.0f);
    const float d = f32_from_f16(block.d);
    const float dmin = f32_from_f16(block.dmin);
    for (size_t s = 0; s < 16; ++s) {
        const int scale = rounded(step[s] * inverse(d), 0, 15);
        const int minimum = rounded(below[s] * inverse(dmin), 0, 15);
        block.scales[s] = both_nibbles(scale, minimum);
        const float steps = inverse(d * static_cast<float>(scale));
        const float offset = dmin * static_cast<float>(minimum);
        for (size_t e = 16 * s; e < 16 * s + 16; ++e) {
            put_two_bits(block.q, e, rounded((x[e] + offset) * steps, 0, 3));
        }
    }
    return block;
}

BlockQ3_K pack(std::span<const float, 256> x, BlockQ3_K*) {
    std::array<float, 16> step{};
    for (size_t s = 0; s < 16; ++s) {
        step[s] = extreme(x.subspan(16 * s, 16)) / -4.0f;
    }
    BlockQ3_K block{};
    block.d = f16_from_f32(extreme(step) / -32.0f);
    const float d = f32_from_f16(block.d);
    for (size_t s = 0; s < 16; ++s) {
        const int scale = rounded(step[s] * inverse(d), -32, 31);
        const int bits = scale + 32;
        block.scales[s % 8] |= static_cast<uint8_t>((bits & 15) << (s < 8 ? 0 : 4));
        block.scales[8 + s % 4] |= static_cast<uint8_t>((bits >> 4) << (2 * (s / 4)));
        const float steps = inverse(d * static_cast<float>(scale));
        for (size_t e = 16 * s; e < 16 * s + 16; ++e) {
            const int q = rounded(x[e] * steps, -4, 3) + 4;
            put_two_bits(block.q, e, q & 3);
            block.high[e % 32] |= static_cast<uint8_t>((q >> 2) << (e / 32));
        }
    }
    return block;
}

BlockIQ4_XS pack(std::span<const float, 256> x, BlockIQ4_XS*) {
    std::array<float, 8> step{};
    for (size_t s = 0; s < 8; ++s) {
        step[s] = extreme(x.subspan(32 * s, 32)) / -127.0f;
    }
    BlockIQ4_XS block{};
    block.d = f16_from_f32(extreme(step) / -32.0f);
    const float d = f32_from_f16(block.d);
    for (size_t s = 0; s < 8; ++s) {
        const int scale = rounded(step[s] * inverse(d), -32, 31);
        const int bits = scale + 32;
        block.scales_low[s / 2] |= static_cast<uint8_t>((bits & 15) << (4 * (s % 2)));
        block.scales_high |= static_cast<uint16_t>((bits >> 4) << (2 * s));
        const float steps = inverse(d * static_cast<float>(scale));
        for (size_t j = 0; j < 16; ++j) {
            block.q[16 * s + j] = both_nibbles(nearest(kIQ4Values, x[32 * s + j] * steps),
                                               nearest(kIQ4Values, x[32 * s + j + 16] * steps));
        }
    }
    return block;
}

BlockQ6_K pack(std::span<const float, 256> x, BlockQ6_K*) {
    std::array<float, 16> step{};
    for (size_t s = 0; s < 16; ++s) {
        step[s] = extreme(x.subspan(16 * s, 16)) / -32.0f;
    }
    BlockQ6_K block{};
    block.d = f16_from_f32(extreme(step) / -128.0f);
    const float d = f32_from_f16(block.d);
    for (size_t s = 0; s < 16; ++s) {
        block.scales[s] = static_cast<int8_t>(rounded(step[s] * inverse(d), -128, 127));
        const float steps = inverse(d * static_cast<float>(block.scales[s]));
        for (size_t e = 16 * s; e < 16 * s + 16; ++e) {
            put_q6_k(block, e, rounded(x[e] * steps, -32, 31) + 32);
        }
    }
    return block;
}

template <typename Block>
void pack_blocks(std::span<const float> values, std::byte* row) {
    for (size_t i = 0; i < values.size() / Block::kElements; ++i) {
        const auto part = values.subspan(i * Block::kElements).template first<Block::kElements>();
        const Block block = pack(part, static_cast<Block*>(nullptr));
        std::memcpy(row + i * sizeof(Block), &block, sizeof(Block));
    }
}

}  // namespace

void quantize_row(DType dtype, std::span<const float> values, std::span<std::byte> row) {
    const DTypeInfo& type = info(dtype);
    WEIR_ASSERT(values.size() % type.block_elements == 0);
    WEIR_ASSERT(row.size() == values.size() / type.block_elements * type.block_bytes);
    switch (dtype) {
        case DType::F32:
            std::memcpy(row.data(), values.data(), row.size());
            return;
        case DType::F16:
        case DType::BF16:
            for (size_t i = 0; i < values.size(); ++i) {
                const uint16_t bits =
                    dtype == DType::F16 ? f16_from_f32(values[i]) : bf16_from_f32(values[i]);
                std::memcpy(row.data() + 2 * i, &bits, 2);
            }
            return;
        case DType::F8_E4M3:
            for (size_t i = 0; i < values.size(); ++i) {
                row[i] = static_cast<std::byte>(e4m3_from_f32(values[i]));
            }
            return;
        case DType::Q8_0:
            return pack_blocks<BlockQ8_0>(values, row.data());
        case DType::Q4_0:
            return pack_blocks<BlockQ4_0>(values, row.data());
        case DType::Q4_K:
            return pack_blocks<BlockQ4_K>(values, row.data());
        case DType::Q6_K:
            return pack_blocks<BlockQ6_K>(values, row.data());
        case DType::Q4_1:
            return pack_blocks<BlockQ4_1>(values, row.data());
        case DType::Q5_0:
            return pack_blocks<BlockQ5_0>(values, row.data());
        case DType::Q5_1:
            return pack_blocks<BlockQ5_1>(values, row.data());
        case DType::Q2_K:
            return pack_blocks<BlockQ2_K>(values, row.data());
        case DType::Q3_K:
            return pack_blocks<BlockQ3_K>(values, row.data());
        case DType::Q5_K:
            return pack_blocks<BlockQ5_K>(values, row.data());
        case DType::IQ4_NL:
            return pack_blocks<BlockIQ4_NL>(values, row.data());
        case DType::IQ4_XS:
            return pack_blocks<BlockIQ4_XS>(values, row.data());
        case DType::MXFP4:
            return pack_blocks<BlockMXFP4>(values, row.data());
        case DType::Q4_G128:
            return pack_blocks<BlockQ4_G128>(values, row.data());
    }
}

}  // namespace weir::tensor
