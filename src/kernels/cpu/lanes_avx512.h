#pragma once

// Sixteen floats as one AVX-512 register. Included only by files that are compiled for AVX-512,
// after their target pragma; see rows.inc.h for what is built on it.
namespace weir::kernels {

namespace {

struct Lanes {
    __m512 v;

    static constexpr size_t kRegisters = 32;  // how many Lanes a kernel may keep at once
};

inline __mmask16 first_lanes(size_t count) {
    return static_cast<__mmask16>((1u << count) - 1u);
}

inline Lanes zero() {
    return {_mm512_setzero_ps()};
}
inline Lanes set1(float x) {
    return {_mm512_set1_ps(x)};
}
inline Lanes load(const float* p) {
    return {_mm512_loadu_ps(p)};
}
inline Lanes load_part(const float* p, size_t count) {
    return {_mm512_maskz_loadu_ps(first_lanes(count), p)};
}
inline void store(float* p, Lanes x) {
    _mm512_storeu_ps(p, x.v);
}
inline void store_part(float* p, size_t count, Lanes x) {
    _mm512_mask_storeu_ps(p, first_lanes(count), x.v);
}
inline Lanes widen_f16(__m256i bits) {
    return {_mm512_cvtph_ps(bits)};
}
inline Lanes load_f16(const uint8_t* p) {
    return widen_f16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline Lanes load_f16_part(const uint8_t* p, size_t count) {
    return widen_f16(_mm256_maskz_loadu_epi16(first_lanes(count), p));
}
inline Lanes widen_bf16(__m256i bits) {
    return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16))};
}
inline Lanes load_bf16(const uint8_t* p) {
    return widen_bf16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline Lanes load_bf16_part(const uint8_t* p, size_t count) {
    return widen_bf16(_mm256_maskz_loadu_epi16(first_lanes(count), p));
}
// Sixteen E4M3 numbers (tensor/float16.h): as float16 they are 2^-8 of themselves.
inline Lanes load_e4m3(const uint8_t* p) {
    const __m256i words =
        _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    const __m256i magnitude = _mm256_and_si256(words, _mm256_set1_epi16(0x7f));
    const __m256i sign = _mm256_and_si256(_mm256_slli_epi16(words, 8), _mm256_set1_epi16(-0x8000));
    const __m256i halves = _mm256_or_si256(sign, _mm256_slli_epi16(magnitude, 7));
    const __m256i is_nan = _mm256_cmpeq_epi16(magnitude, _mm256_set1_epi16(0x7f));
    const __m256i all = _mm256_blendv_epi8(halves, _mm256_set1_epi16(0x7e00), is_nan);
    return {_mm512_mul_ps(_mm512_cvtph_ps(all), _mm512_set1_ps(256.0f))};
}
inline Lanes load_e4m3_part(const uint8_t* p, size_t count) {
    uint8_t full[16] = {};
    __builtin_memcpy(full, p, count);
    return load_e4m3(full);
}
inline float widen_half(uint16_t bits) {
    return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(bits)));
}
// Of sixteen bytes the low (high: 0) or high (1) nibbles, less `zero`.
inline Lanes load_nibbles(const uint8_t* p, size_t high, int zero) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i nibbles = _mm_and_si128(
        _mm_srl_epi16(bytes, _mm_cvtsi32_si128(static_cast<int>(4 * high))), _mm_set1_epi8(15));
    const __m512i numbers =
        _mm512_sub_epi32(_mm512_cvtepu8_epi32(nibbles), _mm512_set1_epi32(zero));
    return {_mm512_cvtepi32_ps(numbers)};
}
inline void store_f16(uint16_t* p, Lanes x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                        _mm512_cvtps_ph(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
inline Lanes load_i8(const int8_t* p) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes))};
}
// The lanes are whole numbers within a signed byte.
inline void store_i8(int8_t* p, Lanes x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(x.v)));
}

inline Lanes add(Lanes a, Lanes b) {
    return {_mm512_add_ps(a.v, b.v)};
}
inline Lanes sub(Lanes a, Lanes b) {
    return {_mm512_sub_ps(a.v, b.v)};
}
inline Lanes mul(Lanes a, Lanes b) {
    return {_mm512_mul_ps(a.v, b.v)};
}
inline Lanes div(Lanes a, Lanes b) {
    return {_mm512_div_ps(a.v, b.v)};
}
inline Lanes fma(Lanes a, Lanes b, Lanes c) {
    return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
inline Lanes abs(Lanes a) {
    return {_mm512_abs_ps(a.v)};
}
// a > b ? a : b, so b where either is NaN.
inline Lanes max(Lanes a, Lanes b) {
    return {_mm512_max_ps(a.v, b.v)};
}
inline Lanes round_even(Lanes a) {
    return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
// a < b ? yes : no; `no` where either is NaN.
inline Lanes where_less(Lanes a, Lanes b, Lanes yes, Lanes no) {
    return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), no.v, yes.v)};
}
inline bool all_less(Lanes a, Lanes b) {
    return _mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ) == 0xffff;
}
inline bool any_nan(Lanes a) {
    return _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q) != 0;
}

// x * 2^n in two factors; n is a whole number within [-126, 128].
inline Lanes times_power_of_two(Lanes x, Lanes n) {
    const __m512i whole = _mm512_cvtps_epi32(n.v);
    const __m512i first = _mm512_srai_epi32(whole, 1);
    const __m512i second = _mm512_sub_epi32(whole, first);
    const __m512i bias = _mm512_set1_epi32(127);
    const __m512 a = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(first, bias), 23));
    const __m512 b = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(second, bias), 23));
    return {_mm512_mul_ps(_mm512_mul_ps(x.v, a), b)};
}

inline float fold_128(__m128 x) {
    const __m128 pairs = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(pairs, _mm_movehdup_ps(pairs)));
}
// l += l + 8, l += l + 4, l += l + 2, l += l + 1
inline float fold(Lanes x) {
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(x.v), _mm512_extractf32x8_ps(x.v, 1));
    return fold_128(_mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1)));
}
inline float largest_lane(Lanes x) {
    return _mm512_reduce_max_ps(x.v);
}

// Swaps the two of each pair of neighbouring lanes.
inline Lanes swap_pairs(Lanes x) {
    return {_mm512_permute_ps(x.v, 0b10'11'00'01)};
}
// a0 - b0, a1 + b1, a2 - b2, …, each rounded after an exact or rounded product as given.
inline Lanes sub_add(Lanes a, Lanes b) {
    return {_mm512_mask_add_ps(_mm512_sub_ps(a.v, b.v), 0xaaaa, a.v, b.v)};
}
// x0 x0 x1 x1 … x7 x7 from eight floats.
inline Lanes load_twice(const float* p) {
    const __m512i index = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    return {_mm512_permutexvar_ps(index, _mm512_castps256_ps512(_mm256_loadu_ps(p)))};
}

}  // namespace

}  // namespace weir::kernels
