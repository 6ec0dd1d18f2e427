#pragma once

// Types with activations in blocks of 256 (matmul.h). Included once by each variant's file, after
// quant32.inc.h.
namespace weir::kernels {

namespace {

// What all products with blocks of 256 have alike.
struct Shape256 {
    static constexpr size_t kBlock = 256;
    static constexpr size_t kGroup = kHalves * kLanes;
    static constexpr size_t kColumnsMax = kTileColumns;
    static constexpr size_t kFewColumns = kFewActivations;
    static constexpr size_t kFewBlocks = 1;
    static constexpr size_t kPanelGroups = kernels::kPanelGroups;
    static constexpr size_t kPanelBlocks = 4;
};

template <size_t kColumns>
inline void load_all_sums(const GroupSums& sums, Floats (&acc)[kHalves][kColumns]) {
#pragma GCC unroll 8
    for (size_t c = 0; c < kColumns; ++c) {
#pragma GCC unroll 2
        for (size_t h = 0; h < kHalves; ++h) {
            acc[h][c] = load_sums(sums, h, c);
        }
    }
}

template <size_t kColumns>
inline void store_all_sums(const GroupSums& sums, const Floats (&acc)[kHalves][kColumns]) {
#pragma GCC unroll 8
    for (size_t c = 0; c < kColumns; ++c) {
#pragma GCC unroll 2
        for (size_t h = 0; h < kHalves; ++h) {
            store_sums(sums, h, c, acc[h][c]);
        }
    }
}

// The sum of `kPairs` pairs of numbers times the sums of a block's activations.
template <size_t kPairs>
inline Bytes times_sums(const Bytes (&pairs)[kPairs], const int16_t* activation_sums) {
    Bytes sum = zeros();
#pragma GCC unroll 8
    for (size_t i = 0; i < kPairs; ++i) {
        sum = add_word_products(sum, pairs[i], broadcast_four(activation_sums + 2 * i));
    }
    return sum;
}

// The products of sub-block s of the packed halves with the activations at `a`, from zero.
template <Range kRange, size_t kFours, typename Half, size_t kColumns>
inline void dot_sub_block(const Half (&halves)[kHalves], size_t s, const int8_t* a, size_t stride,
                          Bytes (&dots)[kHalves][kColumns]) {
    const Bytes* weights[kHalves];
#pragma GCC unroll 2
    for (size_t h = 0; h < kHalves; ++h) {
        weights[h] = halves[h].weights[s];
    }
#pragma GCC unroll 8
    for (size_t c = 0; c < kColumns; ++c) {
#pragma GCC unroll 2
        for (size_t h = 0; h < kHalves; ++h) {
            dots[h][c] = zeros();
        }
    }
    dot_tile<kRange, kFours>(weights, a, stride, dots);
}

// ---- Q4_K and Q5_K: eight sub-blocks of 32 with scales and minima -------------------------------

struct alignas(64) HalfAffine {
    Bytes weights[8][8];  // [sub-block][four columns]
    Floats scales[8];     // whole numbers
    Bytes minima[4];      // pairs of int16: sub-blocks 2i and 2i + 1
    Floats d;
    Floats dmin;
};

struct PackedAffine {
    HalfAffine halves[kHalves];
};

// Sub-blocks are added up as floats without rounding, as many (kSubBlocks) as keep the sum below
// 2^24: that saves the integer product with the scale.
//   Q4_K: 4 * 32 * 15 * 127 * 63     Q5_K: 2 * 32 * 31 * 127 * 63
template <Range kRange, size_t kSubBlocks>
struct ProductAffine : Shape256 {
    using Packed = PackedAffine;

