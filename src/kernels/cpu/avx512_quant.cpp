#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/avx512.h"
#include "kernels/kernel_table.h"
#include "tensor/blocks.h"

// Products with quantized weights by VNNI: vpdpbusd adds four products of an unsigned byte (weight)
// and a signed byte (activation) to each 32-bit lane, exactly. A register holds four columns of
// sixteen rows, so a lane is a row and nothing is ever summed across lanes.
//
// A tile is two such registers of rows by up to six columns of activations: twelve independent
// chains hide the latency of vpdpbusd, and each broadcast activation, a load, serves two products,
// so that the two multiplying ports are the limit and not the two loading ones. (One register by
// sixteen columns has the same ratio of products to other work, and runs at two thirds the speed.)
//
// Over 500 lines because all four types of blocks feed one tile (dot_tile): each adds only its
// unpacking, and what is inlined into the tile has to stand in its file.
//
// Signed weights are made unsigned by an offset (128, 8, 32); what that adds to a sum is the offset
// times the sum of the block's activations, which is subtracted as an integer.
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")

#include "kernels/cpu/quant.inc.h"

namespace weir::kernels::avx512 {

namespace {

constexpr size_t kLanes = 16;  // rows in a register
constexpr size_t kHalves = 2;  // registers of rows
constexpr size_t kRows = kHalves * kLanes;
using Rows = GroupRows<kRows>;
using HalfRows = const uint8_t* const*;  // sixteen of them

inline __m512i broadcast_four(const void* p) {
    int32_t bytes;
    __builtin_memcpy(&bytes, p, sizeof(bytes));
    return _mm512_set1_epi32(bytes);
}

// The rows of half `half` that are there, as a mask.
inline __mmask16 rows_mask(const GroupSums& sums, size_t half) {
    const size_t before = half * kLanes;
    const size_t count = sums.count <= before ? 0 : smaller(sums.count - before, kLanes);
    return static_cast<__mmask16>((1u << count) - 1u);
}

inline __m512 load_sums(const GroupSums& sums, size_t half, size_t column) {
    return sums.begins ? _mm512_setzero_ps()
                       : _mm512_maskz_loadu_ps(rows_mask(sums, half),
                                               sums.out + column * sums.stride + half * kLanes);
}

inline void store_sums(const GroupSums& sums, size_t half, size_t column, __m512 value) {
    _mm512_mask_storeu_ps(sums.out + column * sums.stride + half * kLanes, rows_mask(sums, half),
                          value);
}

// In each 128-bit lane, a 4 x 4 transposition of dwords: out[j] holds dword j of in[0 … 3].
inline void transpose_lanes(const __m512i (&in)[4], __m512i (&out)[4]) {
    const __m512i a = _mm512_unpacklo_epi32(in[0], in[1]);
    const __m512i b = _mm512_unpackhi_epi32(in[0], in[1]);
    const __m512i c = _mm512_unpacklo_epi32(in[2], in[3]);
    const __m512i d = _mm512_unpackhi_epi32(in[2], in[3]);
    out[0] = _mm512_unpacklo_epi64(a, c);
    out[1] = _mm512_unpackhi_epi64(a, c);
    out[2] = _mm512_unpacklo_epi64(b, d);
    out[3] = _mm512_unpackhi_epi64(b, d);
}

inline __m128i load_xmm(const uint8_t* p) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}
inline __m256i load_ymm(const uint8_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

// Sixteen bytes of each of sixteen rows: out[j] holds dword j of every row, in order of rows.
inline void load_16x16(HalfRows rows, size_t offset, __m512i (&out)[4]) {
    __m512i in[4];
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; ++i) {
        __m512i x = _mm512_castsi128_si512(load_xmm(rows[i] + offset));
        x = _mm512_inserti32x4(x, load_xmm(rows[i + 4] + offset), 1);
        x = _mm512_inserti32x4(x, load_xmm(rows[i + 8] + offset), 2);
        in[i] = _mm512_inserti32x4(x, load_xmm(rows[i + 12] + offset), 3);
    }
    transpose_lanes(in, out);
}

// Thirty-two bytes of each of sixteen rows, likewise.
inline void load_16x32(HalfRows rows, size_t offset, __m512i (&out)[8]) {
    __m512i halves[2][4];
#pragma GCC unroll 2
    for (size_t h = 0; h < 2; ++h) {
        __m512i in[4];
#pragma GCC unroll 4
        for (size_t i = 0; i < 4; ++i) {
            in[i] = _mm512_inserti64x4(_mm512_castsi256_si512(load_ymm(rows[8 * h + i] + offset)),
                                       load_ymm(rows[8 * h + i + 4] + offset), 1);
        }
        transpose_lanes(in, halves[h]);
    }
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; ++j) {
        out[j] = _mm512_shuffle_i32x4(halves[0][j], halves[1][j], 0b10'00'10'00);
        out[j + 4] = _mm512_shuffle_i32x4(halves[0][j], halves[1][j], 0b11'01'11'01);
    }
}

// The float16 in the low half of each dword, widened.
inline __m512 widen_low_halves(__m512i dwords) {
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(dwords));
}

// The dword at `offset` of each row.
inline __m512i gather_dwords(HalfRows rows, size_t offset) {
    const __m512i at = _mm512_set1_epi64(static_cast<long long>(offset));
    const __m512i low = _mm512_add_epi64(_mm512_loadu_si512(rows), at);
    const __m512i high = _mm512_add_epi64(_mm512_loadu_si512(rows + 8), at);
    return _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_i64gather_epi32(low, nullptr, 1)),
                              _mm512_i64gather_epi32(high, nullptr, 1), 1);
}

