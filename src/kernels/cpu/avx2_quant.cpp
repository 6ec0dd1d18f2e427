#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/avx2.h"
#include "kernels/kernel_table.h"
#include "tensor/blocks.h"

// Products with quantized weights on AVX2. A register holds four columns of eight rows, so a lane
// is a row, as in avx512_quant.cpp with its sixteen.
//
// vpmaddubsw adds pairs of (unsigned byte * signed byte) into 16 bits and saturates, so the
// unsigned side must stay small. Six- and four-bit weights do (2 * 63 * 127 < 2^15). For Q8_0 the
// sign of the weight is moved to the activation: |w| <= 128 and |a| <= 127 give at most 32512.
#pragma GCC target("avx2,fma,f16c")

#include "kernels/cpu/quant.inc.h"

namespace weir::kernels::avx2 {

namespace {

constexpr size_t kRows = 8;
using Rows = GroupRows<kRows>;

inline __m256i broadcast_four(const void* p) {
    int32_t bytes;
    __builtin_memcpy(&bytes, p, sizeof(bytes));
    return _mm256_set1_epi32(bytes);
}

inline __m256 load_sums(const GroupSums& sums, size_t column) {
    if (sums.begins) {
        return _mm256_setzero_ps();
    }
    const float* p = sums.out + column * sums.stride;
    if (sums.count == kRows) {
        return _mm256_loadu_ps(p);
    }
    alignas(32) float full[kRows] = {};
    __builtin_memcpy(full, p, sums.count * sizeof(float));
    return _mm256_load_ps(full);
}

inline void store_sums(const GroupSums& sums, size_t column, __m256 value) {
    float* p = sums.out + column * sums.stride;
    if (sums.count == kRows) {
        _mm256_storeu_ps(p, value);
        return;
    }
    alignas(32) float full[kRows];
    _mm256_store_ps(full, value);
    __builtin_memcpy(p, full, sums.count * sizeof(float));
}

inline __m128i load_xmm(const uint8_t* p) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}

// Sixteen bytes of each of eight rows: out[j] holds dword j of every row, in order of rows.
inline void load_8x16(const Rows& rows, size_t offset, __m256i* out) {
    __m256i in[4];
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; ++i) {
        in[i] = _mm256_inserti128_si256(_mm256_castsi128_si256(load_xmm(rows.rows[i] + offset)),
                                        load_xmm(rows.rows[i + 4] + offset), 1);
    }
    const __m256i a = _mm256_unpacklo_epi32(in[0], in[1]);
    const __m256i b = _mm256_unpackhi_epi32(in[0], in[1]);
    const __m256i c = _mm256_unpacklo_epi32(in[2], in[3]);
    const __m256i d = _mm256_unpackhi_epi32(in[2], in[3]);
    out[0] = _mm256_unpacklo_epi64(a, c);
    out[1] = _mm256_unpackhi_epi64(a, c);
    out[2] = _mm256_unpacklo_epi64(b, d);
    out[3] = _mm256_unpackhi_epi64(b, d);
}

inline void load_8x32(const Rows& rows, size_t offset, __m256i (&out)[8]) {
    load_8x16(rows, offset, out);
    load_8x16(rows, offset + 16, out + 4);
}

inline __m256 load_scales(const Rows& rows, size_t offset) {
    alignas(16) uint16_t bits[kRows];
#pragma GCC unroll 8
    for (size_t i = 0; i < kRows; ++i) {
        __builtin_memcpy(&bits[i], rows.rows[i] + offset, 2);
    }
    return _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(bits)));
}

// The float16 in the low half of each dword, widened.
inline __m256 widen_low_halves(__m256i dwords) {
    const __m256i low = _mm256_and_si256(dwords, _mm256_set1_epi32(0xffff));
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, low), 0b10'00);
    return _mm256_cvtph_ps(_mm256_castsi256_si128(packed));
}

inline __m256i pair_sums(__m256i words) {
    return _mm256_madd_epi16(words, _mm256_set1_epi16(1));
}

// ---- Q8_0 and Q4_0 ------------------------------------------------------------------------------

struct alignas(32) PackedBlock32 {
    __m256i weights[8];  // signed
    __m256 scale;
};

