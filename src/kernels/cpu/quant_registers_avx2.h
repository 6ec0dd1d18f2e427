#pragma once

// The registers of quant32.inc.h and quant256.inc.h as AVX2; the same functions as
// quant_registers_avx512.h.
//
// vpmaddubsw adds pairs of (unsigned byte * signed byte) into 16 bits and saturates, so the
// unsigned side must stay small. Six-, five- and four-bit weights do, and several such pairs still
// fit in 16 bits. For eight-bit weights the sign of the weight is moved to the activation:
// |w| <= 128 and |a| <= 127 give at most 32512.
namespace weir::kernels {

namespace {

using Bytes = __m256i;  // 32 bytes, or 16 words, or one 32-bit number of each of eight rows
using Floats = __m256;  // one of each of eight rows

constexpr size_t kLanes = 8;   // rows in a register
constexpr size_t kHalves = 1;  // registers of rows in a tile
constexpr size_t kTileColumns = 4;
constexpr size_t kFewActivations = 4;  // up to so many share one packed block after the other
constexpr size_t kPanelGroups = 8;
constexpr bool kSignedHasOffset = false;
using LaneRows = const uint8_t* const*;  // kLanes of them

inline Bytes zeros() {
    return _mm256_setzero_si256();
}
inline Bytes splat8(int x) {
    return _mm256_set1_epi8(static_cast<char>(x));
}
inline Bytes splat32(int x) {
    return _mm256_set1_epi32(x);
}
inline Floats splat(float x) {
    return _mm256_set1_ps(x);
}
inline Bytes broadcast_four(const void* p) {
    int32_t bytes;
    __builtin_memcpy(&bytes, p, sizeof(bytes));
    return _mm256_set1_epi32(bytes);
}
inline Bytes both(Bytes a, Bytes b) {
    return _mm256_and_si256(a, b);
}
inline Bytes either(Bytes a, Bytes b) {
    return _mm256_or_si256(a, b);
}
inline Bytes add8(Bytes a, Bytes b) {
    return _mm256_add_epi8(a, b);
}
inline Bytes sub8(Bytes a, Bytes b) {
    return _mm256_sub_epi8(a, b);
}
inline Bytes add32(Bytes a, Bytes b) {
    return _mm256_add_epi32(a, b);
}
inline Bytes sub32(Bytes a, Bytes b) {
    return _mm256_sub_epi32(a, b);
}
inline Bytes mul32(Bytes a, Bytes b) {
    return _mm256_mullo_epi32(a, b);
}
template <int kBits>
inline Bytes left(Bytes a) {
    return _mm256_slli_epi32(a, kBits);
}
template <int kBits>
inline Bytes right(Bytes a) {  // zeros from above
    return _mm256_srli_epi32(a, kBits);
}
template <int kBits>
inline Bytes right_signed(Bytes a) {
    return _mm256_srai_epi32(a, kBits);
}
inline Bytes left_by(Bytes a, int bits) {
    return _mm256_sll_epi32(a, _mm_cvtsi32_si128(bits));
}
inline Bytes right_by(Bytes a, int bits) {
    return _mm256_srl_epi32(a, _mm_cvtsi32_si128(bits));
}
// Of each byte of `index` (below 16), the byte of the table.
inline Bytes look_up(const int8_t (&table)[16], Bytes index) {
    const __m128i lane = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(lane), index);
}
inline Bytes where_equal32(Bytes a, Bytes b, Bytes yes, Bytes no) {
    return _mm256_blendv_epi8(no, yes, _mm256_cmpeq_epi32(a, b));
}
// The low word of each dword of `low`, and above it the low word of `high`.
inline Bytes join_words(Bytes low, Bytes high) {
    return _mm256_blend_epi16(low, _mm256_slli_epi32(high, 16), 0xaa);
}
// Bytes 0 and 1 (2 and 3, if kSecond) of each dword, each widened to 16 bits.
template <bool kSecond>
inline Bytes widen_two(Bytes a) {
    constexpr char kFirst = kSecond ? 2 : 0;
    const Bytes bytes = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(kFirst, -128, kFirst + 1, -128, kFirst + 4, -128, kFirst + 5, -128,
                      kFirst + 8, -128, kFirst + 9, -128, kFirst + 12, -128, kFirst + 13, -128));
    return _mm256_shuffle_epi8(a, bytes);
}

inline Floats to_floats(Bytes numbers) {
    return _mm256_cvtepi32_ps(numbers);
}
inline Floats as_floats(Bytes bits) {
    return _mm256_castsi256_ps(bits);
}
// The float16 in the low half of each dword, widened.
inline Floats widen_low_halves(Bytes dwords) {
    const __m256i low = _mm256_and_si256(dwords, _mm256_set1_epi32(0xffff));
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, low), 0b10'00);
    return _mm256_cvtph_ps(_mm256_castsi256_si128(packed));
}
inline Floats no_floats() {
    return _mm256_setzero_ps();
}
inline Floats mul(Floats a, Floats b) {
    return _mm256_mul_ps(a, b);
}
inline Floats fma(Floats a, Floats b, Floats c) {
    return _mm256_fmadd_ps(a, b, c);
}
inline Floats negated_fma(Floats a, Floats b, Floats c) {  // c - a * b
    return _mm256_fnmadd_ps(a, b, c);
}
// sum + the products of the two words of each dword
inline Bytes add_word_products(Bytes sum, Bytes a, Bytes b) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
}

