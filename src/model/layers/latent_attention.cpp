#include "model/layers/latent_attention.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>
#include <vector>

#include "kernels/matmul.h"
#include "kernels/thread_pool.h"
#include "model/layers/linear.h"
#include "model/layers/temperature.h"
#include "model/weight_binder.h"
#include "tensor/quantize.h"

namespace weir::model {

namespace {

struct Weights {
    std::optional<Linear> q_a;            // [query_rank, hidden]
    std::span<const float> q_a_norm;      // [query_rank]
    Linear q;                             // [heads * (nope + rope), query_rank or hidden]
    Linear kv_a;                          // [kv_rank + rope, hidden]
    std::span<const float> kv_a_norm;     // [kv_rank]
    std::vector<tensor::MatrixView> k_b;  // [heads] of [kv_rank, nope]
    std::vector<tensor::MatrixView> v_b;  // [heads] of [value, kv_rank]
    Linear output;                        // [hidden, heads * value]
};

// Rows that are absorbed together: a head's query grows from nope to kv_rank + rope numbers, and
// with all heads of all rows of a pass that would be most of the scratch.
size_t tile_rows(size_t rows) {
    constexpr size_t kTile = 64;
    return std::min(rows, kTile);
}

class LatentAttention final : public TokenMixer {
  public:
    LatentAttention(const TransformerConfig& config, uint32_t layer, Weights weights)
        : weights_(std::move(weights)),
          shape_(*config.latent),
          heads_(config.heads),
          visible_(config.layer[layer].visible),
          rope_(config.layer[layer].rope.value_or(0)),
          scale_(static_cast<float>(config.attention_scale != 0
                                        ? config.attention_scale
                                        : 1 / std::sqrt(static_cast<double>(query_dim())))),
          temperature_(config.temperature) {}

    StateNeed state() const override {
        return {
            .kv = KvNeed{
                .kv_heads = 1, .key_dim = shape_.key_dim(), .value_dim = 0, .visible = visible_}};
    }

    uint64_t scratch_bytes(size_t rows) const override {
        const uint64_t pairs = uint64_t{tile_rows(rows)} * heads_;
        return float_bytes(rows, heads_ * query_dim()) + float_bytes(rows, shape_.query_rank) +
               float_bytes(rows, shape_.kv_rank) + float_bytes(rows, shape_.key_dim()) +
               float_bytes(rows, heads_ * shape_.value_dim) + float_bytes(pairs, shape_.nope_dim) +
               float_bytes(pairs, shape_.key_dim()) + 2 * float_bytes(pairs, shape_.kv_rank) +
               array_bytes<kernels::MatmulJob>(heads_) +
               ScratchArena::padded(quantized_bytes(rows));
    }

    void run(const Pass& pass, const LayerMemory& memory, const LayerInput& input,
             std::span<float> out) const override {
        const Scratch scratch(*this, pass);
        project_queries(pass, input, scratch);
        keep_keys(pass, memory, input, scratch);
        for (size_t at = 0; at < pass.rows; at += tile_rows(pass.rows)) {
            attend(pass, memory, scratch, at, std::min(tile_rows(pass.rows), pass.rows - at));
        }
        kernels::Activations mixed(scratch.mixed.data(), pass.rows, heads_ * shape_.value_dim,
                                   scratch.quantized);
        multiply(pass.compute, weights_.output, mixed, out);
    }

  private:
    struct Scratch {
        std::span<float> q;      // [rows, heads, nope + rope]
        std::span<float> q_a;    // [rows, query_rank]
        std::span<float> c;      // [rows, kv_rank]
        std::span<float> key;    // [rows, kv_rank + rope]
        std::span<float> mixed;  // [rows, heads, value]
        // Of one tile:
        std::span<float> nope;               // [heads, tile, nope]
        std::span<float> absorbed;           // [tile, heads, kv_rank + rope]
        std::span<float> means;              // [tile, heads, kv_rank]
        std::span<float> by_head;            // [heads, tile, kv_rank], the same
        std::span<kernels::MatmulJob> jobs;  // [heads]
        std::span<std::byte> quantized;

