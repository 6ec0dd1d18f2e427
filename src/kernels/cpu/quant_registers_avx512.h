#pragma once

// The registers of quant32.inc.h and quant256.inc.h as AVX-512 with VNNI; the same functions as
// quant_registers_avx2.h.
//
// vpdpbusd adds four products of an unsigned byte (weight) and a signed byte (activation) to each
// 32-bit lane, exactly. Signed weights are made unsigned by an offset of 128.
//
// A tile is two registers of rows by up to six columns of activations: twelve independent chains
// hide the latency of vpdpbusd, and each broadcast activation, a load, serves two products, so that
// the two multiplying ports are the limit and not the two loading ones. (One register by sixteen
// columns has the same ratio of products to other work, and runs at two thirds the speed.)
namespace weir::kernels {

namespace {

using Bytes = __m512i;  // 64 bytes, or 32 words, or one 32-bit number of each of sixteen rows
using Floats = __m512;  // one of each of sixteen rows

constexpr size_t kLanes = 16;  // rows in a register
constexpr size_t kHalves = 2;  // registers of rows in a tile
constexpr size_t kTileColumns = 6;
constexpr size_t kFewActivations = 18;  // up to so many share one packed block after the other
constexpr size_t kPanelGroups = 2;
constexpr bool kSignedHasOffset = true;
using LaneRows = const uint8_t* const*;  // kLanes of them

inline Bytes zeros() {
    return _mm512_setzero_si512();
}
inline Bytes splat8(int x) {
    return _mm512_set1_epi8(static_cast<char>(x));
}
inline Bytes splat32(int x) {
    return _mm512_set1_epi32(x);
}
inline Floats splat(float x) {
    return _mm512_set1_ps(x);
}
inline Bytes broadcast_four(const void* p) {
    int32_t bytes;
    __builtin_memcpy(&bytes, p, sizeof(bytes));
    return _mm512_set1_epi32(bytes);
}
inline Bytes both(Bytes a, Bytes b) {
    return _mm512_and_si512(a, b);
}
inline Bytes either(Bytes a, Bytes b) {
    return _mm512_or_si512(a, b);
}
inline Bytes add8(Bytes a, Bytes b) {
    return _mm512_add_epi8(a, b);
}
inline Bytes sub8(Bytes a, Bytes b) {
    return _mm512_sub_epi8(a, b);
}
inline Bytes add32(Bytes a, Bytes b) {
    return _mm512_add_epi32(a, b);
}
inline Bytes sub32(Bytes a, Bytes b) {
    return _mm512_sub_epi32(a, b);
}
inline Bytes mul32(Bytes a, Bytes b) {
    return _mm512_mullo_epi32(a, b);
}
template <int kBits>
inline Bytes left(Bytes a) {
    return _mm512_slli_epi32(a, kBits);
}
template <int kBits>
inline Bytes right(Bytes a) {  // zeros from above
    return _mm512_srli_epi32(a, kBits);
}
template <int kBits>
inline Bytes right_signed(Bytes a) {
    return _mm512_srai_epi32(a, kBits);
}
inline Bytes left_by(Bytes a, int bits) {
    return _mm512_sllv_epi32(a, _mm512_set1_epi32(bits));
}
inline Bytes right_by(Bytes a, int bits) {
    return _mm512_srlv_epi32(a, _mm512_set1_epi32(bits));
}
// Of each byte of `index` (below 16), the byte of the table.
inline Bytes look_up(const int8_t (&table)[16], Bytes index) {
    const __m128i lane = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(lane), index);
}
inline Bytes where_equal32(Bytes a, Bytes b, Bytes yes, Bytes no) {
    return _mm512_mask_blend_epi32(_mm512_cmpeq_epi32_mask(a, b), no, yes);
}
// The low word of each dword of `low`, and above it the low word of `high`.
inline Bytes join_words(Bytes low, Bytes high) {
    return _mm512_mask_blend_epi16(0xaaaaaaaa, low, _mm512_slli_epi32(high, 16));
}
// Bytes 0 and 1 (2 and 3, if kSecond) of each dword, each widened to 16 bits.
template <bool kSecond>
inline Bytes widen_two(Bytes a) {
    const Bytes bytes = _mm512_set1_epi32(static_cast<int>(kSecond ? 0x80038002u : 0x80018000u));
    const Bytes lanes =
        _mm512_broadcast_i32x4(_mm_setr_epi32(0, 0x00040004, 0x00080008, 0x000c000c));
    return _mm512_shuffle_epi8(a, _mm512_add_epi8(bytes, lanes));
}

inline Floats to_floats(Bytes numbers) {
    return _mm512_cvtepi32_ps(numbers);
}
inline Floats as_floats(Bytes bits) {
    return _mm512_castsi512_ps(bits);
}
// The float16 in the low half of each dword, widened.
inline Floats widen_low_halves(Bytes dwords) {
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(dwords));
}
inline Floats no_floats() {
    return _mm512_setzero_ps();
}
inline Floats mul(Floats a, Floats b) {
    return _mm512_mul_ps(a, b);
}
inline Floats fma(Floats a, Floats b, Floats c) {
    return _mm512_fmadd_ps(a, b, c);
}
inline Floats negated_fma(Floats a, Floats b, Floats c) {  // c - a * b
    return _mm512_fnmadd_ps(a, b, c);
}
// sum + the products of the two words of each dword
inline Bytes add_word_products(Bytes sum, Bytes a, Bytes b) {
    return _mm512_dpwssd_epi32(sum, a, b);
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

// Sixteen bytes of each row: out[j] holds dword j of every row, in order of rows.
inline void load_16(LaneRows rows, size_t offset, Bytes (&out)[4]) {
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

// Thirty-two bytes of each row, likewise.
inline void load_32(LaneRows rows, size_t offset, Bytes (&out)[8]) {
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

// The dword at `offset` of each row.
inline Bytes load_dword(LaneRows rows, size_t offset) {
    const __m512i at = _mm512_set1_epi64(static_cast<long long>(offset));
    const __m512i low = _mm512_add_epi64(_mm512_loadu_si512(rows), at);
    const __m512i high = _mm512_add_epi64(_mm512_loadu_si512(rows + 8), at);
    return _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_i64gather_epi32(low, nullptr, 1)),
                              _mm512_i64gather_epi32(high, nullptr, 1), 1);
}

// Signed weights as the tile takes them.
inline Bytes signed_weights(Bytes weights) {
    return _mm512_xor_si512(weights, _mm512_set1_epi8(-128));
}

// The rows of half `half` that are there, as a mask.
inline __mmask16 rows_mask(const GroupSums& sums, size_t half) {
    const size_t before = half * kLanes;
    const size_t count = sums.count <= before ? 0 : smaller(sums.count - before, kLanes);
    return static_cast<__mmask16>((1u << count) - 1u);
}

inline Floats load_sums(const GroupSums& sums, size_t half, size_t column) {
    return sums.begins ? _mm512_setzero_ps()
                       : _mm512_maskz_loadu_ps(rows_mask(sums, half),
                                               sums.out + column * sums.stride + half * kLanes);
}

inline void store_sums(const GroupSums& sums, size_t half, size_t column, Floats value) {
    _mm512_mask_storeu_ps(sums.out + column * sums.stride + half * kLanes, rows_mask(sums, half),
                          value);
}

// The tile's dot products of 4 * kFours columns, added to `dots`. weights[half][j] holds columns
// 4j … 4j + 3; the activations of tile column c start at a + c * stride.
template <Range, size_t kFours, size_t kColumns>
inline void dot_tile(const Bytes* const (&weights)[kHalves], const int8_t* a, size_t stride,
                     Bytes (&dots)[kHalves][kColumns]) {
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

}  // namespace

}  // namespace weir::kernels
