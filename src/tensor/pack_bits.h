#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/blocks.h"

// What the two ways of quantizing (quantize.cpp, quantize_search.cpp) share.
namespace weir::tensor {

inline float inverse(float value) {
    return value == 0.0f ? 0.0f : 1.0f / value;
}

inline int rounded(float value, int low, int high) {
    return static_cast<int>(
        std::clamp(std::nearbyint(value), static_cast<float>(low), static_cast<float>(high)));
}

// The element of largest magnitude, with its sign.
inline float extreme(std::span<const float> values) {
    float found = 0.0f;
    for (const float value : values) {
        if (std::fabs(value) > std::fabs(found)) {
            found = value;
        }
    }
    return found;
}

// The inverse of unpack_scales_q4_k.
inline void pack_scales_q4_k(const std::array<int, 8>& scale, const std::array<int, 8>& minimum,
                             uint8_t (&packed)[12]) {
    for (size_t j = 0; j < 4; ++j) {
        packed[j] = static_cast<uint8_t>(scale[j] | ((scale[j + 4] >> 4) << 6));
        packed[j + 4] = static_cast<uint8_t>(minimum[j] | ((minimum[j + 4] >> 4) << 6));
        packed[j + 8] = static_cast<uint8_t>((scale[j + 4] & 15) | ((minimum[j + 4] & 15) << 4));
    }
}

// Bits of element l of sub-block s, into a block whose bits there are zero.
inline void put_q4_k(BlockQ4_K& block, size_t s, size_t l, int q) {
    block.q[32 * (s / 2) + l] |= static_cast<uint8_t>(s % 2 == 0 ? q : q << 4);
}

inline void put_q5_k(BlockQ5_K& block, size_t s, size_t l, int q) {
    block.q[32 * (s / 2) + l] |= static_cast<uint8_t>(s % 2 == 0 ? q & 15 : (q & 15) << 4);
    block.high[l] |= static_cast<uint8_t>((q >> 4) << s);
}

// The six bits of element e.
inline void put_q6_k(BlockQ6_K& block, size_t e, int q) {
    const size_t half = e / 128;
    const size_t quarter = e % 128 / 32;
    const size_t l = e % 32;
    block.ql[64 * half + 32 * (quarter % 2) + l] |=
        static_cast<uint8_t>((q & 15) << (4 * (quarter / 2)));
    block.qh[32 * half + l] |= static_cast<uint8_t>((q >> 4) << (2 * quarter));
}

}  // namespace weir::tensor
