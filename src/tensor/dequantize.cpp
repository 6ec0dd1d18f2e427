#include <cstdint>
#include <cstring>

#include "base/check.h"
#include "tensor/blocks.h"
#include "tensor/float16.h"
#include "tensor/quantize.h"

// What blocks.h says of each type, element by element. Each product is of two numbers that are
// exact, so that every element is rounded at most once per operation that its definition has.
namespace weir::tensor {

namespace {

// Element j of 32 in the order of Q4_0: low nibbles first.
int nibble(const uint8_t* q, size_t j) {
    return j < 16 ? q[j] & 15 : q[j - 16] >> 4;
}

int five_bits(const uint8_t (&high)[4], const uint8_t* q, size_t j) {
    return nibble(q, j) | (((high[j / 8] >> (j % 8)) & 1) << 4);
}

void unpack(const BlockQ8_0& block, float* out) {
    const float d = f32_from_f16(block.d);
    for (size_t j = 0; j < 32; ++j) {
        out[j] = d * static_cast<float>(block.q[j]);
    }
}

void unpack(const BlockQ4_0& block, float* out) {
    const float d = f32_from_f16(block.d);
    for (size_t j = 0; j < 32; ++j) {
        out[j] = d * static_cast<float>(nibble(block.q, j) - 8);
    }
}

void unpack(const BlockQ4_1& block, float* out) {
    const float d = f32_from_f16(block.d);
    const float m = f32_from_f16(block.m);
    for (size_t j = 0; j < 32; ++j) {
        out[j] = d * static_cast<float>(nibble(block.q, j)) + m;
    }
}

void unpack(const BlockQ5_0& block, float* out) {
    const float d = f32_from_f16(block.d);
    for (size_t j = 0; j < 32; ++j) {
        out[j] = d * static_cast<float>(five_bits(block.high, block.q, j) - 16);
    }
}

void unpack(const BlockQ5_1& block, float* out) {
    const float d = f32_from_f16(block.d);
    const float m = f32_from_f16(block.m);
    for (size_t j = 0; j < 32; ++j) {
        out[j] = d * static_cast<float>(five_bits(block.high, block.q, j)) + m;
    }
}

void unpack(const BlockIQ4_NL& block, float* out) {
    const float d = f32_from_f16(block.d);
    for (size_t j = 0; j < 32; ++j) {
        out[j] = d * static_cast<float>(kIQ4Values[nibble(block.q, j)]);
    }
}

void unpack(const BlockMXFP4& block, float* out) {
    const float half = half_of_e8m0(block.exponent);
    for (size_t j = 0; j < 32; ++j) {
        out[j] = half * static_cast<float>(kMXFP4Doubled[nibble(block.q, j)]);
    }
}

void unpack(const BlockQ4_G128& block, float* out) {
    const float d = f32_from_f16(block.d);
    for (size_t e = 0; e < 128; ++e) {
        out[e] = d * static_cast<float>(nibble(block.q + e / 32 * 16, e % 32) - block.zero);
    }
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

void unpack(const BlockQ5_K& block, float* out) {
    const float d = f32_from_f16(block.d);
    const float dmin = f32_from_f16(block.dmin);
    const ScalesQ4_K scales = unpack_scales_q4_k(block.scales);
    for (size_t s = 0; s < 8; ++s) {
        const float scale = d * static_cast<float>(scales.scale[s]);
        const float minimum = dmin * static_cast<float>(scales.minimum[s]);
        for (size_t l = 0; l < 32; ++l) {
            const uint8_t byte = block.q[32 * (s / 2) + l];
            const int low = s % 2 == 0 ? byte & 15 : byte >> 4;
            const int q = low | (((block.high[l] >> s) & 1) << 4);
            out[32 * s + l] = scale * static_cast<float>(q) - minimum;
        }
    }
}

void unpack(const BlockQ6_K& block, float* out) {
    const float d = f32_from_f16(block.d);
    for (size_t e = 0; e < 256; ++e) {
        const size_t half = e / 128;
        const size_t quarter = e % 128 / 32;
        const size_t l = e % 32;
        const int low = (block.ql[64 * half + 32 * (quarter % 2) + l] >> (4 * (quarter / 2))) & 15;
        const int high = (block.qh[32 * half + l] >> (2 * quarter)) & 3;
        out[e] = d * static_cast<float>(block.scales[e / 16]) *
                 static_cast<float>((low | (high << 4)) - 32);
    }
}

int two_bits(const uint8_t (&q)[64], size_t e) {
    return (q[32 * (e / 128) + e % 32] >> (2 * (e / 32 % 4))) & 3;
}

void unpack(const BlockQ2_K& block, float* out) {
    const float d = f32_from_f16(block.d);
    const float dmin = f32_from_f16(block.dmin);
    for (size_t e = 0; e < 256; ++e) {
        const uint8_t both = block.scales[e / 16];
        const float scale = d * static_cast<float>(both & 15);
        const float minimum = dmin * static_cast<float>(both >> 4);
        out[e] = scale * static_cast<float>(two_bits(block.q, e)) - minimum;
    }
}

void unpack(const BlockQ3_K& block, float* out) {
    const float d = f32_from_f16(block.d);
    const ScalesQ3_K scales = unpack_scales_q3_k(block.scales);
    for (size_t e = 0; e < 256; ++e) {
        const int high = (block.high[e % 32] >> (e / 32)) & 1;
        out[e] = d * static_cast<float>(scales.scale[e / 16]) *
                 static_cast<float>((two_bits(block.q, e) | (high << 2)) - 4);
    }
}

void unpack(const BlockIQ4_XS& block, float* out) {
    const float d = f32_from_f16(block.d);
    for (size_t e = 0; e < 256; ++e) {
        const int q = nibble(block.q + e / 32 * 16, e % 32);
        out[e] = d * static_cast<float>(scale_iq4_xs(block, static_cast<int>(e / 32))) *
                 static_cast<float>(kIQ4Values[q]);
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
        case DType::F8_E4M3:
            for (size_t i = 0; i < out.size(); ++i) {
                out[i] = f32_from_e4m3(static_cast<uint8_t>(row[i]));
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
        case DType::Q4_1:
            return unpack_blocks<BlockQ4_1>(row, out);
        case DType::Q5_0:
            return unpack_blocks<BlockQ5_0>(row, out);
        case DType::Q5_1:
            return unpack_blocks<BlockQ5_1>(row, out);
        case DType::Q2_K:
            return unpack_blocks<BlockQ2_K>(row, out);
        case DType::Q3_K:
            return unpack_blocks<BlockQ3_K>(row, out);
        case DType::Q5_K:
            return unpack_blocks<BlockQ5_K>(row, out);
        case DType::IQ4_NL:
            return unpack_blocks<BlockIQ4_NL>(row, out);
        case DType::IQ4_XS:
            return unpack_blocks<BlockIQ4_XS>(row, out);
        case DType::MXFP4:
            return unpack_blocks<BlockMXFP4>(row, out);
        case DType::Q4_G128:
            return unpack_blocks<BlockQ4_G128>(row, out);
    }
}

void dequantize_row(const MatrixView& matrix, size_t row, std::span<float> out) {
    WEIR_ASSERT(row < matrix.rows && out.size() == matrix.columns);
    dequantize_row(matrix.dtype, matrix.row(row), out);
    if (matrix.scales.data != nullptr) {
        for (size_t i = 0; i < out.size(); ++i) {
            out[i] *= matrix.scales.at(row, i);
        }
    }
}

}  // namespace weir::tensor
