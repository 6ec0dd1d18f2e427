#pragma once

// Products with F32, F16 and BF16 weights over sixteen lanes; see matmul.h for the order of sums.
// Included once by each variant's file, after its Lanes and lanes.inc.h.
//
// A tile is kRows rows of weights times kColumns rows of activations, each pair with a register of
// sixteen partial sums. A whole part (64 rows of weights) is run through by one column tile before
// the next, so the weights come from the second-level cache and the activations from the first.
namespace weir::kernels {

namespace {

struct F32Weights {
    static constexpr size_t kBytes = 4;
    static Lanes get(const uint8_t* p) { return load(reinterpret_cast<const float*>(p)); }
    static Lanes get_part(const uint8_t* p, size_t count) {
        return load_part(reinterpret_cast<const float*>(p), count);
    }
};
struct F16Weights {
    static constexpr size_t kBytes = 2;
    static Lanes get(const uint8_t* p) { return load_f16(p); }
    static Lanes get_part(const uint8_t* p, size_t count) { return load_f16_part(p, count); }
};
struct BF16Weights {
    static constexpr size_t kBytes = 2;
    static Lanes get(const uint8_t* p) { return load_bf16(p); }
    static Lanes get_part(const uint8_t* p, size_t count) { return load_bf16_part(p, count); }
};

template <typename Weights, size_t kRows, size_t kColumns>
inline void float_tile(const MatmulPart& part, size_t row, size_t column) {
    const size_t columns = part.x->columns;
    const uint8_t* w = part.weight + row * part.weight_stride;
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
            const Lanes weights = get_w(w + r * part.weight_stride);
#pragma GCC unroll 8
            for (size_t c = 0; c < kColumns; ++c) {
                sums[r][c] = fma(weights, xs[c], sums[r][c]);
            }
        }
    };
    for_lanes(
        columns,
        [&](size_t i) {
            accumulate([&](const uint8_t* p) { return Weights::get(p + i * Weights::kBytes); },
                       [&](const float* p) { return load(p + i); });
        },
        [&](size_t i, size_t n) {
            accumulate(
                [&](const uint8_t* p) { return Weights::get_part(p + i * Weights::kBytes, n); },
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