    template <size_t kColumns>
    static void multiply(const Packed* packed, size_t blocks, const ActivationForms& x,
                         size_t column, size_t block, const GroupSums& sums) {
        const size_t row_blocks = x.columns / kBlock;
        const int8_t* a = x.q8k.values + column * x.columns + block * kBlock;
        const float* scales = x.q8k.scales + column * row_blocks + block;
        const int16_t* activation_sums = x.q8k.sums32 + (column * row_blocks + block) * 8;
        Floats acc[kHalves][kColumns];
        load_all_sums(sums, acc);
        for (size_t b = 0; b < blocks; ++b) {
            const HalfAffine(&halves)[kHalves] = packed[b].halves;
#pragma GCC unroll 1
            for (size_t first = 0; first < 8; first += kSubBlocks) {
                Floats totals[kHalves][kColumns];
#pragma GCC unroll 8
                for (size_t c = 0; c < kColumns; ++c) {
#pragma GCC unroll 2
                    for (size_t h = 0; h < kHalves; ++h) {
                        totals[h][c] = no_floats();
                    }
                }
#pragma GCC unroll 1
                for (size_t s = first; s < first + kSubBlocks; ++s) {
                    add_sub_block(halves, s, a + b * kBlock + 32 * s, x.columns, totals);
                }
                for (size_t c = 0; c < kColumns; ++c) {
                    const Floats da = splat(scales[c * row_blocks + b]);
                    for (size_t h = 0; h < kHalves; ++h) {
                        acc[h][c] = fma(totals[h][c], mul(halves[h].d, da), acc[h][c]);
                    }
                }
            }
            for (size_t c = 0; c < kColumns; ++c) {
                const int16_t* pairs = activation_sums + (c * row_blocks + b) * 8;
                const Floats da = splat(scales[c * row_blocks + b]);
                for (size_t h = 0; h < kHalves; ++h) {
                    const Bytes minimum = times_sums(halves[h].minima, pairs);
                    acc[h][c] = negated_fma(to_floats(minimum), mul(halves[h].dmin, da), acc[h][c]);
                }
            }
        }
        store_all_sums(sums, acc);
    }

    // totals += scale * (products of sub-block s)
    template <size_t kColumns>
    static inline void add_sub_block(const HalfAffine (&halves)[kHalves], size_t s, const int8_t* a,
                                     size_t stride, Floats (&totals)[kHalves][kColumns]) {
        Bytes dots[kHalves][kColumns];
        dot_sub_block<kRange, 8>(halves, s, a, stride, dots);
#pragma GCC unroll 2
        for (size_t h = 0; h < kHalves; ++h) {
            const Floats scale = halves[h].scales[s];
#pragma GCC unroll 8
            for (size_t c = 0; c < kColumns; ++c) {
                totals[h][c] = fma(to_floats(dots[h][c]), scale, totals[h][c]);
            }
        }
    }
};

// The top two bits of every byte, where the sixth and fifth belong.
inline Bytes high_two(Bytes x) {
    return both(right<2>(x), splat8(0x30));
}

// d and dmin, and the twelve bytes of scales after them; four scales (or minima) are the bytes of a
// dword. See tensor::unpack_scales_q4_k.
inline void unpack_affine_scales(LaneRows rows, size_t offset, HalfAffine& out) {
    Bytes header[4];
    load_16(rows, offset, header);
    out.d = widen_low_halves(header[0]);
    out.dmin = widen_low_halves(right<16>(header[0]));
    const Bytes six = splat8(63);
    const Bytes four = splat8(15);
    const Bytes scales[2] = {both(header[1], six),
                             either(both(header[3], four), high_two(header[1]))};
    const Bytes minima[2] = {both(header[2], six),
                             either(both(right<4>(header[3]), four), high_two(header[2]))};
#pragma GCC unroll 8
    for (int s = 0; s < 8; ++s) {
        out.scales[s] = to_floats(both(right_by(scales[s / 4], s % 4 * 8), splat32(255)));
    }
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
        out.minima[2 * i] = widen_two<false>(minima[i]);
        out.minima[2 * i + 1] = widen_two<true>(minima[i]);
    }
}

inline void unpack_affine_nibbles(LaneRows rows, size_t offset, HalfAffine& out) {
    const Bytes low = splat8(15);
#pragma GCC unroll 4
    for (size_t g = 0; g < 4; ++g) {
        Bytes nibbles[8];
        load_32(rows, offset + 32 * g, nibbles);
#pragma GCC unroll 8
        for (size_t j = 0; j < 8; ++j) {
            out.weights[2 * g][j] = both(nibbles[j], low);
            out.weights[2 * g + 1][j] = both(right<4>(nibbles[j]), low);
        }
    }
}

struct FormatQ4_K {
    static constexpr size_t kBlockBytes = sizeof(tensor::BlockQ4_K);
    using Product = ProductAffine<Range::Bits4, 4>;

