#include "kernels/recurrent.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "kernels/kernel_table.h"
#include "kernels/thread_pool.h"

namespace weir::kernels {

namespace {

constexpr size_t kConvolutionColumns = 1024;  // of one part; a multiple of every vector's width
constexpr size_t kDeltaColumns = 64;          // likewise: a state part of 32 KiB for 128 rows

float* state_at(std::byte* memory, size_t offset) {
    return reinterpret_cast<float*>(memory + offset);
}

// The row of u that is `index` rows after the first of the slice's state.
const float* row_with_state(const CausalConvolution& args, const StateRows& slice, size_t index) {
    const size_t kept = args.taps - 1;
    return index < kept ? state_at(slice.memory, args.state_offset) + index * args.channels
                        : args.u + (slice.first_row + index - kept) * args.channels;
}

void convolve(const KernelSet& kernels, const CausalConvolution& args, const StateRows& slice,
              size_t row, size_t begin, size_t end) {
    std::array<const float*, kConvolutionTapsMax> inputs{};
    for (size_t i = 0; i < args.taps; ++i) {
        inputs[i] = row_with_state(args, slice, row + i) + begin;
    }
    kernels.convolution_silu(inputs.data(), args.weight + begin, args.channels, args.taps,
                             end - begin,
                             args.out + (slice.first_row + row) * args.channels + begin);
}

// The last taps - 1 of the rows up to `row` become the state in `memory`. In order: a row that
// moves within the state goes to an earlier place, which has been read.
void keep_rows(const CausalConvolution& args, const StateRows& slice, size_t row,
               std::byte* memory) {
    float* const state = state_at(memory, args.state_offset);
    for (size_t i = 0; i + 1 < args.taps; ++i) {
        std::memmove(state + i * args.channels, row_with_state(args, slice, row + i),
                     args.channels * sizeof(float));
    }
}

// Columns [begin, end) of one value head.
struct DeltaColumns {
    size_t head;
    size_t begin;
    size_t end;
};

// Through rows [from, to) of a slice.
void run_columns(const KernelSet& kernels, const DeltaRule& args, const StateRows& slice,
                 const DeltaColumns& part, size_t from, size_t to) {
    const size_t key_head = args.map == HeadMap::Tiled
                                ? part.head % args.key_heads
                                : part.head / (args.value_heads / args.key_heads);
    const size_t row = slice.first_row + from;
    const size_t value = part.head * args.value_dim + part.begin;
    kernels.delta_rule({
        .tokens = to - from,
        .key_dim = args.key_dim,
        .columns = part.end - part.begin,
        .q = args.q + row * args.stride + key_head * args.key_dim,
        .k = args.k + row * args.stride + key_head * args.key_dim,
        .v = args.v + row * args.stride + value,
        .stride = args.stride,
        .decay = args.decay + row * args.value_heads + part.head,
        .beta = args.beta + row * args.value_heads + part.head,
        .gate_stride = args.value_heads,
        .state = state_at(slice.memory, args.state_offset) +
                 part.head * args.key_dim * args.value_dim + part.begin,
        .state_stride = args.value_dim,
        .out = args.out + row * args.value_heads * args.value_dim + value,
        .out_stride = args.value_heads * args.value_dim,
    });
}

void copy_columns(const DeltaRule& args, const StateRows& slice, const DeltaColumns& part,
                  std::byte* memory) {
    const float* const from = state_at(slice.memory, args.state_offset);
    float* const to = state_at(memory, args.state_offset);
    for (size_t i = 0; i < args.key_dim; ++i) {
        const size_t at = (part.head * args.key_dim + i) * args.value_dim + part.begin;
        std::memcpy(to + at, from + at, (part.end - part.begin) * sizeof(float));
    }
}

void run_slice(const KernelSet& kernels, const DeltaRule& args, const StateRows& slice,
               const DeltaColumns& part) {
    size_t done = 0;
    for (const StateCopy& copy : slice.copies) {
        run_columns(kernels, args, slice, part, done, copy.rows);
        copy_columns(args, slice, part, copy.memory);
        done = copy.rows;
    }
    run_columns(kernels, args, slice, part, done, slice.rows);
}

}  // namespace

void causal_convolution_silu(const Compute& compute, const CausalConvolution& args) {
    WEIR_ASSERT(args.taps > 0 && args.taps <= kConvolutionTapsMax);
    const size_t parts = (args.channels + kConvolutionColumns - 1) / kConvolutionColumns;
    for (const StateRows& slice : args.slices) {
        compute.pool.parallel_for(slice.rows * parts, 8, [&](size_t first, size_t last) {
            for (size_t part = first; part < last; ++part) {
                const size_t begin = part % parts * kConvolutionColumns;
                const size_t end = std::min(args.channels, begin + kConvolutionColumns);
                convolve(compute.kernels, args, slice, part / parts, begin, end);
            }
        });
    }
    compute.pool.parallel_for(args.slices.size(), 1, [&](size_t first, size_t last) {
        for (size_t s = first; s < last; ++s) {
            const StateRows& slice = args.slices[s];
            for (const StateCopy& copy : slice.copies) {
                keep_rows(args, slice, copy.rows, copy.memory);
            }
            keep_rows(args, slice, slice.rows, slice.memory);  // last: the copies read it
        }
    });
}

void l2_normalize(const Compute& compute, float* x, size_t rows, size_t stride, size_t heads,
                  size_t head_dim, float epsilon, float factor) {
    // x / sqrt(sum + e) = x / sqrt(mean + e / n) / sqrt(n)
    const auto count = static_cast<float>(head_dim);
    const float rest = factor / std::sqrt(count);
    constexpr size_t kSerialElements = 1 << 14;
    const size_t grain = 1 + kSerialElements / (heads * head_dim);
    compute.pool.parallel_for(rows, grain, [&](size_t begin, size_t end) {
        for (size_t r = begin; r < end; ++r) {
            float* const row = x + r * stride;
            for (size_t h = 0; h < heads; ++h) {
                float* const head = row + h * head_dim;
                compute.kernels.rms_norm(head, nullptr, head_dim, epsilon / count, head);
            }
            compute.kernels.scale(rest, heads * head_dim, row);
        }
    });
}

void delta_rule(const Compute& compute, const DeltaRule& args) {
    WEIR_ASSERT(args.key_heads > 0 && args.value_heads % args.key_heads == 0);
    const size_t blocks = (args.value_dim + kDeltaColumns - 1) / kDeltaColumns;
    const size_t columns = args.value_heads * blocks;
    compute.pool.parallel_for(args.slices.size() * columns, 1, [&](size_t first, size_t last) {
        for (size_t part = first; part < last; ++part) {
            const size_t begin = part % blocks * kDeltaColumns;
            run_slice(compute.kernels, args, args.slices[part / columns],
                      {.head = part % columns / blocks,
                       .begin = begin,
                       .end = std::min(args.value_dim, begin + kDeltaColumns)});
        }
    });
}

}  // namespace weir::kernels