        Scratch(const LatentAttention& a, const Pass& pass) {
            const LatentConfig& s = a.shape_;
            const size_t pairs = tile_rows(pass.rows) * a.heads_;
            ScratchArena& arena = pass.scratch;
            q = arena.take_floats(pass.rows * a.heads_ * a.query_dim());
            q_a = arena.take_floats(pass.rows * s.query_rank);
            c = arena.take_floats(pass.rows * s.kv_rank);
            key = arena.take_floats(pass.rows * s.key_dim());
            mixed = arena.take_floats(pass.rows * a.heads_ * s.value_dim);
            nope = arena.take_floats(pairs * s.nope_dim);
            absorbed = arena.take_floats(pairs * s.key_dim());
            means = arena.take_floats(pairs * s.kv_rank);
            by_head = arena.take_floats(pairs * s.kv_rank);
            jobs = arena.take_array<kernels::MatmulJob>(a.heads_);
            quantized = arena.take(a.quantized_bytes(pass.rows));
        }
    };

    size_t query_dim() const { return size_t{shape_.nope_dim} + shape_.rope_dim; }

    size_t quantized_bytes(size_t rows) const {
        const size_t pairs = tile_rows(rows) * heads_;
        const size_t widest = std::max<size_t>(shape_.query_rank, heads_ * shape_.value_dim);
        return std::max(
            kernels::Activations::scratch_bytes(rows, widest),
            kernels::Activations::scratch_bytes(pairs, std::max(shape_.nope_dim, shape_.kv_rank)));
    }

    void project_queries(const Pass& pass, const LayerInput& input, const Scratch& scratch) const {
        const size_t width = heads_ * query_dim();
        if (weights_.q_a) {
            multiply(pass.compute, *weights_.q_a, input.x, scratch.q_a);
            kernels::rms_norm(pass.compute, scratch.q_a.data(), pass.rows, shape_.query_rank,
                              weights_.q_a_norm, shape_.norm_epsilon, scratch.q_a.data());
            kernels::Activations q_a(scratch.q_a.data(), pass.rows, shape_.query_rank,
                                     scratch.quantized);
            multiply(pass.compute, weights_.q, q_a, scratch.q);
        } else {
            multiply(pass.compute, weights_.q, input.x, scratch.q);
        }
        kernels::rope(pass.compute, pass.ropes[rope_], pass.row_numbers, heads_, query_dim(),
                      scratch.q.data() + shape_.nope_dim, width);
        if (temperature_) {
            heat(pass, *temperature_, width, scratch.q);
        }
    }

    // [c | pe] of every row, into the cache.
    void keep_keys(const Pass& pass, const LayerMemory& memory, const LayerInput& input,
                   const Scratch& scratch) const {
        const size_t rank = shape_.kv_rank;
        const size_t width = shape_.key_dim();
        const std::array jobs = {
            kernels::MatmulJob{.weight = weights_.kv_a.weight.slice(0, rank),
                               .out = scratch.c.data(),
                               .out_stride = rank},
            kernels::MatmulJob{.weight = weights_.kv_a.weight.slice(rank, shape_.rope_dim),
                               .out = scratch.key.data() + rank,
                               .out_stride = width},
        };
        kernels::matmul(pass.compute, input.x, jobs);
        if (const std::span bias = weights_.kv_a.bias; !bias.empty()) {
            kernels::add_bias(pass.compute, bias.first(rank), pass.rows, scratch.c.data());
        }
        kernels::rms_norm(pass.compute, scratch.c.data(), pass.rows, rank, weights_.kv_a_norm,
                          shape_.norm_epsilon, scratch.c.data());
        for (size_t r = 0; r < pass.rows; ++r) {
            std::ranges::copy(scratch.c.subspan(r * rank, rank),
                              scratch.key.begin() + static_cast<std::ptrdiff_t>(r * width));
            for (size_t i = rank; !weights_.kv_a.bias.empty() && i < width; ++i) {
                scratch.key[r * width + i] += weights_.kv_a.bias[i];
            }
        }
        kernels::rope(pass.compute, pass.ropes[rope_], pass.row_numbers, 1, width,
                      scratch.key.data() + rank, width);
        const GroupRows& group = pass.groups[memory.group];
        kernels::write_kv(pass.compute, {.layout = group.layout,
                                         .layer_offset = memory.kv_offset,
                                         .sequences = group.sequences,
                                         .sequence_of = pass.sequence_of,
                                         .positions = pass.positions,
                                         .k = scratch.key.data(),
                                         .k_stride = width});
    }