struct FormatQ8_0 {
    static constexpr size_t kBlockBytes = sizeof(tensor::BlockQ8_0);

    static void pack(const Rows& rows, size_t block, PackedBlock32& out) {
        const size_t offset = block * kBlockBytes;
        load_8x32(rows, offset + offsetof(tensor::BlockQ8_0, q), out.weights);
        out.scale = load_scales(rows, offset);
    }
};

struct FormatQ4_0 {
    static constexpr size_t kBlockBytes = sizeof(tensor::BlockQ4_0);

    static void pack(const Rows& rows, size_t block, PackedBlock32& out) {
        const size_t offset = block * kBlockBytes;
        __m256i nibbles[4];
        load_8x16(rows, offset + offsetof(tensor::BlockQ4_0, q), nibbles);
        const __m256i low = _mm256_set1_epi8(15);
        const __m256i eight = _mm256_set1_epi8(8);
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; ++j) {
            const __m256i high = _mm256_and_si256(_mm256_srli_epi16(nibbles[j], 4), low);
            out.weights[j] = _mm256_sub_epi8(_mm256_and_si256(nibbles[j], low), eight);
            out.weights[j + 4] = _mm256_sub_epi8(high, eight);
        }
        out.scale = load_scales(rows, offset);
    }
};

template <typename Layout>
struct Format32 : Layout {
    using Packed = PackedBlock32;
    static constexpr size_t kBlock = 32;
    static constexpr size_t kGroup = kRows;
    static constexpr size_t kColumnsMax = 4;
    static constexpr size_t kFewColumns = 4;
    static constexpr size_t kFewBlocks = 8;
    static constexpr size_t kPanelGroups = 8;
    static constexpr size_t kPanelBlocks = 32;

    template <size_t kColumns>
    static void multiply(const Packed* packed, size_t blocks, const ActivationForms& x,
                         size_t column, size_t block, const GroupSums& sums) {
        const size_t row_blocks = x.columns / kBlock;
        const int8_t* a = x.q8.values + column * x.columns + block * kBlock;
        const float* scales = x.q8.scales + column * row_blocks + block;
        __m256 acc[kColumns];
#pragma GCC unroll 4
        for (size_t c = 0; c < kColumns; ++c) {
            acc[c] = load_sums(sums, c);
        }
        for (size_t b = 0; b < blocks; ++b) {
            const __m256 scale = packed[b].scale;
            __m256i dots[kColumns];
#pragma GCC unroll 4
            for (size_t c = 0; c < kColumns; ++c) {
                dots[c] = _mm256_setzero_si256();
            }
#pragma GCC unroll 8
            for (size_t j = 0; j < 8; ++j) {
                const __m256i w = packed[b].weights[j];
                const __m256i magnitude = _mm256_abs_epi8(w);
#pragma GCC unroll 4
                for (size_t c = 0; c < kColumns; ++c) {
                    const __m256i four = broadcast_four(a + c * x.columns + b * kBlock + 4 * j);
                    const __m256i words =
                        _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(four, w));
                    dots[c] = _mm256_add_epi32(dots[c], pair_sums(words));
                }
            }
#pragma GCC unroll 4
            for (size_t c = 0; c < kColumns; ++c) {
                const __m256 factor =
                    _mm256_mul_ps(scale, _mm256_set1_ps(scales[c * row_blocks + b]));
                acc[c] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots[c]), factor, acc[c]);
            }
        }
#pragma GCC unroll 4
        for (size_t c = 0; c < kColumns; ++c) {
            store_sums(sums, c, acc[c]);
        }
    }
};

// ---- Q4_K ---------------------------------------------------------------------------------------

struct alignas(32) PackedQ4K {
    __m256i weights[8][8];  // [sub-block][four columns]
    __m256 scales[8];       // whole numbers
    __m256i minima[4];      // pairs of int16: sub-blocks 2i and 2i + 1
    __m256 d;
    __m256 dmin;
};