    static void pack(const Rows& rows, size_t block, PackedAffine& out) {
        for_halves(rows, block * kBlockBytes, [&](LaneRows half, size_t offset, size_t h) {
            unpack_affine_scales(half, offset, out.halves[h]);
            unpack_affine_nibbles(half, offset + offsetof(tensor::BlockQ4_K, q), out.halves[h]);
        });
    }
};

struct FormatQ5_K {
    static constexpr size_t kBlockBytes = sizeof(tensor::BlockQ5_K);
    using Product = ProductAffine<Range::Bits5, 2>;

    static void pack(const Rows& rows, size_t block, PackedAffine& out) {
        for_halves(rows, block * kBlockBytes, [&](LaneRows half, size_t offset, size_t h) {
            HalfAffine& packed = out.halves[h];
            unpack_affine_scales(half, offset, packed);
            unpack_affine_nibbles(half, offset + offsetof(tensor::BlockQ5_K, q), packed);
            Bytes high[8];
            load_32(half, offset + offsetof(tensor::BlockQ5_K, high), high);
            const Bytes fifth = splat8(16);
#pragma GCC unroll 8
            for (size_t j = 0; j < 8; ++j) {
                const Bytes up = left<4>(high[j]);  // its bit 4 is bit 0 of `high`
                const Bytes bits[8] = {
                    up,      right<1>(up),      right<2>(up),      right<3>(up),
                    high[j], right<1>(high[j]), right<2>(high[j]), right<3>(high[j])};
#pragma GCC unroll 8
                for (size_t s = 0; s < 8; ++s) {
                    packed.weights[s][j] = either(packed.weights[s][j], both(bits[s], fifth));
                }
            }
        });
    }
};

// ---- Q6_K, Q3_K and Q2_K: sixteen sub-blocks of 16 ----------------------------------------------

struct alignas(64) Half16 {
    Bytes weights[16][4];  // [sub-block][four columns], six bits, offset 32
    Bytes scales[16];      // int32
    Bytes pairs[8];        // the same as pairs of int16
    Floats d;
};

// For Q2_K: no offset, minima instead.
struct alignas(64) Half16WithMinima {
    Bytes weights[16][4];
    Bytes scales[16];
    Bytes minima[8];  // pairs of int16
    Floats d;
    Floats dmin;
};

template <typename Half>
struct Packed16 {
    Half halves[kHalves];
};

template <Range kRange, typename Half>
struct Product16 : Shape256 {
    using Packed = Packed16<Half>;

    static constexpr bool kHasMinima = requires(Half half) { half.minima; };

    template <size_t kColumns>
    static void multiply(const Packed* packed, size_t blocks, const ActivationForms& x,
                         size_t column, size_t block, const GroupSums& sums) {
        const size_t row_blocks = x.columns / kBlock;
        const int8_t* a = x.q8k.values + column * x.columns + block * kBlock;
        const float* scales = x.q8k.scales + column * row_blocks + block;
        const int16_t* activation_sums = x.q8k.sums16 + (column * row_blocks + block) * 16;
        Floats acc[kHalves][kColumns];
        load_all_sums(sums, acc);
        for (size_t b = 0; b < blocks; ++b) {
            const Half(&halves)[kHalves] = packed[b].halves;
            Bytes totals[kHalves][kColumns];
            for (size_t c = 0; c < kColumns; ++c) {
                for (size_t h = 0; h < kHalves; ++h) {
                    totals[h][c] = start(halves[h], activation_sums + (c * row_blocks + b) * 16);
                }
            }
#pragma GCC unroll 1
            for (size_t s = 0; s < 16; ++s) {
                Bytes dots[kHalves][kColumns];
                dot_sub_block<kRange, 4>(halves, s, a + b * kBlock + 16 * s, x.columns, dots);
#pragma GCC unroll 2
                for (size_t h = 0; h < kHalves; ++h) {
                    const Bytes scale = halves[h].scales[s];
#pragma GCC unroll 8
                    for (size_t c = 0; c < kColumns; ++c) {
                        totals[h][c] = add32(totals[h][c], mul32(dots[h][c], scale));
                    }
                }
            }
            for (size_t c = 0; c < kColumns; ++c) {
                const Floats da = splat(scales[c * row_blocks + b]);
                for (size_t h = 0; h < kHalves; ++h) {
                    acc[h][c] = fma(to_floats(totals[h][c]), mul(halves[h].d, da), acc[h][c]);
                    if constexpr (kHasMinima) {
                        const Bytes minimum = times_sums(
                            halves[h].minima, activation_sums + (c * row_blocks + b) * 16);
                        acc[h][c] =
                            negated_fma(to_floats(minimum), mul(halves[h].dmin, da), acc[h][c]);
                    }
                }
            }
        }
        store_all_sums(sums, acc);
    }

