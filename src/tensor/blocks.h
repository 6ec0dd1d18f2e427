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

// Nibbles as in Q4_0: w = d * nibble + m
struct BlockQ4_1 {
    static constexpr uint32_t kElements = 32;
    uint16_t d;
    uint16_t m;
    uint8_t q[16];
};
static_assert(sizeof(BlockQ4_1) == 20 && alignof(BlockQ4_1) == 2);

// Nibbles as in Q4_0, and bit j of the little-endian number `high` is the fifth bit of element j:
// w = d * (five bits - 16)
struct BlockQ5_0 {
    static constexpr uint32_t kElements = 32;
    uint16_t d;
    uint8_t high[4];
    uint8_t q[16];
};
static_assert(sizeof(BlockQ5_0) == 22 && alignof(BlockQ5_0) == 2);

// The five bits of Q5_0: w = d * (five bits) + m
struct BlockQ5_1 {
    static constexpr uint32_t kElements = 32;
    uint16_t d;
    uint16_t m;
    uint8_t high[4];
    uint8_t q[16];
};
static_assert(sizeof(BlockQ5_1) == 24 && alignof(BlockQ5_1) == 2);

// The values that the nibbles of IQ4_NL and IQ4_XS stand for.
inline constexpr int8_t kIQ4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};

// Nibbles as in Q4_0: w = d * kIQ4Values[nibble]
struct BlockIQ4_NL {
    static constexpr uint32_t kElements = 32;
    uint16_t d;
    uint8_t q[16];
};
static_assert(sizeof(BlockIQ4_NL) == 18 && alignof(BlockIQ4_NL) == 2);

// Twice the 4-bit floats of MXFP4 (sign, two bits of exponent, one of fraction): whole numbers.
inline constexpr int8_t kMXFP4Doubled[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                                             0, -1, -2, -3, -4, -6, -8, -12};

// Nibbles as in Q4_0: w = 2^(exponent - 127) * (4-bit float) = 2^(exponent - 128) * doubled.
// Every exponent counts as a number, 255 too.
struct BlockMXFP4 {
    static constexpr uint32_t kElements = 32;
    uint8_t exponent;
    uint8_t q[16];
};
static_assert(sizeof(BlockMXFP4) == 17 && alignof(BlockMXFP4) == 1);

// Not of GGUF: what a GPTQ or AWQ file says of 128 columns of a row, put together. Sub-block s of
// 32 has its nibbles, as in Q4_0, in q[16s … 16s + 15]: w = d * (nibble - zero), zero <= 16.
struct BlockQ4_G128 {
    static constexpr uint32_t kElements = 128;
    uint16_t d;
    uint8_t zero;
    uint8_t unused;
    uint8_t q[64];
};
static_assert(sizeof(BlockQ4_G128) == 68 && alignof(BlockQ4_G128) == 2);

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

// As Q4_K, with a fifth bit: of element l of sub-block s it is bit s of high[l].
struct BlockQ5_K {
    static constexpr uint32_t kElements = 256;
    uint16_t d;
    uint16_t dmin;
    uint8_t scales[12];
    uint8_t high[32];
    uint8_t q[128];
};
static_assert(sizeof(BlockQ5_K) == 176 && alignof(BlockQ5_K) == 2);

// Sixteen sub-blocks of 16: w = d * (low nibble of scales[e / 16]) * (two bits) - dmin * (its high
// nibble). Element e has its bits in q[32 * (e / 128) + e % 32], at 2 * (e / 32 % 4).
struct BlockQ2_K {
    static constexpr uint32_t kElements = 256;
    uint8_t scales[16];
    uint8_t q[64];
    uint16_t d;
    uint16_t dmin;
};
static_assert(sizeof(BlockQ2_K) == 84 && alignof(BlockQ2_K) == 2);

// Sixteen sub-blocks of 16: w = d * scale[e / 16] * (three bits - 4). The low two bits lie as in
// Q2_K; the third of element e is bit e / 32 of high[e % 32]. unpack_scales_q3_k reads `scales`.
struct BlockQ3_K {
    static constexpr uint32_t kElements = 256;
    uint8_t high[32];
    uint8_t q[64];
    uint8_t scales[12];
    uint16_t d;
};
static_assert(sizeof(BlockQ3_K) == 110 && alignof(BlockQ3_K) == 2);

// Eight sub-blocks of 32, in order, 16 bytes each with the nibbles of Q4_0:
// w = d * (six bits - 32) * kIQ4Values[nibble]. The six bits of sub-block s: nibble s of
// `scales_low` (low first), and above them bits 2s and 2s + 1 of `scales_high`.
struct BlockIQ4_XS {
    static constexpr uint32_t kElements = 256;
    uint16_t d;
    uint16_t scales_high;
    uint8_t scales_low[4];
    uint8_t q[128];
};
static_assert(sizeof(BlockIQ4_XS) == 136 && alignof(BlockIQ4_XS) == 2);

// The eight 6-bit scales and minima of a Q4_K or Q5_K block, unpacked.
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

// The sixteen scales of a Q3_K block, -32 … 31.
struct ScalesQ3_K {
    int8_t scale[16];
};

constexpr ScalesQ3_K unpack_scales_q3_k(const uint8_t (&packed)[12]) {
    ScalesQ3_K out{};
    for (int k = 0; k < 16; ++k) {
        const int low = k < 8 ? packed[k] & 15 : packed[k - 8] >> 4;
        const int high = (packed[8 + k % 4] >> (2 * (k / 4))) & 3;
        out.scale[k] = static_cast<int8_t>((low | (high << 4)) - 32);
    }
    return out;
}

// Scale s of an IQ4_XS block, -32 … 31.
constexpr int scale_iq4_xs(const BlockIQ4_XS& block, int s) {
    const int low = (block.scales_low[s / 2] >> (4 * (s % 2))) & 15;
    const int high = (block.scales_high >> (2 * s)) & 3;
    return (low | (high << 4)) - 32;
}

}  // namespace weir::tensor