    // Rows [first, first + rows) of the pass.
    void attend(const Pass& pass, const LayerMemory& memory, const Scratch& scratch, size_t first,
                size_t rows) const {
        absorb(pass, scratch, first, rows);
        const GroupRows& group = pass.groups[memory.group];
        kernels::attention(pass.compute, {.layout = group.layout,
                                          .layer_offset = memory.kv_offset,
                                          .sequences = group.sequences,
                                          .rows = std::span(group.queries).subspan(first, rows),
                                          .heads = heads_,
                                          .value_dim = shape_.kv_rank,
                                          .scale = scale_,
                                          .q = scratch.absorbed.data(),
                                          .q_stride = heads_ * shape_.key_dim(),
                                          .out = scratch.means.data(),
                                          .out_stride = heads_ * shape_.kv_rank});
        expand(pass, scratch, first, rows);
    }

    // Wk^T q.nope beside q.rope, for every head.
    void absorb(const Pass& pass, const Scratch& scratch, size_t first, size_t rows) const {
        const size_t nope = shape_.nope_dim;
        const size_t width = shape_.key_dim();
        pass.compute.pool.parallel_for(rows * heads_, 64, [&](size_t begin, size_t end) {
            for (size_t i = begin; i < end; ++i) {
                const size_t row = i / heads_;
                const size_t head = i % heads_;
                const float* q = scratch.q.data() + (first * heads_ + i) * query_dim();
                std::copy_n(q, nope, scratch.nope.data() + (head * rows + row) * nope);
                std::copy_n(q + nope, shape_.rope_dim,
                            scratch.absorbed.data() + i * width + shape_.kv_rank);
            }
        });
        for (size_t head = 0; head < heads_; ++head) {
            scratch.jobs[head] = {.weight = weights_.k_b[head],
                                  .out = scratch.absorbed.data() + head * width,
                                  .out_stride = heads_ * width,
                                  .first_row = head * rows,
                                  .rows = rows};
        }
        kernels::Activations q(scratch.nope.data(), rows * heads_, nope, scratch.quantized);
        kernels::matmul(pass.compute, q, scratch.jobs);
    }

    // Wv times what attention gave, for every head.
    void expand(const Pass& pass, const Scratch& scratch, size_t first, size_t rows) const {
        const size_t rank = shape_.kv_rank;
        const size_t value = shape_.value_dim;
        pass.compute.pool.parallel_for(rows * heads_, 64, [&](size_t begin, size_t end) {
            for (size_t i = begin; i < end; ++i) {
                std::copy_n(scratch.means.data() + i * rank, rank,
                            scratch.by_head.data() + (i % heads_ * rows + i / heads_) * rank);
            }
        });
        for (size_t head = 0; head < heads_; ++head) {
            scratch.jobs[head] = {
                .weight = weights_.v_b[head],
                .out = scratch.mixed.data() + first * heads_ * value + head * value,
                .out_stride = heads_ * value,
                .first_row = head * rows,
                .rows = rows};
        }
        kernels::Activations means(scratch.by_head.data(), rows * heads_, rank, scratch.quantized);
        kernels::matmul(pass.compute, means, scratch.jobs);
    }