    // What the weights' offset of 32 adds to a sum, to be taken away: -32 * scales * sums of 16.
    static Bytes start(const Half& half, const int16_t* activation_sums) {
        if constexpr (kHasMinima) {
            return zeros();
        } else {
            return sub32(zeros(), left<5>(times_sums(half.pairs, activation_sums)));
        }
    }
};

// Sixteen scales, the bytes of four dwords, as numbers with their signs.
inline void widen_scales(const Bytes (&bytes)[4], Bytes (&scales)[16]) {
#pragma GCC unroll 16
    for (int s = 0; s < 16; ++s) {
        // The byte s % 4 of each dword, moved to the top and back.
        scales[s] = right_signed<24>(left_by(bytes[s / 4], 24 - 8 * (s % 4)));
    }
}

inline void join_pairs(const Bytes (&numbers)[16], Bytes (&pairs)[8]) {
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; ++i) {
        pairs[i] = join_words(numbers[2 * i], numbers[2 * i + 1]);
    }
}

using PackedOffset16 = Packed16<Half16>;

struct FormatQ6_K {
    static constexpr size_t kBlockBytes = sizeof(tensor::BlockQ6_K);
    using Product = Product16<Range::Bits6, Half16>;

    static void pack(const Rows& rows, size_t block, PackedOffset16& out) {
        for_halves(rows, block * kBlockBytes, [&](LaneRows half, size_t offset, size_t h) {
            unpack(half, offset, out.halves[h]);
        });
    }

    static void unpack(LaneRows rows, size_t offset, Half16& out) {
        const Bytes low = splat8(15);
        const Bytes two = splat8(0x30);
#pragma GCC unroll 1
        for (size_t half = 0; half < 2; ++half) {
            Bytes ql[2][8];
            Bytes qh[8];
            load_32(rows, offset + 64 * half, ql[0]);
            load_32(rows, offset + 64 * half + 32, ql[1]);
            load_32(rows, offset + offsetof(tensor::BlockQ6_K, qh) + 32 * half, qh);
#pragma GCC unroll 8
            for (size_t j = 0; j < 8; ++j) {
                const Bytes high[4] = {left<4>(qh[j]), left<2>(qh[j]), qh[j], right<2>(qh[j])};
#pragma GCC unroll 4
                for (size_t quarter = 0; quarter < 4; ++quarter) {
                    const Bytes bits = quarter < 2 ? ql[quarter][j] : right<4>(ql[quarter - 2][j]);
                    out.weights[8 * half + 2 * quarter + j / 4][j % 4] =
                        either(both(bits, low), both(high[quarter], two));
                }
            }
        }
        Bytes scales[4];
        load_16(rows, offset + offsetof(tensor::BlockQ6_K, scales), scales);
        widen_scales(scales, out.scales);
        join_pairs(out.scales, out.pairs);
        // The scale is the last of the block, so the dword that it ends is read, never past the
        // row.
        const size_t end = offset + offsetof(tensor::BlockQ6_K, d) - sizeof(uint16_t);
        out.d = widen_low_halves(right<16>(load_dword(rows, end)));
    }
};

struct FormatQ3_K {
    static constexpr size_t kBlockBytes = sizeof(tensor::BlockQ3_K);
    using Product = FormatQ6_K::Product;  // with 28 added to its three bits: 4 become 32

    static void pack(const Rows& rows, size_t block, PackedOffset16& out) {
        for_halves(rows, block * kBlockBytes, [&](LaneRows half, size_t offset, size_t h) {
            unpack(half, offset, out.halves[h]);
        });
    }

