#pragma once

// What the vector kernels share, over sixteen lanes: the exponential and the walk over a row.
// Included by each variant's file after its Lanes. Everything here and in the other .inc.h files
// has internal linkage, so that it is compiled for the including file's CPU and for no other.
namespace weir::kernels {

namespace {

constexpr float kInfinity = __builtin_inff();

// reference/exp.h
inline Lanes exp(Lanes x) {
    const Lanes n = round_even(mul(x, set1(1.44269504f)));
    Lanes r = fma(n, set1(-0.693359375f), x);
    r = fma(n, set1(2.12194440e-4f), r);
    Lanes p = set1(1.0f / 5040);
    p = fma(p, r, set1(1.0f / 720));
    p = fma(p, r, set1(1.0f / 120));
    p = fma(p, r, set1(1.0f / 24));
    p = fma(p, r, set1(1.0f / 6));
    p = fma(p, r, set1(0.5f));
    p = fma(p, r, set1(1.0f));
    p = fma(p, r, set1(1.0f));
    Lanes result = times_power_of_two(p, n);
    result = where_less(x, set1(-87.3365f), zero(), result);
    return where_less(set1(88.7228f), x, set1(kInfinity), result);
}

// reference::soft_capped
inline Lanes soft_capped(Lanes x, Lanes cap, Lanes factor) {
    const Lanes t = exp(mul(abs(x), factor));
    const Lanes magnitude = mul(div(sub(set1(1.0f), t), add(set1(1.0f), t)), cap);
    return where_less(x, zero(), mul(magnitude, set1(-1.0f)), magnitude);
}

// Calls full(i) for every sixteen elements and part(i, count) for what is left.
template <typename Full, typename Part>
inline void for_lanes(size_t count, const Full& full, const Part& part) {
    size_t i = 0;
    for (; i + 16 <= count; i += 16) {
        full(i);
    }
    if (i < count) {
        part(i, count - i);
    }
}

inline float first_lane(Lanes x) {
    alignas(64) float lanes[16];
    store(lanes, x);
    return lanes[0];
}

inline size_t lower(size_t a, size_t b) {
    return a < b ? a : b;
}
inline size_t higher(size_t a, size_t b) {
    return a > b ? a : b;
}

}  // namespace

}  // namespace weir::kernels
