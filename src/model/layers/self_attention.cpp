#include "model/layers/self_attention.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "kernels/thread_pool.h"
#include "model/layers/linear.h"
#include "model/layers/norm.h"
#include "model/layers/temperature.h"
#include "model/weight_binder.h"

namespace weir::model {

namespace {

struct Weights {
    Linear q;                       // [heads * head_dim, hidden]
    Linear k;                       // [kv_heads * head_dim, hidden]
    Linear v;                       // [kv_heads * head_dim, hidden]
    Linear output;                  // [hidden, heads * head_dim]
    std::span<const float> q_norm;  // as HeadNorm says, or empty
    std::span<const float> k_norm;
    std::span<const float> sinks;  // [heads], or empty
};

class SelfAttention final : public TokenMixer {
  public:
    SelfAttention(const TransformerConfig& config, uint32_t layer, const Weights& weights)
        : weights_(weights),
          heads_(config.heads),
          shape_(config.layer[layer]),
          rotated_(shape_.rope ? config.ropes[*shape_.rope].rotary_dim : 0),
          interleave_(config.qk_rows == QkRows::HalvesToAdjacent),
          head_norm_(config.qk_norm),
          value_norm_(config.value_norm),
          epsilon_(config.norm_epsilon),
          scale_(static_cast<float>(config.attention_scale != 0
                                        ? config.attention_scale
                                        : 1 / std::sqrt(static_cast<double>(shape_.head_dim)))),
          soft_cap_(config.attention_soft_cap),
          gated_(config.attention_output_gate),
          temperature_(config.temperature) {}

    StateNeed state() const override {
        if (shape_.kv_of) {
            return {.reads_layer = shape_.kv_of};
        }
        return {.kv = KvNeed{.kv_heads = shape_.kv_heads,
                             .key_dim = shape_.head_dim,
                             .value_dim = shape_.head_dim,
                             .visible = shape_.visible}};
    }

    uint64_t scratch_bytes(size_t rows) const override {
        const auto floats = [rows](size_t width) {
            return float_bytes(rows, width);
        };
        const uint64_t gates = gated_ ? floats(query_dim()) + floats(2 * query_dim()) : 0;
        return 2 * floats(query_dim()) + 2 * floats(kv_dim()) + gates +
               quantized_bytes(rows, query_dim());
    }

    void run(const Pass& pass, const LayerMemory& memory, const LayerInput& input,
             std::span<float> out) const override {
        ScratchArena& scratch = pass.scratch;
        const std::span q = scratch.take_floats(pass.rows * query_dim());
        const std::span mixed = scratch.take_floats(pass.rows * query_dim());
        const std::span k = scratch.take_floats(pass.rows * kv_dim());
        const std::span v = scratch.take_floats(pass.rows * kv_dim());
        const std::span quantized =
            scratch.take(kernels::Activations::scratch_bytes(pass.rows, query_dim()));

        const std::span gate =
            gated_ ? scratch.take_floats(pass.rows * query_dim()) : std::span<float>();

        project(pass, input.x, {q, k, v, gate});
        place(pass, q, heads_, weights_.q_norm);
        if (temperature_ && (temperature_->rotated_too || !shape_.rope)) {
            heat(pass, *temperature_, query_dim(), q);
        }
        if (!shape_.kv_of) {
            if (value_norm_) {
                kernels::rms_norm(pass.compute, v.data(), pass.rows * shape_.kv_heads,
                                  shape_.head_dim, {}, epsilon_, v.data());
            }
            place(pass, k, shape_.kv_heads, weights_.k_norm);
            write(pass, memory, k, v);
        }
        attend(pass, memory, q, mixed);
        if (gated_) {
            kernels::sigmoid_mul(pass.compute, gate.data(), mixed.data(), mixed.size(),
                                 mixed.data());
        }
        kernels::Activations activations(mixed.data(), pass.rows, query_dim(), quantized);
        multiply(pass.compute, weights_.output, activations, out);
    }

  private:
    struct Projected {
        std::span<float> q, k, v, gate;
    };

    size_t query_dim() const { return size_t{heads_} * shape_.head_dim; }
    size_t kv_dim() const { return size_t{shape_.kv_heads} * shape_.head_dim; }

