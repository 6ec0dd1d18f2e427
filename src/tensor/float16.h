#pragma once

#include <bit>
#include <cstdint>

// Conversions between float32 and the 16- and 8-bit formats, as bit patterns. Widening is exact;
// narrowing rounds to nearest, ties to even, keeps infinities, and keeps a NaN a (quiet) NaN.
namespace weir::tensor {

constexpr float f32_from_f16(uint16_t half) {
    const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
    const uint32_t exponent = (half >> 10) & 0x1fu;
    const uint32_t fraction = half & 0x3ffu;
    if (exponent == 0x1f) {  // infinity, or NaN made quiet
        const uint32_t quiet = fraction != 0 ? 0x400000u : 0u;
        return std::bit_cast<float>(sign | 0x7f800000u | quiet | (fraction << 13));
    }
    if (exponent == 0) {  // zero or subnormal: fraction * 2^-24, exact
        const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
        return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
    }
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
}

constexpr uint16_t f16_from_f32(float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    const uint32_t sign = (bits >> 16) & 0x8000u;
    const uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) {  // NaN: quiet, with what fits of its payload
        return static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
    }
    if (magnitude >= 0x477ff000u) {  // 65520 and above round to infinity
        return static_cast<uint16_t>(sign | 0x7c00u);
    }
    if (magnitude < 0x38800000u) {  // below 2^-14: adding 0.5 aligns the units to 2^-24
        const float aligned = std::bit_cast<float>(magnitude) + 0.5f;
        return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(aligned) - 0x3f000000u));
    }
    const uint32_t odd = (magnitude >> 13) & 1u;
    return static_cast<uint16_t>(sign | ((magnitude - (112u << 23) + 0xfffu + odd) >> 13));
}

constexpr float f32_from_bf16(uint16_t value) {
    return std::bit_cast<float>(static_cast<uint32_t>(value) << 16);
}

constexpr uint16_t bf16_from_f32(float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
        return static_cast<uint16_t>((bits >> 16) | 0x40u);
    }
    return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

// OCP E4M3 ("FN"): bias 7, no infinities, 0x7f and 0xff are NaN, the largest number is 448.
constexpr float f32_from_e4m3(uint8_t value) {
    const uint32_t magnitude = value & 0x7fu;
    if (magnitude == 0x7f) {
        return std::bit_cast<float>(0x7fc00000u | (static_cast<uint32_t>(value & 0x80u) << 24));
    }
    // The same bits as a float16 are the number divided by 2^8.
    const auto half = static_cast<uint16_t>(((value & 0x80u) << 8) | (magnitude << 7));
    return f32_from_f16(half) * 256.0f;
}

// Rounds to nearest, ties to even; what is larger than 448 becomes 448, NaN stays NaN.
constexpr uint8_t e4m3_from_f32(float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    const uint32_t sign = (bits >> 24) & 0x80u;
    const uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) {
        return static_cast<uint8_t>(sign | 0x7fu);
    }
    if (magnitude >= 0x43e00000u) {  // 448
        return static_cast<uint8_t>(sign | 0x7eu);
    }
    if (magnitude < 0x3c800000u) {  // below 2^-6: adding 2^14 aligns the units to 2^-9
        const float aligned = std::bit_cast<float>(magnitude) + 0x1p14f;
        return static_cast<uint8_t>(sign | (std::bit_cast<uint32_t>(aligned) - 0x46800000u));
    }
    const uint32_t odd = (magnitude >> 20) & 1u;
    return static_cast<uint8_t>(sign | ((magnitude - (120u << 23) + 0x7ffffu + odd) >> 20));
}

// 2^(exponent - 128), of every exponent: half of what an E8M0 scale says.
constexpr float half_of_e8m0(uint8_t exponent) {
    const uint32_t bits = exponent < 2 ? 0x00200000u << exponent : (exponent - 1u) << 23;
    return std::bit_cast<float>(bits);
}

}  // namespace weir::tensor
