#include "tensor/quantize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/check.h"
#include "tensor/blocks.h"
#include "tensor/float16.h"

namespace weir::tensor {

namespace {

float inverse(float value) {
    return value == 0.0f ? 0.0f : 1.0f / value;
}

int rounded(float value, int low, int high) {
    return static_cast<int>(
        std::clamp(std::nearbyint(value), static_cast<float>(low), static_cast<float>(high)));
}

// The element of largest magnitude, with its sign.
float extreme(std::span<const float> values) {
    float found = 0.0f;
    for (const float value : values) {
        if (std::fabs(value) > std::fabs(found)) {
            found = value;
        }
    }
    return found;
}

BlockQ8_0 pack(std::span<const float, 32> x, BlockQ8_0*) {
    BlockQ8_0 block{};
    block.d = f16_from_f32(std::fabs(extreme(x)) / 127.0f);
    const float steps = inverse(f32_from_f16(block.d));
    for (size_t j = 0; j < 32; ++j) {
        block.q[j] = static_cast<int8_t>(rounded(x[j] * steps, -127, 127));
    }
    return block;
}

void unpack(const BlockQ8_0& block, float* out) {
    const float d = f32_from_f16(block.d);
    for (size_t j = 0; j < 32; ++j) {
        out[j] = d * static_cast<float>(block.q[j]);
    }
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

void unpack(const BlockQ4_0& block, float* out) {
    const float d = f32_from_f16(block.d);
    for (size_t j = 0; j < 16; ++j) {
        out[j] = d * static_cast<float>((block.q[j] & 15) - 8);
        out[j + 16] = d * static_cast<float>((block.q[j] >> 4) - 8);
    }
}

void pack_scales_q4_k(const std::array<int, 8>& scale, const std::array<int, 8>& minimum,
                      uint8_t (&packed)[12]) {
    for (size_t j = 0; j < 4; ++j) {
        packed[j] = static_cast<uint8_t>(scale[j] | ((scale[j + 4] >> 4) << 6));
        packed[j + 4] = static_cast<uint8_t>(minimum[j] | ((minimum[j + 4] >> 4) << 6));
        packed[j + 8] = static_cast<uint8_t>((scale[j + 4] & 15) | ((minimum[j + 4] & 15) << 4));
    }
}

BlockQ4_K pack(std::span<const float, 256> x, BlockQ4_K*) {
    std::array<float, 8> step{};
    std::array<float, 8> below{};  // how far under zero the sub-block reaches
    for (size_t s = 0; s < 8; ++s) {
        const auto part = x.subspan(32 * s, 32);
        const auto [low, high] = std::minmax_element(part.begin(), part.end());
        below[s] = std::max(0.0f, -*low);
        step[s] = (std::max(*high, -below[s]) + below[s]) / 15.0f;
    }
    BlockQ4_K block{};
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
            const int q = rounded((x[32 * s + l] + offset) * steps, 0, 15);
            block.q[32 * (s / 2) + l] |= static_cast<uint8_t>(s % 2 == 0 ? q : q << 4);
        }
    }
    pack_scales_q4_k(scale, minimum, block.scales);
    return block;
}

void unpack(const BlockQ4_K& block, float* out) {
    const float d = f32_from_f16(block.d);
    const float dmin = f32_from_f16(block.dmin);
    const ScalesQ4_K scales = unpack_scales_q4_k(block.scales);
    for (size_t s = 0; s < 8; ++s) {
        const float scale = d * static_cast<float>(scales.scale[s]);
        const float minimum = dmin * static_cast<float>(scales.minimum[s]);
        for (size_t l = 0; l < 32; ++l) {
            const uint8_t byte = block.q[32 * (s / 2) + l];
            const int q = s % 2 == 0 ? byte & 15 : byte >> 4;
            out[32 * s + l] = scale * static_cast<float>(q) - minimum;
        }
    }
}

// Where the bits of element e lie in a Q6_K block.
struct PlaceQ6_K {
    size_t low_byte, low_shift, high_byte, high_shift;
};

constexpr PlaceQ6_K place_q6_k(size_t e) {
    const size_t half = e / 128;
    const size_t quarter = (e % 128) / 32;
    const size_t l = e % 32;
    return {64 * half + 32 * (quarter % 2) + l, 4 * (quarter / 2), 32 * half + l, 2 * quarter};
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
            const int q = rounded(x[e] * steps, -32, 31) + 32;
            const PlaceQ6_K place = place_q6_k(e);
            block.ql[place.low_byte] |= static_cast<uint8_t>((q & 15) << place.low_shift);
            block.qh[place.high_byte] |= static_cast<uint8_t>((q >> 4) << place.high_shift);
        }
    }
    return block;
}

void unpack(const BlockQ6_K& block, float* out) {
    const float d = f32_from_f16(block.d);
    for (size_t e = 0; e < 256; ++e) {
        const PlaceQ6_K place = place_q6_k(e);
        const int low = (block.ql[place.low_byte] >> place.low_shift) & 15;
        const int high = (block.qh[place.high_byte] >> place.high_shift) & 3;
        out[e] = d * static_cast<float>(block.scales[e / 16]) *
                 static_cast<float>((low | (high << 4)) - 32);
    }
}

template <typename Block>
void pack_blocks(std::span<const float> values, std::byte* row) {
    for (size_t i = 0; i < values.size() / Block::kElements; ++i) {
        const auto part = values.subspan(i * Block::kElements).template first<Block::kElements>();
        const Block block = pack(part, static_cast<Block*>(nullptr));
        std::memcpy(row + i * sizeof(Block), &block, sizeof(Block));
    }
}

template <typename Block>
void unpack_blocks(const std::byte* row, std::span<float> out) {
    for (size_t i = 0; i < out.size() / Block::kElements; ++i) {
        Block block;
        std::memcpy(&block, row + i * sizeof(Block), sizeof(Block));
        unpack(block, out.data() + i * Block::kElements);
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
        case DType::Q8_0:
            return pack_blocks<BlockQ8_0>(values, row.data());
        case DType::Q4_0:
            return pack_blocks<BlockQ4_0>(values, row.data());
        case DType::Q4_K:
            return pack_blocks<BlockQ4_K>(values, row.data());
        case DType::Q6_K:
            return pack_blocks<BlockQ6_K>(values, row.data());
    }
}

void dequantize_row(DType dtype, const std::byte* row, std::span<float> out) {
    WEIR_ASSERT(out.size() % info(dtype).block_elements == 0);
    switch (dtype) {
        case DType::F32:
            std::memcpy(out.data(), row, out.size() * sizeof(float));
            return;
        case DType::F16:
        case DType::BF16:
            for (size_t i = 0; i < out.size(); ++i) {
                uint16_t bits = 0;
                std::memcpy(&bits, row + 2 * i, 2);
                out[i] = dtype == DType::F16 ? f32_from_f16(bits) : f32_from_bf16(bits);
            }
            return;
        case DType::Q8_0:
            return unpack_blocks<BlockQ8_0>(row, out);
        case DType::Q4_0:
            return unpack_blocks<BlockQ4_0>(row, out);
        case DType::Q4_K:
            return unpack_blocks<BlockQ4_K>(row, out);
        case DType::Q6_K:
            return unpack_blocks<BlockQ6_K>(row, out);
    }
}

}  // namespace weir::tensor