// The tile's dot products of 4 * kFours columns, added to `dots`. weights[half][j] holds columns
// 4j … 4j + 3; the activations of tile column c start at a + c * stride.
template <size_t kFours, size_t kColumns>
inline void dot_tile(const __m512i* const (&weights)[kHalves], const int8_t* a, size_t stride,
                     __m512i (&dots)[kHalves][kColumns]) {
#pragma GCC unroll 8
    for (size_t j = 0; j < kFours; ++j) {
        const __m512i w0 = weights[0][j];
        const __m512i w1 = weights[1][j];
#pragma GCC unroll 8
        for (size_t c = 0; c < kColumns; ++c) {
            const __m512i four = broadcast_four(a + c * stride + 4 * j);
            dots[0][c] = _mm512_dpbusd_epi32(dots[0][c], w0, four);
            dots[1][c] = _mm512_dpbusd_epi32(dots[1][c], w1, four);
        }
    }
}

// ---- Q8_0 and Q4_0 ------------------------------------------------------------------------------

struct alignas(64) PackedBlock32 {
    __m512i weights[kHalves][8];
    __m512 scale[kHalves];
};

struct FormatQ8_0 {
    static constexpr size_t kBlockBytes = sizeof(tensor::BlockQ8_0);
    static constexpr int kBiasShift = 0;  // the weights' offset is 128

    static void unpack(HalfRows rows, size_t offset, __m512i (&out)[8]) {
        load_16x32(rows, offset + offsetof(tensor::BlockQ8_0, q), out);
#pragma GCC unroll 8
        for (size_t j = 0; j < 8; ++j) {
            out[j] = _mm512_xor_si512(out[j], _mm512_set1_epi8(-128));
        }
    }
};

struct FormatQ4_0 {
    static constexpr size_t kBlockBytes = sizeof(tensor::BlockQ4_0);
    static constexpr int kBiasShift = 4;  // the weights' offset is 8 = 128 >> 4

    static void unpack(HalfRows rows, size_t offset, __m512i (&out)[8]) {
        __m512i nibbles[4];
        load_16x16(rows, offset + offsetof(tensor::BlockQ4_0, q), nibbles);
        const __m512i low = _mm512_set1_epi8(15);
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; ++j) {
            out[j] = _mm512_and_si512(nibbles[j], low);
            out[j + 4] = _mm512_and_si512(_mm512_srli_epi16(nibbles[j], 4), low);
        }
    }
};

template <typename Layout>
struct Format32 : Layout {
    using Packed = PackedBlock32;
    static constexpr size_t kBlock = 32;
    static constexpr size_t kGroup = kRows;
    static constexpr size_t kColumnsMax = 6;
    static constexpr size_t kFewColumns = 18;
    static constexpr size_t kFewBlocks = 8;
    static constexpr size_t kPanelGroups = 2;
    static constexpr size_t kPanelBlocks = 32;