    void project(const Pass& pass, kernels::Activations& x, const Projected& out) const {
        const std::span q = gated_ ? pass.scratch.take_floats(2 * out.q.size()) : out.q;
        const std::array<LinearJob, 3> jobs = {
            {{&weights_.q, q}, {&weights_.k, out.k}, {&weights_.v, out.v}}};
        const size_t own = shape_.kv_of ? 1 : shape_.keys_are_values ? 2 : 3;
        multiply(pass.compute, x, std::span(jobs).first(own));
        if (own == 2) {
            std::ranges::copy(out.k, out.v.begin());
        }
        if (gated_) {
            separate(pass, q, out.q, out.gate);
        }
    }

    // Each head's query and gate, side by side, into two arrays.
    void separate(const Pass& pass, std::span<const float> both, std::span<float> q,
                  std::span<float> gate) const {
        const size_t head_dim = shape_.head_dim;
        pass.compute.pool.parallel_for(pass.rows, 16, [&](size_t begin, size_t end) {
            for (size_t h = begin * heads_; h < end * heads_; ++h) {
                const float* const from = both.data() + 2 * h * head_dim;
                std::copy_n(from, head_dim, q.data() + h * head_dim);
                std::copy_n(from + head_dim, head_dim, gate.data() + h * head_dim);
            }
        });
    }

    void write(const Pass& pass, const LayerMemory& memory, std::span<const float> k,
               std::span<const float> v) const {
        const GroupRows& group = pass.groups[memory.group];
        kernels::write_kv(pass.compute, {.layout = group.layout,
                                         .layer_offset = memory.kv_offset,
                                         .sequences = group.sequences,
                                         .sequence_of = pass.sequence_of,
                                         .positions = pass.positions,
                                         .k = k.data(),
                                         .k_stride = kv_dim(),
                                         .v = v.data(),
                                         .v_stride = kv_dim()});
    }

    void attend(const Pass& pass, const LayerMemory& memory, std::span<const float> q,
                std::span<float> mixed) const {
        const GroupRows& group = pass.groups[memory.group];
        kernels::attention(pass.compute,
                           {.layout = group.layout,
                            .layer_offset = memory.kv_offset,
                            .sequences = group.sequences,
                            .rows = group.queries,
                            .heads = heads_,
                            .scale = scale_,
                            .soft_cap = soft_cap_,
                            .sinks = weights_.sinks.empty() ? nullptr : weights_.sinks.data(),
                            .q = q.data(),
                            .q_stride = query_dim(),
                            .out = mixed.data(),
                            .out_stride = query_dim()});
    }

    // Norms of the heads, then their positions.
    void place(const Pass& pass, std::span<float> x, uint32_t heads,
               std::span<const float> norm) const {
        if (interleave_) {
            interleave_pairs(pass, x, heads);
        }
        const size_t head_dim = shape_.head_dim;
        switch (head_norm_) {
            case HeadNorm::None:
                break;
            case HeadNorm::Rms:
                kernels::rms_norm(pass.compute, x.data(), pass.rows * heads, head_dim, norm,
                                  epsilon_, x.data());
                break;
            case HeadNorm::LayerEachHead:
                kernels::layer_norm_heads(pass.compute, x.data(), pass.rows, heads, norm, epsilon_,
                                          x.data());
                break;
            case HeadNorm::UnitAfterRope:
                break;
        }
        if (shape_.rope) {
            kernels::rope(pass.compute, pass.ropes[*shape_.rope], pass.row_numbers, heads, head_dim,
                          x.data(), heads * head_dim);
            if (head_norm_ == HeadNorm::UnitAfterRope) {
                kernels::rms_norm(pass.compute, x.data(), pass.rows * heads, head_dim, {}, epsilon_,
                                  x.data());
            }
        }
    }

    // The rotated part of every head from (0, d/2, 1, d/2 + 1, …) as halves to adjacent pairs.
    void interleave_pairs(const Pass& pass, std::span<float> x, size_t heads) const {
        const size_t head_dim = shape_.head_dim;
        const size_t half = rotated_ / 2;
        pass.compute.pool.parallel_for(pass.rows, 16, [&](size_t begin, size_t end) {
            std::array<float, kHeadDimMax> copy;
            for (size_t h = begin * heads; h < end * heads; ++h) {
                const std::span head = x.subspan(h * head_dim, 2 * half);
                std::ranges::copy(head, copy.begin());
                for (size_t i = 0; i < half; ++i) {
                    head[2 * i] = copy[i];
                    head[2 * i + 1] = copy[i + half];
                }
            }
        });
    }

