#pragma once

#include <cstdint>

// The quantized blocks as they lie in a GGUF file (little-endian, no padding). `d` and `dmin` are
// float16 bit patterns. What each element means stands beside its struct; w is the weight.
namespace weir::tensor {

// w[j] = d * q[j]
struct BlockQ8_0 {
    static constexpr uint32_t kElements = 32;
    uint16_t d;
    int8_t q[32];
};
static_assert(sizeof(BlockQ8_0) == 34 && alignof(BlockQ8_0) == 2);

// w[j] = d * (low nibble of q[j] - 8), w[j + 16] = d * (high nibble of q[j] - 8), j < 16
struct BlockQ4_0 {
    static constexpr uint32_t kElements = 32;
    uint16_t d;
    uint8_t q[16];
};
static_assert(sizeof(BlockQ4_0) == 18 && alignof(BlockQ4_0) == 2);

// Eight sub-blocks of 32: w = d * scale[s] * nibble - dmin * minimum[s]. Sub-blocks 2g and 2g + 1
// are the low and the high nibbles of bytes [32g, 32g + 32). unpack_scales_q4_k reads `scales`.
struct BlockQ4_K {
    static constexpr uint32_t kElements = 256;
    uint16_t d;
    uint16_t dmin;
    uint8_t scales[12];
    uint8_t q[128];
};
static_assert(sizeof(BlockQ4_K) == 144 && alignof(BlockQ4_K) == 2);

// Sixteen sub-blocks of 16: w = d * scales[e / 16] * (six bits - 32). In each half of 128 elements,
// with l < 32: elements l, l + 32, l + 64, l + 96 have their low four bits in ql[l] low,
// ql[l + 32] low, ql[l] high, ql[l + 32] high, and their high two in bits 0, 2, 4, 6 of qh[l].
struct BlockQ6_K {
    static constexpr uint32_t kElements = 256;
    uint8_t ql[128];
    uint8_t qh[64];
    int8_t scales[16];
    uint16_t d;
};
static_assert(sizeof(BlockQ6_K) == 210 && alignof(BlockQ6_K) == 2);

// The eight 6-bit scales and minima of a Q4_K block, unpacked.
struct ScalesQ4_K {
    uint8_t scale[8];
    uint8_t minimum[8];
};

constexpr ScalesQ4_K unpack_scales_q4_k(const uint8_t (&packed)[12]) {
    ScalesQ4_K out{};
    for (int j = 0; j < 4; ++j) {
        out.scale[j] = packed[j] & 63;
        out.minimum[j] = packed[j + 4] & 63;
        out.scale[j + 4] = static_cast<uint8_t>((packed[j + 8] & 15) | ((packed[j] >> 6) << 4));
        out.minimum[j + 4] =
            static_cast<uint8_t>((packed[j + 8] >> 4) | ((packed[j + 4] >> 6) << 4));
    }
    return out;
}

}  // namespace weir::tensor