    static void pack(const Rows& rows, size_t block, Packed& out) {
        const size_t offset = block * Layout::kBlockBytes;
#pragma GCC unroll 1
        for (size_t h = 0; h < kHalves; ++h) {
            const HalfRows half = rows.rows + h * kLanes;
            Layout::unpack(half, offset, out.weights[h]);
            // The scale is the first half of the dword that it begins.
            out.scale[h] = widen_low_halves(gather_dwords(half, offset));
        }
    }

    template <size_t kColumns>
    static void multiply(const Packed* packed, size_t blocks, const ActivationForms& x,
                         size_t column, size_t block, const GroupSums& sums) {
        const size_t row_blocks = x.columns / kBlock;
        const int8_t* a = x.q8.values + column * x.columns + block * kBlock;
        const float* scales = x.q8.scales + column * row_blocks + block;
        const int32_t* biases = x.q8.biases + column * row_blocks + block;
        __m512 acc[kHalves][kColumns];
#pragma GCC unroll 8
        for (size_t c = 0; c < kColumns; ++c) {
            acc[0][c] = load_sums(sums, 0, c);
            acc[1][c] = load_sums(sums, 1, c);
        }
        for (size_t b = 0; b < blocks; ++b) {
            __m512i dots[kHalves][kColumns];
#pragma GCC unroll 8
            for (size_t c = 0; c < kColumns; ++c) {
                const __m512i bias = _mm512_set1_epi32(biases[c * row_blocks + b]);
                dots[0][c] = dots[1][c] = _mm512_srai_epi32(bias, Layout::kBiasShift);
            }
            dot_tile<8>({packed[b].weights[0], packed[b].weights[1]}, a + b * kBlock, x.columns,
                        dots);
#pragma GCC unroll 8
            for (size_t c = 0; c < kColumns; ++c) {
                const __m512 da = _mm512_set1_ps(scales[c * row_blocks + b]);
#pragma GCC unroll 2
                for (size_t h = 0; h < kHalves; ++h) {
                    acc[h][c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[h][c]),
                                                _mm512_mul_ps(packed[b].scale[h], da), acc[h][c]);
                }
            }
        }
#pragma GCC unroll 8
        for (size_t c = 0; c < kColumns; ++c) {
            store_sums(sums, 0, c, acc[0][c]);
            store_sums(sums, 1, c, acc[1][c]);
        }
    }
};

// ---- Q4_K ---------------------------------------------------------------------------------------

struct alignas(64) HalfQ4K {
    __m512i weights[8][8];  // [sub-block][four columns]
    __m512 scales[8];       // whole numbers
    __m512i minima[4];      // pairs of int16: sub-blocks 2i and 2i + 1
    __m512 d;
    __m512 dmin;
};

struct PackedQ4K {
    HalfQ4K halves[kHalves];
};

struct FormatQ4K {
    using Packed = PackedQ4K;
    static constexpr size_t kBlock = 256;
    static constexpr size_t kBlockBytes = sizeof(tensor::BlockQ4_K);
    static constexpr size_t kGroup = kRows;
    static constexpr size_t kColumnsMax = 6;
    static constexpr size_t kFewColumns = 18;
    static constexpr size_t kFewBlocks = 1;
    static constexpr size_t kPanelGroups = 2;
    static constexpr size_t kPanelBlocks = 4;

    static void pack(const Rows& rows, size_t block, Packed& out) {
        for (size_t h = 0; h < kHalves; ++h) {
            pack_half(rows.rows + h * kLanes, block * kBlockBytes, out.halves[h]);
        }
    }

    static void pack_half(HalfRows rows, size_t offset, HalfQ4K& out) {
        __m512i header[4];  // d and dmin; then the twelve bytes of scales
        load_16x16(rows, offset, header);
        out.d = widen_low_halves(header[0]);
        out.dmin = widen_low_halves(_mm512_srli_epi32(header[0], 16));
        pack_scales(header, out);
        const __m512i low = _mm512_set1_epi8(15);
#pragma GCC unroll 4
        for (size_t g = 0; g < 4; ++g) {
            __m512i nibbles[8];
            load_16x32(rows, offset + offsetof(tensor::BlockQ4_K, q) + 32 * g, nibbles);
#pragma GCC unroll 8
            for (size_t j = 0; j < 8; ++j) {
                out.weights[2 * g][j] = _mm512_and_si512(nibbles[j], low);
                out.weights[2 * g + 1][j] = _mm512_and_si512(_mm512_srli_epi16(nibbles[j], 4), low);
            }
        }
    }