    Weights weights_;
    LatentConfig shape_;
    size_t heads_;
    Visibility visible_;
    uint32_t rope_;
    float scale_;
    std::optional<QueryTemperature> temperature_;
};

bool is_plain_float(tensor::DType dtype) {
    return dtype == tensor::DType::F32 || dtype == tensor::DType::F16 ||
           dtype == tensor::DType::BF16;
}

// A head's keys' part of Wkvb, [nope, kv_rank], transposed into `to`.
void transpose_head(const tensor::MatrixView& from, tensor::DType to_dtype, std::byte* to) {
    const size_t element = tensor::info(to_dtype).block_bytes;
    std::vector<float> widened(from.columns);
    for (size_t r = 0; r < from.rows; ++r) {
        const std::byte* row = from.row(r);
        if (from.dtype != to_dtype) {
            tensor::dequantize_row(from, r, widened);
            row = reinterpret_cast<const std::byte*>(widened.data());
        }
        for (size_t c = 0; c < from.columns; ++c) {
            std::memcpy(to + (c * from.rows + r) * element, row + c * element, element);
        }
    }
}

// Wk and Wv of every head, out of the whole.
Result<void> split_kv_b(WeightBinder& in, const LatentConfig& shape, uint32_t heads, Weights& out) {
    const size_t nope = shape.nope_dim;
    const size_t rank = shape.kv_rank;
    const size_t head_rows = nope + shape.value_dim;
    WEIR_TRY_ASSIGN(const auto whole, in.matrix("attn_kv_b.weight", heads * head_rows, rank));
    const tensor::DType dtype = is_plain_float(whole.dtype) ? whole.dtype : tensor::DType::F32;
    const size_t element = tensor::info(dtype).block_bytes;
    const std::span<std::byte> memory = in.own(heads * nope * rank * element);
    for (uint32_t head = 0; head < heads; ++head) {
        const tensor::MatrixView keys = whole.slice(head * head_rows, nope);
        tensor::MatrixView& k_b = out.k_b.emplace_back();
        k_b = {dtype, rank, nope, nope * element, keys.data};  // as it stays where this only counts
        if (!memory.empty()) {
            std::byte* const to = memory.data() + head * nope * rank * element;
            transpose_head(keys, dtype, to);
            k_b.data = to;
        }
        out.v_b.push_back(whole.slice(head * head_rows + nope, shape.value_dim));
    }
    return {};
}

Result<void> bind_kv_b(WeightBinder& in, const LatentConfig& shape, uint32_t heads, Weights& out) {
    if (!in.has("attn_k_b.weight")) {
        return split_kv_b(in, shape, heads, out);
    }
    WEIR_TRY_ASSIGN(const auto k_b,
                    in.stack("attn_k_b.weight", heads, shape.kv_rank, shape.nope_dim));
    WEIR_TRY_ASSIGN(const auto v_b,
                    in.stack("attn_v_b.weight", heads, shape.value_dim, shape.kv_rank));
    in.ignore("attn_kv_b.weight");  // some files have it as well
    for (uint32_t head = 0; head < heads; ++head) {
        out.k_b.push_back(k_b.slice(head * size_t{shape.kv_rank}, shape.kv_rank));
        out.v_b.push_back(v_b.slice(head * size_t{shape.value_dim}, shape.value_dim));
    }
    return {};
}

}  // namespace

Result<std::unique_ptr<TokenMixer>> make_latent_attention(WeightBinder& in,
                                                          const TransformerConfig& config,
                                                          uint32_t layer) {
    const LatentConfig& shape = *config.latent;
    const uint64_t hidden = config.hidden;
    const uint64_t query_rows = uint64_t{config.heads} * (shape.nope_dim + shape.rope_dim);
    Weights weights;
    if (shape.query_rank > 0) {
        WEIR_TRY_ASSIGN(weights.q_a,
                        in.linear("attn_q_a", shape.query_rank, hidden, config.qkv_bias));
        WEIR_TRY_ASSIGN(weights.q_a_norm, in.vector("attn_q_a_norm.weight", shape.query_rank));
        WEIR_TRY_ASSIGN(weights.q,
                        in.linear("attn_q_b", query_rows, shape.query_rank, BiasRule::Never));
    } else {
        WEIR_TRY_ASSIGN(weights.q, in.linear("attn_q", query_rows, hidden, BiasRule::Never));
    }
    WEIR_TRY_ASSIGN(weights.kv_a,
                    in.linear("attn_kv_a_mqa", shape.key_dim(), hidden, config.qkv_bias));
    WEIR_TRY_ASSIGN(weights.kv_a_norm, in.vector("attn_kv_a_norm.weight", shape.kv_rank));
    WEIR_TRY(bind_kv_b(in, shape, config.heads, weights));
    WEIR_TRY_ASSIGN(weights.output,
                    in.linear("attn_output", hidden, uint64_t{config.heads} * shape.value_dim,
                              config.output_bias));
    return std::make_unique<LatentAttention>(config, layer, std::move(weights));
}

}  // namespace weir::model
