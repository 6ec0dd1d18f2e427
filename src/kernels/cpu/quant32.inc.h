#pragma once

// Types with activations in blocks of 32 (matmul.h). Included once by each variant's file, after
// quant.inc.h and its registers.
//
// Weights are made unsigned by an offset; what that adds to a sum is the offset times the sum of
// the block's activations, which is subtracted as an integer: ActivationForms has -128 times it.
namespace weir::kernels {

namespace {

// One block of a group, four columns of all rows in a register.
struct alignas(64) Packed32 {
    Bytes weights[kHalves][8];
    Floats scale[kHalves];
};
struct alignas(64) Packed32WithMinimum {
    Bytes weights[kHalves][8];
    Floats scale[kHalves];
    Floats minimum[kHalves];
};

// The offset of the unpacked weights is 128 >> kOffsetShift, or, if they are signed, what the
// variant makes of them.
template <Range kRange, int kOffsetShift, typename PackedBlock>
struct Product32 {
    using Packed = PackedBlock;
    static constexpr size_t kBlock = 32;
    static constexpr size_t kGroup = kHalves * kLanes;
    static constexpr size_t kColumnsMax = kTileColumns;
    static constexpr size_t kFewColumns = kFewActivations;
    static constexpr size_t kFewBlocks = 8;
    static constexpr size_t kPanelGroups = kernels::kPanelGroups;
    static constexpr size_t kPanelBlocks = 32;

    static constexpr bool kHasMinimum = requires(Packed packed) { packed.minimum; };
    static constexpr bool kHasOffset =
        !kHasMinimum && (kRange != Range::Signed8 || kSignedHasOffset);

    template <size_t kColumns>
    static void multiply(const Packed* packed, size_t blocks, const ActivationForms& x,
                         size_t column, size_t block, const GroupSums& sums) {
        const size_t row_blocks = x.columns / kBlock;
        const int8_t* a = x.q8.values + column * x.columns + block * kBlock;
        const float* scales = x.q8.scales + column * row_blocks + block;
        const int32_t* biases = x.q8.biases + column * row_blocks + block;
        Floats acc[kHalves][kColumns];
#pragma GCC unroll 8
        for (size_t c = 0; c < kColumns; ++c) {
#pragma GCC unroll 2
            for (size_t h = 0; h < kHalves; ++h) {
                acc[h][c] = load_sums(sums, h, c);
            }
        }
        for (size_t b = 0; b < blocks; ++b) {
            Bytes dots[kHalves][kColumns];
#pragma GCC unroll 8
            for (size_t c = 0; c < kColumns; ++c) {
                const Bytes start =
                    kHasOffset ? right_signed<kOffsetShift>(splat32(biases[c * row_blocks + b]))
                               : zeros();
#pragma GCC unroll 2
                for (size_t h = 0; h < kHalves; ++h) {
                    dots[h][c] = start;
                }
            }
            const Bytes* weights[kHalves];
#pragma GCC unroll 2
            for (size_t h = 0; h < kHalves; ++h) {
                weights[h] = packed[b].weights[h];
            }
            dot_tile<kRange, 8>(weights, a + b * kBlock, x.columns, dots);
#pragma GCC unroll 8
            for (size_t c = 0; c < kColumns; ++c) {
                const Floats da = splat(scales[c * row_blocks + b]);
#pragma GCC unroll 2
                for (size_t h = 0; h < kHalves; ++h) {
                    acc[h][c] = fma(to_floats(dots[h][c]), mul(packed[b].scale[h], da), acc[h][c]);
                    if constexpr (kHasMinimum) {
                        const int32_t sum = -(biases[c * row_blocks + b] / 128);
                        acc[h][c] = fma(splat(static_cast<float>(sum)),
                                        mul(packed[b].minimum[h], da), acc[h][c]);
                    }
                }
            }
        }
#pragma GCC unroll 8
        for (size_t c = 0; c < kColumns; ++c) {
#pragma GCC unroll 2
            for (size_t h = 0; h < kHalves; ++h) {
                store_sums(sums, h, c, acc[h][c]);
            }
        }
    }
};

// Low nibbles are the first sixteen columns, high ones the others.
inline void split_nibbles(LaneRows rows, size_t offset, Bytes (&out)[8]) {
    Bytes nibbles[4];
    load_16(rows, offset, nibbles);
    const Bytes low = splat8(15);
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; ++j) {
        out[j] = both(nibbles[j], low);
        out[j + 4] = both(right<4>(nibbles[j]), low);
    }
}

// Bit i of `bits` becomes bit 4 of byte i % 4 of out[i / 4]. The product puts bit k of a nibble
// into byte k, without overlap: n + (n << 7) + (n << 14) + (n << 21).
inline void add_fifth_bits(Bytes bits, Bytes (&out)[8]) {
    const Bytes nibble = splat32(15);
    const Bytes spread = splat32(0x00204081);
    const Bytes lowest = splat8(1);
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
        const Bytes four = both(right_by(bits, 4 * j), nibble);
        out[j] = either(out[j], left<4>(both(mul32(four, spread), lowest)));
    }
}

// Calls unpack(rows of the half, offset of the block, half) for each half.
template <size_t kGroup, typename Unpack>
inline void for_halves(const GroupRows<kGroup>& rows, size_t offset, const Unpack& unpack) {
#pragma GCC unroll 1
    for (size_t h = 0; h < kHalves; ++h) {
        unpack(rows.rows + h * kLanes, offset, h);
    }
}

