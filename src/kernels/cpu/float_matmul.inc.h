#pragma once

// Products with F32, F16, BF16, F8_E4M3 and Q4_G128 weights over sixteen lanes; see matmul.h for
// the order of sums. Included once by each variant's file, after its Lanes and lanes.inc.h.
//
// A tile is kRows rows of weights times kColumns rows of activations, each pair with a register of
// sixteen partial sums. A whole part (64 rows of weights) is run through by one column tile before
// the next, so the weights come from the second-level cache and the activations from the first.
namespace weir::kernels {

namespace {

// Columns i … i + 15 of a row of weights (get_part: `count` of them, then zeros).
struct F32Weights {
    static Lanes get(const MatmulPart& part, size_t row, size_t i) {
        return load(reinterpret_cast<const float*>(at(part, row, i)));
    }
    static Lanes get_part(const MatmulPart& part, size_t row, size_t i, size_t count) {
        return load_part(reinterpret_cast<const float*>(at(part, row, i)), count);
    }
    static const uint8_t* at(const MatmulPart& part, size_t row, size_t i) {
        return part.weight + row * part.weight_stride + i * 4;
    }
};
inline const uint8_t* half_at(const MatmulPart& part, size_t row, size_t i) {
    return part.weight + row * part.weight_stride + i * 2;
}
struct F16Weights {
    static Lanes get(const MatmulPart& part, size_t row, size_t i) {
        return load_f16(half_at(part, row, i));
    }
    static Lanes get_part(const MatmulPart& part, size_t row, size_t i, size_t count) {
        return load_f16_part(half_at(part, row, i), count);
    }
};
struct BF16Weights {
    static Lanes get(const MatmulPart& part, size_t row, size_t i) {
        return load_bf16(half_at(part, row, i));
    }
    static Lanes get_part(const MatmulPart& part, size_t row, size_t i, size_t count) {
        return load_bf16_part(half_at(part, row, i), count);
    }
};
// Tiles of 128 columns begin at multiples of sixteen, so that sixteen columns have one scale.
struct F8Weights {
    static Lanes get(const MatmulPart& part, size_t row, size_t i) {
        return mul(load_e4m3(part.weight + row * part.weight_stride + i), scale(part, row, i));
    }
    static Lanes get_part(const MatmulPart& part, size_t row, size_t i, size_t count) {
        return mul(load_e4m3_part(part.weight + row * part.weight_stride + i, count),
                   scale(part, row, i));
    }
    static Lanes scale(const MatmulPart& part, size_t row, size_t i) {
        constexpr size_t kTile = 128;
        return part.scales == nullptr
                   ? set1(1.0f)
                   : set1(part.scales[(part.scales_first_row + row) / kTile * part.scales_stride +
                                      i / kTile]);
    }
};

// Rows are whole blocks of 128, so that there never is a part of sixteen columns.
struct GroupWeights {
    static Lanes get(const MatmulPart& part, size_t row, size_t i) {
        using Block = tensor::BlockQ4_G128;
        const uint8_t* block =
            part.weight + row * part.weight_stride + i / Block::kElements * sizeof(Block);
        const size_t sub_block = i % Block::kElements / 32;
        uint16_t d;
        __builtin_memcpy(&d, block, sizeof(d));
        return mul(set1(widen_half(d)), load_nibbles(block + offsetof(Block, q) + 16 * sub_block,
                                                     i % 32 / 16, block[offsetof(Block, zero)]));
    }
    static Lanes get_part(const MatmulPart& part, size_t row, size_t i, size_t) {
        return get(part, row, i);
    }
};

template <typename Weights, size_t kRows, size_t kColumns>
inline void float_tile(const MatmulPart& part, size_t row, size_t column) {
    const size_t columns = part.x->columns;
    const float* x = part.x->values + column * columns;
    Lanes sums[kRows][kColumns];
    for (auto& of_row : sums) {
        for (Lanes& sum : of_row) {
            sum = zero();
        }
    }
    const auto accumulate = [&](const auto& get_w, const auto& get_x) {
        Lanes xs[kColumns];
#pragma GCC unroll 8
        for (size_t c = 0; c < kColumns; ++c) {
            xs[c] = get_x(x + c * columns);
        }
#pragma GCC unroll 8
        for (size_t r = 0; r < kRows; ++r) {
            const Lanes weights = get_w(row + r);
#pragma GCC unroll 8
            for (size_t c = 0; c < kColumns; ++c) {
                sums[r][c] = fma(weights, xs[c], sums[r][c]);
            }
        }
    };
    for_lanes(
        columns,
        [&](size_t i) {
            accumulate([&](size_t of_row) { return Weights::get(part, of_row, i); },
                       [&](const float* p) { return load(p + i); });
        },
        [&](size_t i, size_t n) {
            accumulate([&](size_t of_row) { return Weights::get_part(part, of_row, i, n); },
                       [&](const float* p) { return load_part(p + i, n); });
        });
    for (size_t r = 0; r < kRows; ++r) {
        for (size_t c = 0; c < kColumns; ++c) {
            part.out[(column + c) * part.out_stride + row + r] = fold(sums[r][c]);
        }
    }
}

template <typename Weights, size_t kColumns>
void float_columns(const MatmulPart& part, size_t column) {
    constexpr size_t kRows =
        Lanes::kRegisters >= 32 ? (kColumns == 1 ? 8 : 4) : (kColumns == 1 ? 4 : 2);
    size_t row = part.begin;
    for (; row + kRows <= part.end; row += kRows) {
        float_tile<Weights, kRows, kColumns>(part, row, column);
    }
    for (; row < part.end; ++row) {
        float_tile<Weights, 1, kColumns>(part, row, column);
    }
}

template <typename Weights>
void matmul_float(const MatmulPart& part) {
    constexpr size_t kWide = Lanes::kRegisters >= 32 ? 5 : 2;
    size_t column = 0;
    for (; column + kWide <= part.x->rows; column += kWide) {
        float_columns<Weights, kWide>(part, column);
    }
    for (; column < part.x->rows; ++column) {
        float_columns<Weights, 1>(part, column);
    }
}

}  // namespace

}  // namespace weir::kernels