    static void unpack(LaneRows rows, size_t offset, Half16& out) {
        const Bytes three = splat8(3);
        const Bytes four = splat8(4);
        const Bytes up = splat8(28);
        Bytes high[8];
        load_32(rows, offset + offsetof(tensor::BlockQ3_K, high), high);
#pragma GCC unroll 1
        for (size_t half = 0; half < 2; ++half) {
            Bytes q[8];
            load_32(rows, offset + offsetof(tensor::BlockQ3_K, q) + 32 * half, q);
#pragma GCC unroll 8
            for (size_t j = 0; j < 8; ++j) {
                const Bytes low[4] = {q[j], right<2>(q[j]), right<4>(q[j]), right<6>(q[j])};
                const Bytes third[4] = {left<2>(high[j]), left<1>(high[j]), high[j],
                                        right<1>(high[j])};
#pragma GCC unroll 4
                for (size_t quarter = 0; quarter < 4; ++quarter) {
                    const Bytes bits =
                        either(both(low[quarter], three), both(third[quarter], four));
                    out.weights[8 * half + 2 * quarter + j / 4][j % 4] = add8(bits, up);
                }
                high[j] = right<4>(high[j]);  // the second half's four
            }
        }
        unpack_scales(rows, offset + offsetof(tensor::BlockQ3_K, scales), out);
        const size_t end = offset + offsetof(tensor::BlockQ3_K, d) - sizeof(uint16_t);
        out.d = widen_low_halves(right<16>(load_dword(rows, end)));
    }

    // tensor::unpack_scales_q3_k, four scales in a dword.
    static void unpack_scales(LaneRows rows, size_t offset, Half16& out) {
        const Bytes first = load_dword(rows, offset);
        const Bytes second = load_dword(rows, offset + 4);
        const Bytes high = load_dword(rows, offset + 8);
        const Bytes low = splat8(15);
        const Bytes two = splat8(0x30);
        const Bytes bias = splat8(32);
        const Bytes scales[4] = {
            sub8(either(both(first, low), both(left<4>(high), two)), bias),
            sub8(either(both(second, low), both(left<2>(high), two)), bias),
            sub8(either(both(right<4>(first), low), both(high, two)), bias),
            sub8(either(both(right<4>(second), low), both(right<2>(high), two)), bias)};
        widen_scales(scales, out.scales);
        join_pairs(out.scales, out.pairs);
    }
};

struct FormatQ2_K {
    static constexpr size_t kBlockBytes = sizeof(tensor::BlockQ2_K);
    using Product = Product16<Range::Bits4, Half16WithMinima>;

    static void pack(const Rows& rows, size_t block, Packed16<Half16WithMinima>& out) {
        for_halves(rows, block * kBlockBytes, [&](LaneRows half, size_t offset, size_t h) {
            unpack(half, offset, out.halves[h]);
        });
    }

    static void unpack(LaneRows rows, size_t offset, Half16WithMinima& out) {
        const Bytes three = splat8(3);
#pragma GCC unroll 1
        for (size_t half = 0; half < 2; ++half) {
            Bytes q[8];
            load_32(rows, offset + offsetof(tensor::BlockQ2_K, q) + 32 * half, q);
#pragma GCC unroll 8
            for (size_t j = 0; j < 8; ++j) {
                const Bytes bits[4] = {q[j], right<2>(q[j]), right<4>(q[j]), right<6>(q[j])};
#pragma GCC unroll 4
                for (size_t quarter = 0; quarter < 4; ++quarter) {
                    out.weights[8 * half + 2 * quarter + j / 4][j % 4] = both(bits[quarter], three);
                }
            }
        }
        Bytes scales[4];
        load_16(rows, offset + offsetof(tensor::BlockQ2_K, scales), scales);
        Bytes minima[4];
        const Bytes four = splat8(15);
#pragma GCC unroll 4
        for (size_t i = 0; i < 4; ++i) {
            minima[i] = both(right<4>(scales[i]), four);
            scales[i] = both(scales[i], four);
            out.minima[2 * i] = widen_two<false>(minima[i]);
            out.minima[2 * i + 1] = widen_two<true>(minima[i]);
        }
        widen_scales(scales, out.scales);
        const Bytes both_floats = load_dword(rows, offset + offsetof(tensor::BlockQ2_K, d));
        out.d = widen_low_halves(both_floats);
        out.dmin = widen_low_halves(right<16>(both_floats));
    }
};

// ---- IQ4_XS: eight sub-blocks of 32 with signed scales ------------------------------------------

struct alignas(64) HalfIQ4_XS {
    Bytes weights[8][8];  // [sub-block][four columns], as signed_weights gives them
    Bytes scales[8];      // int32
    Bytes pairs[4];       // the same as pairs of int16
    Floats d;
};