using Rows = GroupRows<kHalves * kLanes>;

struct FormatQ8_0 {
    static constexpr size_t kBlockBytes = sizeof(tensor::BlockQ8_0);
    using Product = Product32<Range::Signed8, 0, Packed32>;

    static void pack(const Rows& rows, size_t block, Packed32& out) {
        for_halves(rows, block * kBlockBytes, [&](LaneRows half, size_t offset, size_t h) {
            load_32(half, offset + offsetof(tensor::BlockQ8_0, q), out.weights[h]);
#pragma GCC unroll 8
            for (Bytes& weights : out.weights[h]) {
                weights = signed_weights(weights);
            }
            out.scale[h] = widen_low_halves(load_dword(half, offset));
        });
    }
};

struct FormatQ4_0 {
    static constexpr size_t kBlockBytes = sizeof(tensor::BlockQ4_0);
    using Product = Product32<Range::Bits4, 4, Packed32>;  // the offset is 8

    static void pack(const Rows& rows, size_t block, Packed32& out) {
        for_halves(rows, block * kBlockBytes, [&](LaneRows half, size_t offset, size_t h) {
            split_nibbles(half, offset + offsetof(tensor::BlockQ4_0, q), out.weights[h]);
            out.scale[h] = widen_low_halves(load_dword(half, offset));
        });
    }
};

struct FormatQ5_0 {
    static constexpr size_t kBlockBytes = sizeof(tensor::BlockQ5_0);
    using Product = Product32<Range::Bits5, 3, Packed32>;  // the offset is 16

    static void pack(const Rows& rows, size_t block, Packed32& out) {
        for_halves(rows, block * kBlockBytes, [&](LaneRows half, size_t offset, size_t h) {
            split_nibbles(half, offset + offsetof(tensor::BlockQ5_0, q), out.weights[h]);
            add_fifth_bits(load_dword(half, offset + offsetof(tensor::BlockQ5_0, high)),
                           out.weights[h]);
            out.scale[h] = widen_low_halves(load_dword(half, offset));
        });
    }
};

struct FormatQ4_1 {
    static constexpr size_t kBlockBytes = sizeof(tensor::BlockQ4_1);
    using Product = Product32<Range::Bits5, 0, Packed32WithMinimum>;

    static void pack(const Rows& rows, size_t block, Packed32WithMinimum& out) {
        for_halves(rows, block * kBlockBytes, [&](LaneRows half, size_t offset, size_t h) {
            split_nibbles(half, offset + offsetof(tensor::BlockQ4_1, q), out.weights[h]);
            const Bytes both_floats = load_dword(half, offset);
            out.scale[h] = widen_low_halves(both_floats);
            out.minimum[h] = widen_low_halves(right<16>(both_floats));
        });
    }
};

struct FormatQ5_1 {
    static constexpr size_t kBlockBytes = sizeof(tensor::BlockQ5_1);
    using Product = FormatQ4_1::Product;

    static void pack(const Rows& rows, size_t block, Packed32WithMinimum& out) {
        for_halves(rows, block * kBlockBytes, [&](LaneRows half, size_t offset, size_t h) {
            split_nibbles(half, offset + offsetof(tensor::BlockQ5_1, q), out.weights[h]);
            add_fifth_bits(load_dword(half, offset + offsetof(tensor::BlockQ5_1, high)),
                           out.weights[h]);
            const Bytes both_floats = load_dword(half, offset);
            out.scale[h] = widen_low_halves(both_floats);
            out.minimum[h] = widen_low_halves(right<16>(both_floats));
        });
    }
};

struct FormatIQ4_NL {
    static constexpr size_t kBlockBytes = sizeof(tensor::BlockIQ4_NL);
    using Product = FormatQ8_0::Product;

    static void pack(const Rows& rows, size_t block, Packed32& out) {
        for_halves(rows, block * kBlockBytes, [&](LaneRows half, size_t offset, size_t h) {
            split_nibbles(half, offset + offsetof(tensor::BlockIQ4_NL, q), out.weights[h]);
#pragma GCC unroll 8
            for (Bytes& weights : out.weights[h]) {
                weights = signed_weights(look_up(tensor::kIQ4Values, weights));
            }
            out.scale[h] = widen_low_halves(load_dword(half, offset));
        });
    }
};

struct FormatMXFP4 {
    static constexpr size_t kBlockBytes = sizeof(tensor::BlockMXFP4);
    using Product = FormatQ5_0::Product;

    static void pack(const Rows& rows, size_t block, Packed32& out) {
        for_halves(rows, block * kBlockBytes, [&](LaneRows half, size_t offset, size_t h) {
            split_nibbles(half, offset + offsetof(tensor::BlockMXFP4, q), out.weights[h]);
#pragma GCC unroll 8
            for (Bytes& weights : out.weights[h]) {
                weights = add8(look_up(tensor::kMXFP4Doubled, weights), splat8(16));
            }
            out.scale[h] = half_of_e8m0(both(load_dword(half, offset), splat32(255)));
        });
    }

    // tensor/float16.h: 0 and 1 are subnormal numbers.
    static Floats half_of_e8m0(Bytes exponents) {
        Bytes bits = left<23>(sub32(exponents, splat32(1)));
        bits = where_equal32(exponents, splat32(0), splat32(0x00200000), bits);
        return as_floats(where_equal32(exponents, splat32(1), splat32(0x00400000), bits));
    }
};

}  // namespace

}  // namespace weir::kernels