inline __m128i load_xmm(const uint8_t* p) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}

// Sixteen bytes of each row: out[j] holds dword j of every row, in order of rows.
inline void load_16_to(LaneRows rows, size_t offset, Bytes* out) {
    __m256i in[4];
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; ++i) {
        in[i] = _mm256_inserti128_si256(_mm256_castsi128_si256(load_xmm(rows[i] + offset)),
                                        load_xmm(rows[i + 4] + offset), 1);
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

inline void load_16(LaneRows rows, size_t offset, Bytes (&out)[4]) {
    load_16_to(rows, offset, out);
}

// Thirty-two bytes of each row, likewise.
inline void load_32(LaneRows rows, size_t offset, Bytes (&out)[8]) {
    load_16_to(rows, offset, out);
    load_16_to(rows, offset + 16, out + 4);
}

// The dword at `offset` of each row.
inline Bytes load_dword(LaneRows rows, size_t offset) {
    alignas(32) uint32_t dwords[kLanes];
#pragma GCC unroll 8
    for (size_t i = 0; i < kLanes; ++i) {
        __builtin_memcpy(&dwords[i], rows[i] + offset, 4);
    }
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(dwords));
}

// Signed weights as the tile takes them.
inline Bytes signed_weights(Bytes weights) {
    return weights;
}

inline Floats load_sums(const GroupSums& sums, size_t, size_t column) {
    if (sums.begins) {
        return _mm256_setzero_ps();
    }
    const float* p = sums.out + column * sums.stride;
    if (sums.count == kLanes) {
        return _mm256_loadu_ps(p);
    }
    alignas(32) float full[kLanes] = {};
    __builtin_memcpy(full, p, sums.count * sizeof(float));
    return _mm256_load_ps(full);
}

inline void store_sums(const GroupSums& sums, size_t, size_t column, Floats value) {
    float* p = sums.out + column * sums.stride;
    if (sums.count == kLanes) {
        _mm256_storeu_ps(p, value);
        return;
    }
    alignas(32) float full[kLanes];
    _mm256_store_ps(full, value);
    __builtin_memcpy(p, full, sums.count * sizeof(float));
}

inline Bytes pair_sums(Bytes words) {
    return _mm256_madd_epi16(words, _mm256_set1_epi16(1));
}

// The tile's dot products of 4 * kFours columns, added to `dots`. weights[0][j] holds columns
// 4j … 4j + 3; the activations of tile column c start at a + c * stride.
template <Range kRange, size_t kFours, size_t kColumns>
inline void dot_tile(const Bytes* const (&weights)[kHalves], const int8_t* a, size_t stride,
                     Bytes (&dots)[kHalves][kColumns]) {
    if constexpr (kRange == Range::Signed8) {
#pragma GCC unroll 8
        for (size_t j = 0; j < kFours; ++j) {
            const __m256i w = weights[0][j];
            const __m256i magnitude = _mm256_abs_epi8(w);
#pragma GCC unroll 4
            for (size_t c = 0; c < kColumns; ++c) {
                const __m256i four = broadcast_four(a + c * stride + 4 * j);
                dots[0][c] = _mm256_add_epi32(
                    dots[0][c],
                    pair_sums(_mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(four, w))));
            }
        }
    } else {
        // Pairs that fit in 16 bits together: 2 * 127 * (15, 31, 63) * (8, 4, 2) < 2^15.
        constexpr size_t kFit = kRange == Range::Bits4 ? 8 : kRange == Range::Bits5 ? 4 : 2;
        constexpr size_t kTogether = kFit < kFours ? kFit : kFours;
#pragma GCC unroll 4
        for (size_t first = 0; first < kFours; first += kTogether) {
            __m256i words[kColumns];
#pragma GCC unroll 4
            for (size_t c = 0; c < kColumns; ++c) {
                words[c] = _mm256_setzero_si256();
            }
#pragma GCC unroll 8
            for (size_t j = first; j < first + kTogether; ++j) {
                const __m256i w = weights[0][j];
#pragma GCC unroll 4
                for (size_t c = 0; c < kColumns; ++c) {
                    const __m256i four = broadcast_four(a + c * stride + 4 * j);
                    words[c] = _mm256_add_epi16(words[c], _mm256_maddubs_epi16(w, four));
                }
            }
#pragma GCC unroll 4
            for (size_t c = 0; c < kColumns; ++c) {
                dots[0][c] = _mm256_add_epi32(dots[0][c], pair_sums(words[c]));
            }
        }
    }
}

}  // namespace

}  // namespace weir::kernels