struct FormatQ4K {
    using Packed = PackedQ4K;
    static constexpr size_t kBlock = 256;
    static constexpr size_t kBlockBytes = sizeof(tensor::BlockQ4_K);
    static constexpr size_t kGroup = kRows;
    static constexpr size_t kColumnsMax = 4;
    static constexpr size_t kFewColumns = 4;
    static constexpr size_t kFewBlocks = 1;
    static constexpr size_t kPanelGroups = 8;
    static constexpr size_t kPanelBlocks = 4;

    static void pack(const Rows& rows, size_t block, Packed& out) {
        const size_t offset = block * kBlockBytes;
        __m256i header[4];  // d and dmin; then the twelve bytes of scales
        load_8x16(rows, offset, header);
        out.d = widen_low_halves(header[0]);
        out.dmin = widen_low_halves(_mm256_srli_epi32(header[0], 16));
        pack_scales(header, out);
        const __m256i low = _mm256_set1_epi8(15);
#pragma GCC unroll 4
        for (size_t g = 0; g < 4; ++g) {
            __m256i nibbles[8];
            load_8x32(rows, offset + offsetof(tensor::BlockQ4_K, q) + 32 * g, nibbles);
#pragma GCC unroll 8
            for (size_t j = 0; j < 8; ++j) {
                out.weights[2 * g][j] = _mm256_and_si256(nibbles[j], low);
                out.weights[2 * g + 1][j] = _mm256_and_si256(_mm256_srli_epi16(nibbles[j], 4), low);
            }
        }
    }

    // The top two bits of every byte, where the sixth and fifth belong.
    static __m256i high_two(__m256i x) {
        return _mm256_and_si256(_mm256_srli_epi32(x, 2), _mm256_set1_epi8(0x30));
    }

    // Four scales (or minima) are the bytes of a dword; see tensor::unpack_scales_q4_k.
    static void pack_scales(const __m256i (&header)[4], Packed& out) {
        const __m256i six = _mm256_set1_epi8(63);
        const __m256i four = _mm256_set1_epi8(15);
        const __m256i scales[2] = {
            _mm256_and_si256(header[1], six),
            _mm256_or_si256(_mm256_and_si256(header[3], four), high_two(header[1]))};
        const __m256i minima[2] = {
            _mm256_and_si256(header[2], six),
            _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi32(header[3], 4), four),
                            high_two(header[2]))};
#pragma GCC unroll 8
        for (size_t s = 0; s < 8; ++s) {
            const __m256i shifted =
                _mm256_srl_epi32(scales[s / 4], _mm_cvtsi32_si128(static_cast<int>(s % 4 * 8)));
            out.scales[s] = _mm256_cvtepi32_ps(_mm256_and_si256(shifted, _mm256_set1_epi32(255)));
        }
        // Bytes 0 and 1 (2 and 3) of each dword, each widened to 16 bits.
        const __m256i first = _mm256_broadcastsi128_si256(_mm_setr_epi8(
            0, -128, 1, -128, 4, -128, 5, -128, 8, -128, 9, -128, 12, -128, 13, -128));
        const __m256i second = _mm256_broadcastsi128_si256(_mm_setr_epi8(
            2, -128, 3, -128, 6, -128, 7, -128, 10, -128, 11, -128, 14, -128, 15, -128));