    Weights weights_;
    uint32_t heads_;
    LayerConfig shape_;
    uint32_t rotated_;
    bool interleave_;
    HeadNorm head_norm_;
    bool value_norm_;
    float epsilon_;
    float scale_;
    float soft_cap_;
    bool gated_;
    std::optional<QueryTemperature> temperature_;
};

// One matrix with the rows of q, then k, then v.
Result<void> bind_fused(WeightBinder& in, const TransformerConfig& config, size_t q_rows,
                        size_t kv_rows, Weights& out) {
    WEIR_TRY_ASSIGN(const Linear fused,
                    in.linear("attn_qkv", q_rows + 2 * kv_rows, config.hidden, config.qkv_bias));
    const auto part = [&](size_t begin, size_t count) {
        return Linear{fused.weight.slice(begin, count),
                      fused.bias.empty() ? fused.bias : fused.bias.subspan(begin, count)};
    };
    out.q = part(0, q_rows);
    out.k = part(q_rows, kv_rows);
    out.v = part(q_rows + kv_rows, kv_rows);
    return {};
}

// The projections of a layer that may have another's keys, or keys for values.
Result<void> bind_projections(WeightBinder& in, const TransformerConfig& config,
                              const LayerConfig& shape, Weights& out) {
    const size_t q_rows =
        size_t{config.heads} * shape.head_dim * (config.attention_output_gate ? 2 : 1);
    const size_t kv_rows = size_t{shape.kv_heads} * shape.head_dim;
    if (in.has("attn_qkv.weight")) {
        return bind_fused(in, config, q_rows, kv_rows, out);
    }
    WEIR_TRY_ASSIGN(out.q, in.linear("attn_q", q_rows, config.hidden, config.qkv_bias));
    if (shape.kv_of) {
        for (const std::string_view unused :
             {"attn_k.weight", "attn_v.weight", "attn_k_norm.weight"}) {
            in.ignore(unused);
        }
        return {};
    }
    WEIR_TRY_ASSIGN(out.k, in.linear("attn_k", kv_rows, config.hidden, config.qkv_bias));
    if (!shape.keys_are_values) {
        WEIR_TRY_ASSIGN(out.v, in.linear("attn_v", kv_rows, config.hidden, config.qkv_bias));
    }
    return {};
}

Result<void> bind_head_norms(WeightBinder& in, const TransformerConfig& config,
                             const LayerConfig& shape, Weights& out) {
    const auto bind = [&](std::string_view stem, uint32_t heads,
                          std::span<const float>& weight) -> Result<void> {
        if (config.qk_norm == HeadNorm::LayerEachHead) {
            WEIR_TRY_ASSIGN(weight, in.head_vectors(stem, heads, shape.head_dim));
        } else {
            WEIR_TRY_ASSIGN(const Norm norm, in.norm(stem, shape.head_dim));
            weight = norm.weight;
        }
        return {};
    };
    if (config.qk_norm == HeadNorm::None || config.qk_norm == HeadNorm::UnitAfterRope) {
        return {};
    }
    WEIR_TRY(bind("attn_q_norm", config.heads, out.q_norm));
    return shape.kv_of ? Result<void>() : bind("attn_k_norm", shape.kv_heads, out.k_norm);
}

}  // namespace

Result<std::unique_ptr<TokenMixer>> make_self_attention(WeightBinder& in,
                                                        const TransformerConfig& config,
                                                        uint32_t layer) {
    const LayerConfig& shape = config.layer[layer];
    Weights weights;
    WEIR_TRY(bind_projections(in, config, shape, weights));
    WEIR_TRY(bind_head_norms(in, config, shape, weights));
    if (config.attention_sinks) {
        WEIR_TRY_ASSIGN(weights.sinks, in.vector("attn_sinks.weight", config.heads));
    }
    WEIR_TRY_ASSIGN(weights.output,
                    in.linear("attn_output", config.hidden, uint64_t{config.heads} * shape.head_dim,
                              config.output_bias));
    return std::make_unique<SelfAttention>(config, layer, weights);
}

}  // namespace weir::model
