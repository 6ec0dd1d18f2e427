#include "kernels/attention.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "kernels/kernel_table.h"
#include "kernels/thread_pool.h"

namespace weir::kernels {

namespace {

static_assert(kAttentionChunk % 64 == 0);  // whole blocks of every size that a cache has

void check_layout(const KvLayout& layout) {
    const bool is_int8 = layout.dtype == tensor::DType::Q8_0;
    WEIR_ASSERT(layout.dtype == tensor::DType::F32 || layout.dtype == tensor::DType::F16 ||
                is_int8);
    WEIR_ASSERT(!is_int8 || (layout.value_dim > 0 && layout.key_dim <= kInt8HeadDimMax &&
                             layout.value_dim <= kInt8HeadDimMax));
    WEIR_ASSERT(layout.block_tokens % 16 == 0 && kAttentionChunk % layout.block_tokens == 0);
    WEIR_ASSERT(layout.kv_heads > 0);
}

size_t value_dim(const AttentionArgs& args) {
    return args.layout.value_dim > 0 ? args.layout.value_dim : args.value_dim;
}

template <typename Element, typename Convert>
void write_token(const KvLayout& layout, std::byte* part, size_t slot, const float* k,
                 const float* v, const Convert& convert) {
    for (size_t h = 0; h < layout.kv_heads; ++h) {
        auto* keys = reinterpret_cast<Element*>(part + h * layout.head_bytes());
        Element* values = keys + layout.key_dim * layout.block_tokens;
        if (layout.value_dim > 0) {
            convert(v + h * layout.value_dim, layout.value_dim, values + slot * layout.value_dim);
        }
        // The key goes across: one element into each of key_dim rows.
        std::array<Element, 64> piece;
        for (size_t d = 0; d < layout.key_dim; d += piece.size()) {
            const size_t count = std::min(piece.size(), layout.key_dim - d);
            convert(k + h * layout.key_dim + d, count, piece.data());
            for (size_t i = 0; i < count; ++i) {
                keys[(d + i) * layout.block_tokens + slot] = piece[i];
            }
        }
    }
}

// One head's key or value: whole numbers `value_stride` apart, scales `scale_stride` apart.
void write_int8(const KernelSet& kernels, const float* x, size_t dim, int8_t* values,
                size_t value_stride, float* scales, size_t scale_stride) {
    constexpr size_t kBlock = KvLayout::kScaledTogether;
    for (size_t d = 0; d < dim; d += kBlock) {
        const size_t count = std::min(kBlock, dim - d);
        std::array<float, kBlock> row{};
        std::array<int8_t, kBlock> quantized;
        int32_t bias = 0;
        std::copy_n(x + d, count, row.begin());
        kernels.quantize_q8(row.data(), kBlock, quantized.data(),
                            scales + d / kBlock * scale_stride, &bias);
        for (size_t i = 0; i < count; ++i) {
            values[(d + i) * value_stride] = quantized[i];
        }
    }
}

void write_token_int8(const KernelSet& kernels, const KvLayout& layout, std::byte* part,
                      size_t slot, const float* k, const float* v) {
    const size_t tokens = layout.block_tokens;
    const size_t value_scales = layout.token_bytes(layout.value_dim) - layout.value_dim;
    for (size_t h = 0; h < layout.kv_heads; ++h) {
        std::byte* const keys = part + h * layout.head_bytes();
        std::byte* const values = keys + tokens * layout.token_bytes(layout.key_dim);
        write_int8(kernels, k + h * layout.key_dim, layout.key_dim,
                   reinterpret_cast<int8_t*>(keys) + slot, tokens,
                   reinterpret_cast<float*>(keys + tokens * layout.key_dim) + slot, tokens);
        write_int8(
            kernels, v + h * layout.value_dim, layout.value_dim,
            reinterpret_cast<int8_t*>(values) + slot * layout.value_dim, 1,
            reinterpret_cast<float*>(values + tokens * layout.value_dim + slot * value_scales), 1);
    }
}

KvStorage storage_of(tensor::DType dtype) {
    return dtype == tensor::DType::F32   ? KvStorage::F32
           : dtype == tensor::DType::F16 ? KvStorage::F16
                                         : KvStorage::Int8;
}

// Tokens [begin, end) of `rows` that one call may take together: of one sequence, in order.
size_t run_end(std::span<const QueryRow> rows, size_t begin, size_t tokens_max) {
    size_t end = begin + 1;
    while (end < rows.size() && end - begin < tokens_max &&
           rows[end].sequence == rows[begin].sequence &&
           rows[end].key_begin >= rows[end - 1].key_begin &&
           rows[end].key_end >= rows[end - 1].key_end) {
        ++end;
    }
    return end;
}

// Query heads of one KV head are taken in slices when there are more than one call can hold.
struct Slices {
    size_t group;   // query heads per KV head
    size_t size;    // query heads per call
    size_t count;   // calls per KV head
    size_t tokens;  // most tokens per call