#pragma GCC unroll 2
        for (size_t i = 0; i < 2; ++i) {
            out.minima[2 * i] = _mm256_shuffle_epi8(minima[i], first);
            out.minima[2 * i + 1] = _mm256_shuffle_epi8(minima[i], second);
        }
    }

    // Eight products of a nibble and an activation, added pairwise, fit in 16 bits (16 * 15 * 127),
    // so they are widened once a sub-block. For the sums as floats see avx512_quant.cpp.
    template <size_t kColumns>
    static void multiply(const Packed* packed, size_t blocks, const ActivationForms& x,
                         size_t column, size_t block, const GroupSums& sums) {
        const size_t row_blocks = x.columns / kBlock;
        const int8_t* a = x.q8k.values + column * x.columns + block * kBlock;
        const float* scales = x.q8k.scales + column * row_blocks + block;
        const int16_t* activation_sums = x.q8k.sums32 + (column * row_blocks + block) * 8;
        __m256 acc[kColumns];
        for (size_t c = 0; c < kColumns; ++c) {
            acc[c] = load_sums(sums, c);
        }
        for (size_t b = 0; b < blocks; ++b) {
            const Packed& p = packed[b];
            for (size_t half = 0; half < 2; ++half) {
                __m256 total[kColumns];
#pragma GCC unroll 4
                for (size_t c = 0; c < kColumns; ++c) {
                    total[c] = _mm256_setzero_ps();
                }
#pragma GCC unroll 1
                for (size_t s = 4 * half; s < 4 * half + 4; ++s) {
                    __m256i words[kColumns];
#pragma GCC unroll 4
                    for (size_t c = 0; c < kColumns; ++c) {
                        words[c] = _mm256_setzero_si256();
                    }
#pragma GCC unroll 8
                    for (size_t j = 0; j < 8; ++j) {
                        const __m256i w = p.weights[s][j];
#pragma GCC unroll 4
                        for (size_t c = 0; c < kColumns; ++c) {
                            const int8_t* at = a + c * x.columns + b * kBlock + 32 * s + 4 * j;
                            words[c] = _mm256_add_epi16(
                                words[c], _mm256_maddubs_epi16(w, broadcast_four(at)));
                        }
                    }
#pragma GCC unroll 4
                    for (size_t c = 0; c < kColumns; ++c) {
                        total[c] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(pair_sums(words[c])),
                                                   p.scales[s], total[c]);
                    }
                }
#pragma GCC unroll 4
                for (size_t c = 0; c < kColumns; ++c) {
                    const __m256 factor =
                        _mm256_mul_ps(p.d, _mm256_set1_ps(scales[c * row_blocks + b]));
                    acc[c] = _mm256_fmadd_ps(total[c], factor, acc[c]);
                }
            }
#pragma GCC unroll 4
            for (size_t c = 0; c < kColumns; ++c) {
                const int16_t* pairs = activation_sums + (c * row_blocks + b) * 8;
                __m256i minimum = _mm256_setzero_si256();
#pragma GCC unroll 4
                for (size_t i = 0; i < 4; ++i) {
                    minimum = _mm256_add_epi32(
                        minimum, _mm256_madd_epi16(p.minima[i], broadcast_four(pairs + 2 * i)));
                }
                const __m256 factor =
                    _mm256_mul_ps(p.dmin, _mm256_set1_ps(scales[c * row_blocks + b]));
                acc[c] = _mm256_fnmadd_ps(_mm256_cvtepi32_ps(minimum), factor, acc[c]);
            }
        }
        for (size_t c = 0; c < kColumns; ++c) {
            store_sums(sums, c, acc[c]);
        }
    }
};

// ---- Q6_K ---------------------------------------------------------------------------------------

struct alignas(32) PackedQ6K {
    __m256i weights[16][4];  // [sub-block of 16][four columns], six bits, offset 32
    __m256i scales[16];      // int32
    __m256i pairs[8];        // the same as pairs of int16
    __m256 d;
};

struct FormatQ6K {
    using Packed = PackedQ6K;
    static constexpr size_t kBlock = 256;
    static constexpr size_t kBlockBytes = sizeof(tensor::BlockQ6_K);
    static constexpr size_t kGroup = kRows;
    static constexpr size_t kColumnsMax = 4;
    static constexpr size_t kFewColumns = 4;
    static constexpr size_t kFewBlocks = 1;
    static constexpr size_t kPanelGroups = 8;
    static constexpr size_t kPanelBlocks = 4;