    // The top two bits of every byte, where the sixth and fifth belong.
    static __m512i high_two(__m512i x) {
        return _mm512_and_si512(_mm512_srli_epi32(x, 2), _mm512_set1_epi8(0x30));
    }

    // Four scales (or minima) are the bytes of a dword; see tensor::unpack_scales_q4_k.
    static void pack_scales(const __m512i (&header)[4], HalfQ4K& out) {
        const __m512i six = _mm512_set1_epi8(63);
        const __m512i four = _mm512_set1_epi8(15);
        const __m512i scales[2] = {
            _mm512_and_si512(header[1], six),
            _mm512_or_si512(_mm512_and_si512(header[3], four), high_two(header[1]))};
        const __m512i minima[2] = {
            _mm512_and_si512(header[2], six),
            _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi32(header[3], 4), four),
                            high_two(header[2]))};
#pragma GCC unroll 8
        for (size_t s = 0; s < 8; ++s) {
            const __m512i shifted =
                _mm512_srlv_epi32(scales[s / 4], _mm512_set1_epi32(static_cast<int>(s % 4 * 8)));
            out.scales[s] = _mm512_cvtepi32_ps(_mm512_and_si512(shifted, _mm512_set1_epi32(255)));
        }
        // Bytes 0 and 1 (2 and 3) of each dword, each widened to 16 bits.
        const __m512i first = _mm512_set1_epi32(static_cast<int>(0x80018000u));
        const __m512i second = _mm512_set1_epi32(static_cast<int>(0x80038002u));
        const __m512i lanes =
            _mm512_broadcast_i32x4(_mm_setr_epi32(0, 0x00040004, 0x00080008, 0x000c000c));
#pragma GCC unroll 2
        for (size_t i = 0; i < 2; ++i) {
            out.minima[2 * i] = _mm512_shuffle_epi8(minima[i], _mm512_or_si512(first, lanes));
            out.minima[2 * i + 1] = _mm512_shuffle_epi8(minima[i], _mm512_add_epi8(second, lanes));
        }
    }

    // The integer sums of 128 elements stay below 2^24 (4 * 32 * 15 * 127 * 63), so they are added
    // up as floats without rounding, which saves the integer product with the scale.
    template <size_t kColumns>
    static void multiply(const Packed* packed, size_t blocks, const ActivationForms& x,
                         size_t column, size_t block, const GroupSums& sums) {
        const size_t row_blocks = x.columns / kBlock;
        const int8_t* a = x.q8k.values + column * x.columns + block * kBlock;
        const float* scales = x.q8k.scales + column * row_blocks + block;
        const int16_t* activation_sums = x.q8k.sums32 + (column * row_blocks + block) * 8;
        __m512 acc[kHalves][kColumns];
        for (size_t c = 0; c < kColumns; ++c) {
            acc[0][c] = load_sums(sums, 0, c);
            acc[1][c] = load_sums(sums, 1, c);
        }
        for (size_t b = 0; b < blocks; ++b) {
            const HalfQ4K(&halves)[kHalves] = packed[b].halves;
#pragma GCC unroll 1
            for (size_t first = 0; first < 8; first += 4) {
                __m512 totals[kHalves][kColumns];
#pragma GCC unroll 8
                for (size_t c = 0; c < kColumns; ++c) {
                    totals[0][c] = totals[1][c] = _mm512_setzero_ps();
                }
#pragma GCC unroll 1
                for (size_t s = first; s < first + 4; ++s) {
                    add_sub_block(halves, s, a + b * kBlock + 32 * s, x.columns, totals);
                }
                for (size_t c = 0; c < kColumns; ++c) {
                    const __m512 da = _mm512_set1_ps(scales[c * row_blocks + b]);
                    for (size_t h = 0; h < kHalves; ++h) {
                        acc[h][c] = _mm512_fmadd_ps(totals[h][c], _mm512_mul_ps(halves[h].d, da),
                                                    acc[h][c]);
                    }
                }
            }
            for (size_t c = 0; c < kColumns; ++c) {
                const int16_t* pairs = activation_sums + (c * row_blocks + b) * 8;
                const __m512 da = _mm512_set1_ps(scales[c * row_blocks + b]);
                for (size_t h = 0; h < kHalves; ++h) {
                    __m512i minimum = _mm512_setzero_si512();
#pragma GCC unroll 4
                    for (size_t i = 0; i < 4; ++i) {
                        minimum = _mm512_dpwssd_epi32(minimum, halves[h].minima[i],
                                                      broadcast_four(pairs + 2 * i));
                    }
                    acc[h][c] = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(minimum),
                                                 _mm512_mul_ps(halves[h].dmin, da), acc[h][c]);
                }
            }
        }
        for (size_t c = 0; c < kColumns; ++c) {
            store_sums(sums, 0, c, acc[0][c]);
            store_sums(sums, 1, c, acc[1][c]);
        }
    }

    // totals += scale * (products of sub-block s)
    template <size_t kColumns>
    static inline void add_sub_block(const HalfQ4K (&halves)[kHalves], size_t s, const int8_t* a,
                                     size_t stride, __m512 (&totals)[kHalves][kColumns]) {
        __m512i dots[kHalves][kColumns];
#pragma GCC unroll 8
        for (size_t c = 0; c < kColumns; ++c) {
            dots[0][c] = dots[1][c] = _mm512_setzero_si512();
        }
        dot_tile<8>({halves[0].weights[s], halves[1].weights[s]}, a, stride, dots);
#pragma GCC unroll 2
        for (size_t h = 0; h < kHalves; ++h) {
            const __m512 scale = halves[h].scales[s];
#pragma GCC unroll 8
            for (size_t c = 0; c < kColumns; ++c) {
                totals[h][c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[h][c]), scale, totals[h][c]);
            }
        }
    }
};

