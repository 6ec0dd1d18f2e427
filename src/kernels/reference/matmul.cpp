#include <cmath>
#include <cstring>

#include "kernels/reference/rows.h"
#include "tensor/blocks.h"
#include "tensor/float16.h"
#include "tensor/matrix_view.h"

// The order of sums of every product (matmul.h), one element at a time.
namespace weir::kernels::reference {

namespace {

template <typename Element>
void for_each_output(const MatmulPart& part, const Element& element) {
    for (size_t r = 0; r < part.x->rows; ++r) {
        for (size_t o = part.begin; o < part.end; ++o) {
            part.out[r * part.out_stride + o] = element(part.weight + o * part.weight_stride, r);
        }
    }
}

template <typename Block>
Block block_at(const uint8_t* row, size_t index) {
    Block block;
    std::memcpy(&block, row + index * sizeof(Block), sizeof(Block));
    return block;
}

// load(row of the weight as bytes, its number, column)
template <typename Load>
void matmul_float(const MatmulPart& part, const Load& load) {
    const size_t columns = part.x->columns;
    for_each_output(part, [&](const uint8_t* weight, size_t r) {
        const size_t o = static_cast<size_t>(weight - part.weight) / part.weight_stride;
        const float* x = part.x->values + r * columns;
        float lanes[16] = {};
        for (size_t i = 0; i < (columns + 15) / 16 * 16; ++i) {
            const float w = i < columns ? load(weight, o, i) : 0.0f;
            lanes[i % 16] = std::fma(w, i < columns ? x[i] : 0.0f, lanes[i % 16]);
        }
        return fold(lanes);
    });
}

uint16_t load_u16(const uint8_t* row, size_t index) {
    uint16_t bits = 0;
    std::memcpy(&bits, row + 2 * index, 2);
    return bits;
}

// What types with activations in blocks of 32 differ in: read(block, e) is the whole number of
// element e, scale_of(block) what it is multiplied with, and, where there is one, block.m what is
// added to every element.
template <typename Block, typename Read, typename Scale>
void matmul_blocks_of_32(const MatmulPart& part, const Read& read, const Scale& scale_of) {
    const size_t blocks = part.x->columns / 32;
    for_each_output(part, [&](const uint8_t* weight, size_t r) {
        float sum = 0.0f;
        for (size_t b = 0; b < blocks; ++b) {
            const Block block = block_at<Block>(weight, b);
            const int8_t* a = part.x->q8.values + (r * blocks + b) * 32;
            const float da = part.x->q8.scales[r * blocks + b];
            int32_t products = 0;
            int32_t a_sum = 0;
            for (size_t j = 0; j < 32; ++j) {
                products += read(block, j) * a[j];
                a_sum += a[j];
            }
            sum = std::fma(static_cast<float>(products), scale_of(block) * da, sum);
            if constexpr (requires { block.m; }) {
                sum = std::fma(static_cast<float>(a_sum), tensor::f32_from_f16(block.m) * da, sum);
            }
        }
        return sum;
    });
}

template <typename Block, typename Read>
void matmul_blocks_of_32(const MatmulPart& part, const Read& read) {
    matmul_blocks_of_32<Block>(part, read,
                               [](const Block& block) { return tensor::f32_from_f16(block.d); });
}

// Element j of 32, low nibbles first.
int32_t nibble(const uint8_t* q, size_t j) {
    return j < 16 ? q[j] & 15 : q[j - 16] >> 4;
}

template <typename Block>
int32_t five_bits(const Block& block, size_t j) {
    return nibble(block.q, j) | (((block.high[j / 8] >> (j % 8)) & 1) << 4);
}

// What Q6_K, Q3_K, Q2_K and IQ4_XS have alike: one integer a block, and of Q2_K a second for the
// minima. term(block, e) is scale * q of element e.
template <typename Block, typename Term>
void matmul_blocks_of_256(const MatmulPart& part, const Term& term) {
    const size_t blocks = part.x->columns / 256;
    for_each_output(part, [&](const uint8_t* weight, size_t r) {
        float sum = 0.0f;
        for (size_t b = 0; b < blocks; ++b) {
            const Block block = block_at<Block>(weight, b);
            const int8_t* a = part.x->q8k.values + (r * blocks + b) * 256;
            const float da = part.x->q8k.scales[r * blocks + b];
            int32_t products = 0;
            for (size_t e = 0; e < 256; ++e) {
                products += term(block, e) * a[e];
            }
            sum = std::fma(static_cast<float>(products), tensor::f32_from_f16(block.d) * da, sum);
            if constexpr (requires { block.dmin; }) {
                int32_t minima = 0;
                for (size_t e = 0; e < 256; ++e) {
                    minima += (block.scales[e / 16] >> 4) * a[e];
                }
                sum = std::fma(static_cast<float>(-minima), tensor::f32_from_f16(block.dmin) * da,
                               sum);
            }
        }
        return sum;
    });
}

// Q4_K and Q5_K: kSums integers a block, each of as many sub-blocks, and one for the minima.
// read(block, s, l) is element l of sub-block s.
template <typename Block, size_t kSums, typename Read>
void matmul_affine(const MatmulPart& part, const Read& read) {
    const size_t blocks = part.x->columns / 256;
    for_each_output(part, [&](const uint8_t* weight, size_t r) {
        float sum = 0.0f;
        for (size_t b = 0; b < blocks; ++b) {
            const auto block = block_at<Block>(weight, b);
            const tensor::ScalesQ4_K scales = tensor::unpack_scales_q4_k(block.scales);
            const int8_t* a = part.x->q8k.values + (r * blocks + b) * 256;
            const int16_t* sums = part.x->q8k.sums32 + (r * blocks + b) * 8;
            int32_t products[kSums] = {};
            int32_t minima = 0;
            for (size_t s = 0; s < 8; ++s) {
                int32_t part_sum = 0;
                for (size_t l = 0; l < 32; ++l) {
                    part_sum += read(block, s, l) * a[32 * s + l];
                }
                products[s / (8 / kSums)] += scales.scale[s] * part_sum;
                minima += scales.minimum[s] * sums[s];
            }
            const float da = part.x->q8k.scales[r * blocks + b];
            const float scale = tensor::f32_from_f16(block.d) * da;
            for (const int32_t product : products) {
                sum = std::fma(static_cast<float>(product), scale, sum);
            }
            sum = std::fma(static_cast<float>(-minima), tensor::f32_from_f16(block.dmin) * da, sum);
        }
        return sum;
    });
}

int32_t nibble_of_sub_block(const uint8_t (&q)[128], size_t s, size_t l) {
    const uint8_t byte = q[32 * (s / 2) + l];
    return s % 2 == 0 ? byte & 15 : byte >> 4;
}

int32_t two_bits(const uint8_t (&q)[64], size_t e) {
    return (q[32 * (e / 128) + e % 32] >> (2 * (e / 32 % 4))) & 3;
}

}  // namespace

void matmul_f32(const MatmulPart& part) {
    matmul_float(part, [](const uint8_t* row, size_t, size_t i) {
        float value = 0;
        std::memcpy(&value, row + 4 * i, 4);
        return value;
    });
}

void matmul_f16(const MatmulPart& part) {
    matmul_float(part, [](const uint8_t* row, size_t, size_t i) {
        return tensor::f32_from_f16(load_u16(row, i));
    });
}

void matmul_bf16(const MatmulPart& part) {
    matmul_float(part, [](const uint8_t* row, size_t, size_t i) {
        return tensor::f32_from_bf16(load_u16(row, i));
    });
}

void matmul_f8_e4m3(const MatmulPart& part) {
    const tensor::TileScales scales{part.scales, part.scales_stride, part.scales_first_row};
    matmul_float(part, [&](const uint8_t* row, size_t o, size_t i) {
        return tensor::f32_from_e4m3(row[i]) * scales.at(o, i);
    });
}

void matmul_q8_0(const MatmulPart& part) {
    matmul_blocks_of_32<tensor::BlockQ8_0>(
        part, [](const tensor::BlockQ8_0& block, size_t j) { return int32_t{block.q[j]}; });
}

void matmul_q4_0(const MatmulPart& part) {
    matmul_blocks_of_32<tensor::BlockQ4_0>(
        part, [](const auto& block, size_t j) { return nibble(block.q, j) - 8; });
}

void matmul_q4_1(const MatmulPart& part) {
    matmul_blocks_of_32<tensor::BlockQ4_1>(
        part, [](const auto& block, size_t j) { return nibble(block.q, j); });
}

void matmul_q5_0(const MatmulPart& part) {
    matmul_blocks_of_32<tensor::BlockQ5_0>(
        part, [](const auto& block, size_t j) { return five_bits(block, j) - 16; });
}

void matmul_q5_1(const MatmulPart& part) {
    matmul_blocks_of_32<tensor::BlockQ5_1>(
        part, [](const auto& block, size_t j) { return five_bits(block, j); });
}

void matmul_iq4_nl(const MatmulPart& part) {
    matmul_blocks_of_32<tensor::BlockIQ4_NL>(part, [](const auto& block, size_t j) {
        return int32_t{tensor::kIQ4Values[nibble(block.q, j)]};
    });
}

void matmul_mxfp4(const MatmulPart& part) {
    matmul_blocks_of_32<tensor::BlockMXFP4>(
        part,
        [](const auto& block, size_t j) {
            return int32_t{tensor::kMXFP4Doubled[nibble(block.q, j)]};
        },
        [](const auto& block) { return tensor::half_of_e8m0(block.exponent); });
}

void matmul_q4_g128(const MatmulPart& part) {
    matmul_float(part, [](const uint8_t* row, size_t, size_t i) {
        const auto block = block_at<tensor::BlockQ4_G128>(row, i / 128);
        const size_t e = i % 128;
        return tensor::f32_from_f16(block.d) *
               static_cast<float>(nibble(block.q + e / 32 * 16, e % 32) - block.zero);
    });
}

void matmul_q4_k(const MatmulPart& part) {
    matmul_affine<tensor::BlockQ4_K, 2>(part, [](const auto& block, size_t s, size_t l) {
        return nibble_of_sub_block(block.q, s, l);
    });
}

void matmul_q5_k(const MatmulPart& part) {
    matmul_affine<tensor::BlockQ5_K, 4>(part, [](const auto& block, size_t s, size_t l) {
        return nibble_of_sub_block(block.q, s, l) | (((block.high[l] >> s) & 1) << 4);
    });
}

void matmul_q6_k(const MatmulPart& part) {
    matmul_blocks_of_256<tensor::BlockQ6_K>(part, [](const auto& block, size_t e) {
        const size_t half = e / 128;
        const size_t quarter = e % 128 / 32;
        const size_t l = e % 32;
        const int low = (block.ql[64 * half + 32 * (quarter % 2) + l] >> (4 * (quarter / 2))) & 15;
        const int high = (block.qh[32 * half + l] >> (2 * quarter)) & 3;
        return block.scales[e / 16] * ((low | (high << 4)) - 32);
    });
}

void matmul_q3_k(const MatmulPart& part) {
    matmul_blocks_of_256<tensor::BlockQ3_K>(part, [](const auto& block, size_t e) {
        const int high = (block.high[e % 32] >> (e / 32)) & 1;
        return tensor::unpack_scales_q3_k(block.scales).scale[e / 16] *
               ((two_bits(block.q, e) | (high << 2)) - 4);
    });
}

void matmul_q2_k(const MatmulPart& part) {
    matmul_blocks_of_256<tensor::BlockQ2_K>(part, [](const auto& block, size_t e) {
        return (block.scales[e / 16] & 15) * two_bits(block.q, e);
    });
}

void matmul_iq4_xs(const MatmulPart& part) {
    matmul_blocks_of_256<tensor::BlockIQ4_XS>(part, [](const auto& block, size_t e) {
        return tensor::scale_iq4_xs(block, static_cast<int>(e / 32)) *
               tensor::kIQ4Values[nibble(block.q + e / 32 * 16, e % 32)];
    });
}

}  // namespace weir::kernels::reference