    static void pack(const Rows& rows, size_t block, Packed& out) {
        const size_t offset = block * kBlockBytes;
        const __m256i low = _mm256_set1_epi8(15);
        const __m256i two = _mm256_set1_epi8(0x30);
        for (size_t half = 0; half < 2; ++half) {
            __m256i ql[2][8];
            __m256i qh[8];
            load_8x32(rows, offset + 64 * half, ql[0]);
            load_8x32(rows, offset + 64 * half + 32, ql[1]);
            load_8x32(rows, offset + offsetof(tensor::BlockQ6_K, qh) + 32 * half, qh);
#pragma GCC unroll 8
            for (size_t j = 0; j < 8; ++j) {
                const __m256i high[4] = {_mm256_slli_epi16(qh[j], 4), _mm256_slli_epi16(qh[j], 2),
                                         qh[j], _mm256_srli_epi16(qh[j], 2)};
#pragma GCC unroll 4
                for (size_t quarter = 0; quarter < 4; ++quarter) {
                    const __m256i bits =
                        quarter < 2 ? ql[quarter][j] : _mm256_srli_epi16(ql[quarter - 2][j], 4);
                    out.weights[8 * half + 2 * quarter + j / 4][j % 4] = _mm256_or_si256(
                        _mm256_and_si256(bits, low), _mm256_and_si256(high[quarter], two));
                }
            }
        }
        __m256i scales[4];
        load_8x16(rows, offset + offsetof(tensor::BlockQ6_K, scales), scales);
#pragma GCC unroll 16
        for (size_t s = 0; s < 16; ++s) {
            // The byte s % 4 of each dword, moved to the top and back with its sign.
            const __m256i top = _mm256_sll_epi32(
                scales[s / 4], _mm_cvtsi32_si128(24 - 8 * static_cast<int>(s % 4)));
            out.scales[s] = _mm256_srai_epi32(top, 24);
        }
#pragma GCC unroll 8
        for (size_t i = 0; i < 8; ++i) {
            out.pairs[i] = _mm256_blend_epi16(out.scales[2 * i],
                                              _mm256_slli_epi32(out.scales[2 * i + 1], 16), 0xaa);
        }
        out.d = load_scales(rows, offset + offsetof(tensor::BlockQ6_K, d));
    }

    template <size_t kColumns>
    static void multiply(const Packed* packed, size_t blocks, const ActivationForms& x,
                         size_t column, size_t block, const GroupSums& sums) {
        const size_t row_blocks = x.columns / kBlock;
        const int8_t* a = x.q8k.values + column * x.columns + block * kBlock;
        const float* scales = x.q8k.scales + column * row_blocks + block;
        const int16_t* activation_sums = x.q8k.sums16 + (column * row_blocks + block) * 16;
        __m256 acc[kColumns];
        for (size_t c = 0; c < kColumns; ++c) {
            acc[c] = load_sums(sums, c);
        }
        for (size_t b = 0; b < blocks; ++b) {
            const Packed& p = packed[b];
            __m256i total[kColumns];  // starts with what the weights' offset adds, taken away
#pragma GCC unroll 4
            for (size_t c = 0; c < kColumns; ++c) {
                const int16_t* pairs = activation_sums + (c * row_blocks + b) * 16;
                __m256i offset = _mm256_setzero_si256();
#pragma GCC unroll 8
                for (size_t i = 0; i < 8; ++i) {
                    offset = _mm256_add_epi32(
                        offset, _mm256_madd_epi16(p.pairs[i], broadcast_four(pairs + 2 * i)));
                }
                total[c] = _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_slli_epi32(offset, 5));
            }
#pragma GCC unroll 1
            for (size_t s = 0; s < 16; ++s) {
#pragma GCC unroll 4
                for (size_t c = 0; c < kColumns; ++c) {
                    const int8_t* at = a + c * x.columns + b * kBlock + 16 * s;
                    __m256i dot = _mm256_setzero_si256();
#pragma GCC unroll 4
                    for (size_t j = 0; j < 4; ++j) {
                        dot = _mm256_add_epi32(
                            dot, pair_sums(_mm256_maddubs_epi16(p.weights[s][j],
                                                                broadcast_four(at + 4 * j))));
                    }
                    total[c] = _mm256_add_epi32(total[c], _mm256_mullo_epi32(dot, p.scales[s]));
                }
            }
#pragma GCC unroll 4
            for (size_t c = 0; c < kColumns; ++c) {
                const __m256 factor =
                    _mm256_mul_ps(p.d, _mm256_set1_ps(scales[c * row_blocks + b]));
                acc[c] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(total[c]), factor, acc[c]);
            }
        }
        for (size_t c = 0; c < kColumns; ++c) {
            store_sums(sums, c, acc[c]);
        }
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

}  // namespace weir::kernels::avx2