    explicit Slices(size_t heads_per_kv_head)
        : group(heads_per_kv_head),
          size(std::min(group, kAttentionVectors)),
          count((group + size - 1) / size),
          tokens(kAttentionVectors / size) {}
};

void attend(const KernelSet& kernels, const AttentionArgs& args, size_t begin, size_t end,
            size_t kv_head, size_t slice, const Slices& slices) {
    const KvLayout& layout = args.layout;
    std::array<uint32_t, kAttentionVectors> begins{};
    std::array<uint32_t, kAttentionVectors> ends{};
    for (size_t i = begin; i < end; ++i) {
        WEIR_ASSERT(args.rows[i].key_begin < args.rows[i].key_end);
        begins[i - begin] = args.rows[i].key_begin;
        ends[i - begin] = args.rows[i].key_end;
    }
    const size_t first = slice * slices.size;
    const size_t head = kv_head * slices.group + first;
    kernels.attention({
        .blocks = args.sequences[args.rows[begin].sequence].blocks,
        .head_offset = args.layer_offset + kv_head * layout.head_bytes(),
        .block_tokens = layout.block_tokens,
        .key_dim = layout.key_dim,
        .value_dim = value_dim(args),
        .values_in_keys = layout.value_dim == 0,
        .storage = storage_of(layout.dtype),
        .tokens = end - begin,
        .key_begins = begins.data(),
        .key_ends = ends.data(),
        .group = std::min(slices.size, slices.group - first),
        .scale = args.scale,
        .soft_cap = args.soft_cap,
        .sinks = args.sinks == nullptr ? nullptr : args.sinks + head,
        .q = args.q + begin * args.q_stride + head * layout.key_dim,
        .q_stride = args.q_stride,
        .out = args.out + begin * args.out_stride + head * value_dim(args),
        .out_stride = args.out_stride,
    });
}

}  // namespace

void write_kv(const Compute& compute, const KvWrite& args) {
    const KvLayout& layout = args.layout;
    check_layout(layout);
    const size_t rows = args.positions.size();
    WEIR_ASSERT(args.sequence_of.size() == rows);
    constexpr size_t kSerialElements = 1 << 14;
    const size_t grain =
        1 + kSerialElements / (layout.kv_heads * (layout.key_dim + layout.value_dim));
    compute.pool.parallel_for(rows, grain, [&](size_t begin, size_t end) {
        for (size_t r = begin; r < end; ++r) {
            const size_t position = args.positions[r];
            std::byte* part =
                args.sequences[args.sequence_of[r]].blocks[position / layout.block_tokens] +
                args.layer_offset;
            const size_t slot = position % layout.block_tokens;
            const float* k = args.k + r * args.k_stride;
            const float* v = args.v + r * args.v_stride;
            if (layout.dtype == tensor::DType::F32) {
                write_token<float>(layout, part, slot, k, v,
                                   [](const float* from, size_t count, float* to) {
                                       std::memcpy(to, from, count * sizeof(float));
                                   });
            } else if (layout.dtype == tensor::DType::Q8_0) {
                write_token_int8(compute.kernels, layout, part, slot, k, v);
            } else {
                write_token<uint16_t>(layout, part, slot, k, v, compute.kernels.f16_from_f32);
            }
        }
    });
}

void attention(const Compute& compute, const AttentionArgs& args) {
    check_layout(args.layout);
    WEIR_ASSERT(args.heads % args.layout.kv_heads == 0);
    WEIR_ASSERT(args.layout.value_dim > 0 ||
                (args.value_dim <= args.layout.key_dim && args.value_dim <= kLatentValuesMax));
    const Slices slices(args.heads / args.layout.kv_heads);
    const size_t columns = args.layout.kv_heads * slices.count;

    // A part is at most `tokens` rows and one column. Rows are grouped again inside a part, since
    // the rows of a batch change sequence anywhere.
    const size_t tiles = (args.rows.size() + slices.tokens - 1) / slices.tokens;
    compute.pool.parallel_for(tiles * columns, 1, [&](size_t part_begin, size_t part_end) {
        for (size_t part = part_begin; part < part_end; ++part) {
            const size_t tile_begin = part / columns * slices.tokens;
            const size_t tile_end = std::min(args.rows.size(), tile_begin + slices.tokens);
            const size_t column = part % columns;
            for (size_t begin = tile_begin; begin < tile_end;) {
                const size_t end = run_end(args.rows.first(tile_end), begin, slices.tokens);
                attend(compute.kernels, args, begin, end, column / slices.count,
                       column % slices.count, slices);
                begin = end;
            }
        }
    });
}

}  // namespace weir::kernels