// ---- Q6_K ---------------------------------------------------------------------------------------

struct alignas(64) HalfQ6K {
    __m512i weights[16][4];  // [sub-block of 16][four columns], six bits, offset 32
    __m512i scales[16];      // int32
    __m512i pairs[8];        // the same as pairs of int16
    __m512 d;
};

struct PackedQ6K {
    HalfQ6K halves[kHalves];
};

struct FormatQ6K {
    using Packed = PackedQ6K;
    static constexpr size_t kBlock = 256;
    static constexpr size_t kBlockBytes = sizeof(tensor::BlockQ6_K);
    static constexpr size_t kGroup = kRows;
    static constexpr size_t kColumnsMax = 6;
    static constexpr size_t kFewColumns = 18;
    static constexpr size_t kFewBlocks = 1;
    static constexpr size_t kPanelGroups = 2;
    static constexpr size_t kPanelBlocks = 4;

    static void pack(const Rows& rows, size_t block, Packed& out) {
        for (size_t h = 0; h < kHalves; ++h) {
            pack_half(rows.rows + h * kLanes, block * kBlockBytes, out.halves[h]);
        }
    }

    static void pack_half(HalfRows rows, size_t offset, HalfQ6K& out) {
        const __m512i low = _mm512_set1_epi8(15);
        const __m512i two = _mm512_set1_epi8(0x30);
#pragma GCC unroll 1
        for (size_t half = 0; half < 2; ++half) {
            __m512i ql[2][8];
            __m512i qh[8];
            load_16x32(rows, offset + 64 * half, ql[0]);
            load_16x32(rows, offset + 64 * half + 32, ql[1]);
            load_16x32(rows, offset + offsetof(tensor::BlockQ6_K, qh) + 32 * half, qh);
#pragma GCC unroll 8
            for (size_t j = 0; j < 8; ++j) {
                const __m512i high[4] = {_mm512_slli_epi16(qh[j], 4), _mm512_slli_epi16(qh[j], 2),
                                         qh[j], _mm512_srli_epi16(qh[j], 2)};
#pragma GCC unroll 4
                for (size_t quarter = 0; quarter < 4; ++quarter) {
                    const __m512i bits =
                        quarter < 2 ? ql[quarter][j] : _mm512_srli_epi16(ql[quarter - 2][j], 4);
                    out.weights[8 * half + 2 * quarter + j / 4][j % 4] = _mm512_or_si512(
                        _mm512_and_si512(bits, low), _mm512_and_si512(high[quarter], two));
                }
            }
        }
        __m512i scales[4];
        load_16x16(rows, offset + offsetof(tensor::BlockQ6_K, scales), scales);
#pragma GCC unroll 16
        for (size_t s = 0; s < 16; ++s) {
            // The byte s % 4 of each dword, moved to the top and back with its sign.
            const __m512i top = _mm512_sllv_epi32(
                scales[s / 4], _mm512_set1_epi32(24 - 8 * static_cast<int>(s % 4)));
            out.scales[s] = _mm512_srai_epi32(top, 24);
        }
#pragma GCC unroll 8
        for (size_t i = 0; i < 8; ++i) {
            out.pairs[i] = _mm512_mask_blend_epi16(0xaaaaaaaa, out.scales[2 * i],
                                                   _mm512_slli_epi32(out.scales[2 * i + 1], 16));
        }
        // The scale is the last of the block, so the dword that it ends is read, never past the
        // row.
        const __m512i ends =
            gather_dwords(rows, offset + offsetof(tensor::BlockQ6_K, d) - sizeof(uint16_t));
        out.d = widen_low_halves(_mm512_srli_epi32(ends, 16));
    }

