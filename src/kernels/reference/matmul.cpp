#include <cmath>
#include <cstring>

#include "kernels/reference/rows.h"
#include "tensor/blocks.h"
#include "tensor/float16.h"

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

template <typename Load>
void matmul_float(const MatmulPart& part, const Load& load) {
    const size_t columns = part.x->columns;
    for_each_output(part, [&](const uint8_t* weight, size_t r) {
        const float* x = part.x->values + r * columns;
        float lanes[16] = {};
        for (size_t i = 0; i < (columns + 15) / 16 * 16; ++i) {
            const float w = i < columns ? load(weight, i) : 0.0f;
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

// The blocks of 32 differ only in how element j of a block is read.
template <typename Block, typename Read>
void matmul_blocks_of_32(const MatmulPart& part, const Read& read) {
    const size_t blocks = part.x->columns / 32;
    for_each_output(part, [&](const uint8_t* weight, size_t r) {
        float sum = 0.0f;
        for (size_t b = 0; b < blocks; ++b) {
            const Block block = block_at<Block>(weight, b);
            const int8_t* a = part.x->q8.values + (r * blocks + b) * 32;
            int32_t products = 0;
            for (size_t j = 0; j < 32; ++j) {
                products += read(block, j) * a[j];
            }
            const float scale = tensor::f32_from_f16(block.d) * part.x->q8.scales[r * blocks + b];
            sum = std::fma(static_cast<float>(products), scale, sum);
        }
        return sum;
    });
}

}  // namespace

void matmul_f32(const MatmulPart& part) {
    matmul_float(part, [](const uint8_t* row, size_t i) {
        float value = 0;
        std::memcpy(&value, row + 4 * i, 4);
        return value;
    });
}

void matmul_f16(const MatmulPart& part) {
    matmul_float(
        part, [](const uint8_t* row, size_t i) { return tensor::f32_from_f16(load_u16(row, i)); });
}

void matmul_bf16(const MatmulPart& part) {
    matmul_float(
        part, [](const uint8_t* row, size_t i) { return tensor::f32_from_bf16(load_u16(row, i)); });
}

void matmul_q8_0(const MatmulPart& part) {
    matmul_blocks_of_32<tensor::BlockQ8_0>(
        part, [](const tensor::BlockQ8_0& block, size_t j) { return int32_t{block.q[j]}; });
}

void matmul_q4_0(const MatmulPart& part) {
    matmul_blocks_of_32<tensor::BlockQ4_0>(part, [](const tensor::BlockQ4_0& block, size_t j) {
        return int32_t{j < 16 ? block.q[j] & 15 : block.q[j - 16] >> 4} - 8;
    });
}

void matmul_q4_k(const MatmulPart& part) {
    const size_t blocks = part.x->columns / 256;
    for_each_output(part, [&](const uint8_t* weight, size_t r) {
        float sum = 0.0f;
        for (size_t b = 0; b < blocks; ++b) {
            const auto block = block_at<tensor::BlockQ4_K>(weight, b);
            const tensor::ScalesQ4_K scales = tensor::unpack_scales_q4_k(block.scales);
            const int8_t* a = part.x->q8k.values + (r * blocks + b) * 256;
            const int16_t* sums = part.x->q8k.sums32 + (r * blocks + b) * 8;
            int32_t products[2] = {};
            int32_t minima = 0;
            for (size_t s = 0; s < 8; ++s) {
                int32_t part_sum = 0;
                for (size_t l = 0; l < 32; ++l) {
                    const uint8_t byte = block.q[32 * (s / 2) + l];
                    part_sum += (s % 2 == 0 ? byte & 15 : byte >> 4) * a[32 * s + l];
                }
                products[s / 4] += scales.scale[s] * part_sum;
                minima += scales.minimum[s] * sums[s];
            }
            const float da = part.x->q8k.scales[r * blocks + b];
            const float scale = tensor::f32_from_f16(block.d) * da;
            sum = std::fma(static_cast<float>(products[0]), scale, sum);
            sum = std::fma(static_cast<float>(products[1]), scale, sum);
            sum = std::fma(static_cast<float>(-minima), tensor::f32_from_f16(block.dmin) * da, sum);
        }
        return sum;
    });
}

void matmul_q6_k(const MatmulPart& part) {
    const size_t blocks = part.x->columns / 256;
    for_each_output(part, [&](const uint8_t* weight, size_t r) {
        float sum = 0.0f;
        for (size_t b = 0; b < blocks; ++b) {
            const auto block = block_at<tensor::BlockQ6_K>(weight, b);
            const int8_t* a = part.x->q8k.values + (r * blocks + b) * 256;
            int32_t products = 0;
            for (size_t e = 0; e < 256; ++e) {
                const size_t half = e / 128;
                const size_t quarter = e % 128 / 32;
                const size_t l = e % 32;
                const int low =
                    (block.ql[64 * half + 32 * (quarter % 2) + l] >> (4 * (quarter / 2))) & 15;
                const int high = (block.qh[32 * half + l] >> (2 * quarter)) & 3;
                products += block.scales[e / 16] * ((low | (high << 4)) - 32) * a[e];
            }
            const float scale = tensor::f32_from_f16(block.d) * part.x->q8k.scales[r * blocks + b];
            sum = std::fma(static_cast<float>(products), scale, sum);
        }
        return sum;
    });
}

}  // namespace weir::kernels::reference
