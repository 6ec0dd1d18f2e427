#pragma once

// Sixteen floats as two AVX2 registers; the same functions as lanes_avx512.h.
namespace weir::kernels {

namespace {

struct Lanes {
    __m256 lo, hi;

    static constexpr size_t kRegisters = 8;
};

inline Lanes zero() {
    return {_mm256_setzero_ps(), _mm256_setzero_ps()};
}
inline Lanes set1(float x) {
    return {_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
inline Lanes load(const float* p) {
    return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
inline void store(float* p, Lanes x) {
    _mm256_storeu_ps(p, x.lo);
    _mm256_storeu_ps(p + 8, x.hi);
}
inline Lanes load_part(const float* p, size_t count) {
    alignas(32) float full[16] = {};
    __builtin_memcpy(full, p, count * sizeof(float));
    return load(full);
}
inline void store_part(float* p, size_t count, Lanes x) {
    alignas(32) float full[16];
    store(full, x);
    __builtin_memcpy(p, full, count * sizeof(float));
}
inline Lanes load_f16(const uint8_t* p) {
    return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
            _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16)))};
}
inline Lanes load_f16_part(const uint8_t* p, size_t count) {
    alignas(16) uint8_t full[32] = {};
    __builtin_memcpy(full, p, count * 2);
    return load_f16(full);
}
inline __m256 widen_bf16(__m128i bits) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
inline Lanes load_bf16(const uint8_t* p) {
    return {widen_bf16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
            widen_bf16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16)))};
}
inline Lanes load_bf16_part(const uint8_t* p, size_t count) {
    alignas(16) uint8_t full[32] = {};
    __builtin_memcpy(full, p, count * 2);
    return load_bf16(full);
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
    const __m256 up = _mm256_set1_ps(256.0f);
    return {_mm256_mul_ps(_mm256_cvtph_ps(_mm256_castsi256_si128(all)), up),
            _mm256_mul_ps(_mm256_cvtph_ps(_mm256_extracti128_si256(all, 1)), up)};
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
    const __m256i less = _mm256_set1_epi32(zero);
    const __m256i lo = _mm256_sub_epi32(_mm256_cvtepu8_epi32(nibbles), less);
    const __m256i hi = _mm256_sub_epi32(_mm256_cvtepu8_epi32(_mm_srli_si128(nibbles, 8)), less);
    return {_mm256_cvtepi32_ps(lo), _mm256_cvtepi32_ps(hi)};
}
inline void store_f16(uint16_t* p, Lanes x) {
    constexpr int kRound = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(x.lo, kRound));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), _mm256_cvtps_ph(x.hi, kRound));
}
inline __m256 widen_i8(__m128i bytes) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
}
inline Lanes load_i8(const int8_t* p) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return {widen_i8(bytes), widen_i8(_mm_srli_si128(bytes, 8))};
}
inline void store_i8(int8_t* p, Lanes x) {
    const __m256i words = _mm256_packs_epi32(_mm256_cvtps_epi32(x.lo), _mm256_cvtps_epi32(x.hi));
    const __m256i ordered = _mm256_permute4x64_epi64(words, 0b11'01'10'00);
    _mm_storeu_si128(
        reinterpret_cast<__m128i*>(p),
        _mm_packs_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1)));
}

inline Lanes add(Lanes a, Lanes b) {
    return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
inline Lanes sub(Lanes a, Lanes b) {
    return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
inline Lanes mul(Lanes a, Lanes b) {
    return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
inline Lanes div(Lanes a, Lanes b) {
    return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}
inline Lanes fma(Lanes a, Lanes b, Lanes c) {
    return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
inline Lanes abs(Lanes a) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return {_mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi)};
}
inline Lanes max(Lanes a, Lanes b) {
    return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
}
inline Lanes round_even(Lanes a) {
    constexpr int kRound = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    return {_mm256_round_ps(a.lo, kRound), _mm256_round_ps(a.hi, kRound)};
}
inline Lanes where_less(Lanes a, Lanes b, Lanes yes, Lanes no) {
    return {_mm256_blendv_ps(no.lo, yes.lo, _mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ)),
            _mm256_blendv_ps(no.hi, yes.hi, _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ))};
}
inline bool all_less(Lanes a, Lanes b) {
    return _mm256_movemask_ps(_mm256_and_ps(_mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ),
                                            _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ))) == 0xff;
}
inline bool any_nan(Lanes a) {
    return _mm256_movemask_ps(_mm256_or_ps(_mm256_cmp_ps(a.lo, a.lo, _CMP_UNORD_Q),
                                           _mm256_cmp_ps(a.hi, a.hi, _CMP_UNORD_Q))) != 0;
}

inline __m256 times_power_of_two(__m256 x, __m256 n) {
    const __m256i whole = _mm256_cvtps_epi32(n);
    const __m256i first = _mm256_srai_epi32(whole, 1);
    const __m256i second = _mm256_sub_epi32(whole, first);
    const __m256i bias = _mm256_set1_epi32(127);
    const __m256 a = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(first, bias), 23));
    const __m256 b = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(second, bias), 23));
    return _mm256_mul_ps(_mm256_mul_ps(x, a), b);
}
inline Lanes times_power_of_two(Lanes x, Lanes n) {
    return {times_power_of_two(x.lo, n.lo), times_power_of_two(x.hi, n.hi)};
}

inline float fold_128(__m128 x) {
    const __m128 pairs = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(pairs, _mm_movehdup_ps(pairs)));
}
inline float fold(Lanes x) {
    const __m256 eight = _mm256_add_ps(x.lo, x.hi);
    return fold_128(_mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1)));
}
inline float largest_lane(Lanes x) {
    const __m256 eight = _mm256_max_ps(x.lo, x.hi);
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

inline Lanes swap_pairs(Lanes x) {
    return {_mm256_permute_ps(x.lo, 0b10'11'00'01), _mm256_permute_ps(x.hi, 0b10'11'00'01)};
}
inline Lanes sub_add(Lanes a, Lanes b) {
    return {_mm256_addsub_ps(a.lo, b.lo), _mm256_addsub_ps(a.hi, b.hi)};
}
inline __m256 twice(__m128 x) {
    return _mm256_set_m128(_mm_unpackhi_ps(x, x), _mm_unpacklo_ps(x, x));
}
inline Lanes load_twice(const float* p) {
    return {twice(_mm_loadu_ps(p)), twice(_mm_loadu_ps(p + 4))};
}

}  // namespace

}  // namespace weir::kernels