    template <size_t kColumns>
    static void multiply(const Packed* packed, size_t blocks, const ActivationForms& x,
                         size_t column, size_t block, const GroupSums& sums) {
        const size_t row_blocks = x.columns / kBlock;
        const int8_t* a = x.q8k.values + column * x.columns + block * kBlock;
        const float* scales = x.q8k.scales + column * row_blocks + block;
        const int16_t* activation_sums = x.q8k.sums16 + (column * row_blocks + block) * 16;
        __m512 acc[kHalves][kColumns];
        for (size_t c = 0; c < kColumns; ++c) {
            acc[0][c] = load_sums(sums, 0, c);
            acc[1][c] = load_sums(sums, 1, c);
        }
        for (size_t b = 0; b < blocks; ++b) {
            const HalfQ6K(&halves)[kHalves] = packed[b].halves;
            __m512i totals[kHalves][kColumns];
            for (size_t c = 0; c < kColumns; ++c) {
                const int16_t* pairs = activation_sums + (c * row_blocks + b) * 16;
                totals[0][c] = offset_of(halves[0], pairs);
                totals[1][c] = offset_of(halves[1], pairs);
            }
#pragma GCC unroll 1
            for (size_t s = 0; s < 16; ++s) {
                __m512i dots[kHalves][kColumns];
#pragma GCC unroll 8
                for (size_t c = 0; c < kColumns; ++c) {
                    dots[0][c] = dots[1][c] = _mm512_setzero_si512();
                }
                dot_tile<4>({halves[0].weights[s], halves[1].weights[s]}, a + b * kBlock + 16 * s,
                            x.columns, dots);
#pragma GCC unroll 2
                for (size_t h = 0; h < kHalves; ++h) {
                    const __m512i scale = halves[h].scales[s];
#pragma GCC unroll 8
                    for (size_t c = 0; c < kColumns; ++c) {
                        totals[h][c] =
                            _mm512_add_epi32(totals[h][c], _mm512_mullo_epi32(dots[h][c], scale));
                    }
                }
            }
            for (size_t c = 0; c < kColumns; ++c) {
                const __m512 da = _mm512_set1_ps(scales[c * row_blocks + b]);
                for (size_t h = 0; h < kHalves; ++h) {
                    acc[h][c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(totals[h][c]),
                                                _mm512_mul_ps(halves[h].d, da), acc[h][c]);
                }
            }
        }
        for (size_t c = 0; c < kColumns; ++c) {
            store_sums(sums, 0, c, acc[0][c]);
            store_sums(sums, 1, c, acc[1][c]);
        }
    }

    // What the weights' offset of 32 adds to a sum, to be taken away: -32 * scales * sums of 16.
    static __m512i offset_of(const HalfQ6K& half, const int16_t* pairs) {
        __m512i offset = _mm512_setzero_si512();
#pragma GCC unroll 8
        for (size_t i = 0; i < 8; ++i) {
            offset = _mm512_dpwssd_epi32(offset, half.pairs[i], broadcast_four(pairs + 2 * i));
        }
        return _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32(offset, 5));
    }
};

}  // namespace

void matmul_q8_0(const MatmulPart& part) {
    matmul_quantized<Format32<FormatQ8_0>>(part);
}
void matmul_q4_0(const MatmulPart& part) {
    matmul_quantized<Format32<FormatQ4_0>>(part);
}
void matmul_q4_k(const MatmulPart& part) {
    matmul_quantized<FormatQ4K>(part);
}
void matmul_q6_k(const MatmulPart& part) {
    matmul_quantized<FormatQ6K>(part);
}

}  // namespace weir::kernels::avx512
