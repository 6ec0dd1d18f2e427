#pragma once

// What the quantized products of the vector variants have in common: the walk over a part of the
// matrix. Included once by each variant's file, after its target pragma.
//
// A Format says how one type's blocks are unpacked, a Product how unpacked blocks are multiplied;
// types whose unpacked blocks look alike share a Product. A Format gives
//   kBlockBytes                   bytes of a block along a row
//   Product                       what multiplies it
//   pack(rows, block, Packed&)    unpacks a block of kGroup rows and turns it, so that one register
//                                 holds the same few columns of all the rows
// and its Product
//   kBlock                        elements of a block along a row
//   kGroup                        rows that are packed together
//   kColumnsMax                   rows of activations in a tile
//   kFewColumns, kFewBlocks, kPanelGroups, kPanelBlocks   (below)
//   Packed                        one block of kGroup rows, unpacked
//   multiply<n>(packed, blocks, x, column, block, out)
//                                 adds `blocks` packed blocks times n rows of activations to the
//                                 n rows of kGroup sums at `out`, block after block
// Packing costs about as much as two columns of products, so all columns share it: with up to
// kFewColumns activations one packed block after the other is used at once from the first-level
// cache; with more, a panel of kPanelGroups groups by kPanelBlocks blocks is packed into the
// second-level cache and every tile of activations runs over it.
//
// The sums of a group start at zero and go to `out` after each panel and back; storing a float32
// loses nothing, so the chain of sums of an output element is the same however the panels are cut.
namespace weir::kernels {

namespace {

// The rows of a group; those past the end of the part repeat the last one, and are not stored.
template <size_t kGroup>
struct GroupRows {
    alignas(64) const uint8_t* rows[kGroup];
    size_t count;  // 1 … kGroup

    GroupRows(const MatmulPart& part, size_t first)
        : count(part.end - first < kGroup ? part.end - first : kGroup) {
        for (size_t i = 0; i < kGroup; ++i) {
            const size_t row = first + (i < count ? i : count - 1);
            rows[i] = part.weight + row * part.weight_stride;
        }
    }
};

inline size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

// What the unpacked weights of a Product are: signed bytes, or small unsigned ones.
enum class Range { Signed8, Bits6, Bits5, Bits4 };

// Where the sums of a group live between panels: `count` floats of each activation row.
struct GroupSums {
    float* out;
    size_t stride;
    size_t count;
    bool begins;  // the first block of the row: start from zero
};

template <typename Product, size_t kColumns>
inline void columns_step(const typename Product::Packed* packed, size_t blocks,
                         const ActivationForms& x, size_t column, size_t block,
                         const GroupSums& sums) {
    Product::template multiply<kColumns>(
        packed, blocks, x, column, block,
        {sums.out + column * sums.stride, sums.stride, sums.count, sums.begins});
}

// All columns [column, end) of one packed group: as many at once as the registers hold, and what is
// left in one step.
template <typename Product, size_t kColumns = Product::kColumnsMax>
void multiply_columns(const typename Product::Packed* packed, size_t blocks,
                      const ActivationForms& x, size_t column, size_t end, size_t block,
                      const GroupSums& sums) {
    for (; column + kColumns <= end; column += kColumns) {
        columns_step<Product, kColumns>(packed, blocks, x, column, block, sums);
    }
    if constexpr (kColumns > 1) {
        if (column < end) {
            multiply_columns<Product, kColumns - 1>(packed, blocks, x, column, end, block, sums);
        }
    }
}

// One group of rows after the other, each block used as soon as it is packed. The next group of
// the part is fetched meanwhile: its rows follow in memory, but as sixteen interleaved streams the
// hardware would not see it in time.
template <typename Format>
void matmul_few(const MatmulPart& part) {
    using Product = typename Format::Product;
    const ActivationForms& x = *part.x;
    const size_t blocks = x.columns / Product::kBlock;
    constexpr size_t kStep = Product::kFewBlocks;
    constexpr size_t kBytes = Product::kGroup * Format::kBlockBytes;
    typename Product::Packed packed[kStep];
    for (size_t row = part.begin; row < part.end; row += Product::kGroup) {
        const GroupRows<Product::kGroup> rows(part, row);
        const bool is_last = row + Product::kGroup >= part.end;
        const uint8_t* ahead =
            part.weight + (is_last ? row : row + Product::kGroup) * part.weight_stride;
        for (size_t b = 0; b < blocks; b += kStep) {
            const size_t step = smaller(kStep, blocks - b);
            for (size_t i = 0; i < step; ++i) {
                for (size_t byte = 0; byte < kBytes; byte += 64) {
                    __builtin_prefetch(ahead + (b + i) * kBytes + byte, 0, 2);
                }
                Format::pack(rows, b + i, packed[i]);
            }
            multiply_columns<Product>(packed, step, x, 0, x.rows, b,
                                      {part.out + row, part.out_stride, rows.count, b == 0});
        }
    }
}

template <typename Format>
void matmul_many(const MatmulPart& part) {
    using Product = typename Format::Product;
    const ActivationForms& x = *part.x;
    const size_t blocks = x.columns / Product::kBlock;
    constexpr size_t kGroups = Product::kPanelGroups;
    constexpr size_t kBlocks = Product::kPanelBlocks;
    typename Product::Packed panel[kGroups][kBlocks];
    for (size_t row = part.begin; row < part.end; row += kGroups * Product::kGroup) {
        for (size_t b = 0; b < blocks; b += kBlocks) {
            const size_t width = smaller(kBlocks, blocks - b);
            size_t groups = 0;
            size_t counts[kGroups];
            for (size_t r = row; groups < kGroups && r < part.end; r += Product::kGroup, ++groups) {
                const GroupRows<Product::kGroup> rows(part, r);
                counts[groups] = rows.count;
                for (size_t i = 0; i < width; ++i) {
                    Format::pack(rows, b + i, panel[groups][i]);
                }
            }
            for (size_t column = 0; column < x.rows; column += Product::kColumnsMax) {
                const size_t end = smaller(x.rows, column + Product::kColumnsMax);
                for (size_t g = 0; g < groups; ++g) {
                    multiply_columns<Product>(
                        panel[g], width, x, column, end, b,
                        {part.out + row + g * Product::kGroup, part.out_stride, counts[g], b == 0});
                }
            }
        }
    }
}

template <typename Format>
void matmul_quantized(const MatmulPart& part) {
    if (part.x->rows <= Format::Product::kFewColumns) {
        matmul_few<Format>(part);
    } else {
        matmul_many<Format>(part);
    }
}

}  // namespace

}  // namespace weir::kernels