struct PackedIQ4_XS {
    HalfIQ4_XS halves[kHalves];
};

struct ProductIQ4_XS : Shape256 {
    using Packed = PackedIQ4_XS;

    template <size_t kColumns>
    static void multiply(const Packed* packed, size_t blocks, const ActivationForms& x,
                         size_t column, size_t block, const GroupSums& sums) {
        const size_t row_blocks = x.columns / kBlock;
        const int8_t* a = x.q8k.values + column * x.columns + block * kBlock;
        const float* scales = x.q8k.scales + column * row_blocks + block;
        const int16_t* activation_sums = x.q8k.sums32 + (column * row_blocks + block) * 8;
        Floats acc[kHalves][kColumns];
        load_all_sums(sums, acc);
        for (size_t b = 0; b < blocks; ++b) {
            const HalfIQ4_XS(&halves)[kHalves] = packed[b].halves;
            Bytes totals[kHalves][kColumns];
            for (size_t c = 0; c < kColumns; ++c) {
                for (size_t h = 0; h < kHalves; ++h) {
                    totals[h][c] = start(halves[h], activation_sums + (c * row_blocks + b) * 8);
                }
            }
#pragma GCC unroll 1
            for (size_t s = 0; s < 8; ++s) {
                Bytes dots[kHalves][kColumns];
                dot_sub_block<Range::Signed8, 8>(halves, s, a + b * kBlock + 32 * s, x.columns,
                                                 dots);
#pragma GCC unroll 2
                for (size_t h = 0; h < kHalves; ++h) {
                    const Bytes scale = halves[h].scales[s];
#pragma GCC unroll 8
                    for (size_t c = 0; c < kColumns; ++c) {
                        totals[h][c] = add32(totals[h][c], mul32(dots[h][c], scale));
                    }
                }
            }
            for (size_t c = 0; c < kColumns; ++c) {
                const Floats da = splat(scales[c * row_blocks + b]);
                for (size_t h = 0; h < kHalves; ++h) {
                    acc[h][c] = fma(to_floats(totals[h][c]), mul(halves[h].d, da), acc[h][c]);
                }
            }
        }
        store_all_sums(sums, acc);
    }

    static Bytes start(const HalfIQ4_XS& half, const int16_t* activation_sums) {
        return kSignedHasOffset ? sub32(zeros(), left<7>(times_sums(half.pairs, activation_sums)))
                                : zeros();
    }
};

struct FormatIQ4_XS {
    static constexpr size_t kBlockBytes = sizeof(tensor::BlockIQ4_XS);
    using Product = ProductIQ4_XS;

    static void pack(const Rows& rows, size_t block, PackedIQ4_XS& out) {
        for_halves(rows, block * kBlockBytes, [&](LaneRows half, size_t offset, size_t h) {
            HalfIQ4_XS& packed = out.halves[h];
#pragma GCC unroll 1
            for (size_t s = 0; s < 8; ++s) {
                split_nibbles(half, offset + offsetof(tensor::BlockIQ4_XS, q) + 16 * s,
                              packed.weights[s]);
#pragma GCC unroll 8
                for (Bytes& weights : packed.weights[s]) {
                    weights = signed_weights(look_up(tensor::kIQ4Values, weights));
                }
            }
            unpack_scales(half, offset, packed);
        });
    }

    static void unpack_scales(LaneRows rows, size_t offset, HalfIQ4_XS& out) {
        const Bytes header = load_dword(rows, offset);  // d, and the high bits of the scales
        const Bytes low = load_dword(rows, offset + offsetof(tensor::BlockIQ4_XS, scales_low));
        const Bytes four = splat32(15);
        const Bytes two = splat32(3);
#pragma GCC unroll 8
        for (int s = 0; s < 8; ++s) {
            const Bytes high = both(right_by(header, 16 + 2 * s), two);
            out.scales[s] =
                sub32(either(both(right_by(low, 4 * s), four), left<4>(high)), splat32(32));
        }
#pragma GCC unroll 4
        for (size_t i = 0; i < 4; ++i) {
            out.pairs[i] = join_words(out.scales[2 * i], out.scales[2 * i + 1]);
        }
        out.d = widen_low_halves(header);
    }
};

}  // namespace

}  // namespace weir::kernels
