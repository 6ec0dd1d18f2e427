#include "model/layers/delta_net.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "kernels/matmul.h"
#include "kernels/recurrent.h"
#include "kernels/thread_pool.h"
#include "model/layers/linear.h"
#include "model/weight_binder.h"

namespace weir::model {

namespace {

constexpr float kL2Epsilon = 1e-6f;  // no key says it

struct Weights {
    Linear qkvz;                         // grouped: a key head's q, k, v and z, then the next one's
    Linear qkv;                          // or apart: [channels, hidden]
    Linear z;                            // and [values, hidden]
    Linear ba;                           // grouped: a key head's b, then its a
    Linear b;                            // or apart: [value_heads, hidden]
    Linear a;                            // likewise
    std::span<const float> convolution;  // [taps, channels]
    std::span<const float> rate;         // [value_heads], -exp(A)
    std::span<const float> time_bias;    // [value_heads]
    std::span<const float> norm;         // [value_dim]
    Linear output;                       // [hidden, values]
};

class DeltaNet final : public TokenMixer {
  public:
    DeltaNet(const TransformerConfig& config, const Weights& weights)
        : weights_(weights), shape_(*config.delta_net), epsilon_(config.norm_epsilon) {}

    StateNeed state() const override {
        return {.recurrent_bytes = ScratchArena::padded(tail_bytes()) +
                                   uint64_t{shape_.value_heads} * shape_.key_dim *
                                       shape_.value_dim * sizeof(float)};
    }

    uint64_t scratch_bytes(size_t rows) const override {
        uint64_t bytes = quantized_bytes(rows, shape_.values());
        for (const uint64_t width : widths()) {
            bytes += float_bytes(rows, width);
        }
        return bytes;
    }

    void run(const Pass& pass, const LayerMemory& memory, const LayerInput& input,
             std::span<float> out) const override {
        Rows rows;
        const std::array<std::span<float>*, 8> arrays = {&rows.u,     &rows.c,      &rows.z,
                                                         &rows.ba,    &rows.decay,  &rows.beta,
                                                         &rows.mixed, &rows.grouped};
        const auto all_widths = widths();
        for (size_t i = 0; i < arrays.size(); ++i) {
            *arrays[i] = pass.scratch.take_floats(all_widths[i] * pass.rows);
        }
        project(pass, input, rows);
        compute_gates(pass, rows);
        mix(pass, memory, rows);
        kernels::Activations gated(
            rows.mixed.data(), pass.rows, shape_.values(),
            pass.scratch.take(kernels::Activations::scratch_bytes(pass.rows, shape_.values())));
        multiply(pass.compute, weights_.output, gated, out);
    }

  private:
    // One pass's arrays, [pass.rows, …].
    struct Rows {
        std::span<float> u;        // [channels]
        std::span<float> c;        // [channels]
        std::span<float> z;        // [values]
        std::span<float> ba;       // [2 value_heads], grouped, or all of b and then all of a
        std::span<float> decay;    // [value_heads]
        std::span<float> beta;     // [value_heads]
        std::span<float> mixed;    // [values]
        std::span<float> grouped;  // [channels + values], if the weights are
    };

    std::array<uint64_t, 8> widths() const {
        return {shape_.channels(),  shape_.channels(),
                shape_.values(),    2 * uint64_t{shape_.value_heads},
                shape_.value_heads, shape_.value_heads,
                shape_.values(),    is_grouped() ? shape_.channels() + shape_.values() : 0};
    }

    bool is_grouped() const { return weights_.qkvz.weight.rows > 0; }
    uint64_t tail_bytes() const {
        return uint64_t{shape_.taps - 1} * shape_.channels() * sizeof(float);
    }

    void project(const Pass& pass, const LayerInput& input, Rows& rows) const {
        if (is_grouped()) {
            multiply(pass.compute, weights_.qkvz, input.x, rows.grouped);
            ungroup(pass, rows);
        } else {
            multiply(pass.compute, weights_.qkv, input.x, rows.u);
            multiply(pass.compute, weights_.z, input.x, rows.z);
        }
        if (weights_.ba.weight.rows > 0) {
            multiply(pass.compute, weights_.ba, input.x, rows.ba);
            return;
        }
        const size_t heads = shape_.value_heads;
        kernels::matmul(pass.compute, weights_.b.weight, input.x, rows.ba.data(), 2 * heads);
        kernels::matmul(pass.compute, weights_.a.weight, input.x, rows.ba.data() + heads,
                        2 * heads);
    }

    // From a key head's q, k, v, z side by side to all q, all k, all v, and all z apart.
    void ungroup(const Pass& pass, Rows& rows) const {
        const size_t key_dim = shape_.key_dim;
        const size_t value_dim = shape_.values() / shape_.key_heads;  // of all that share a key
        const size_t keys = shape_.keys();
        pass.compute.pool.parallel_for(pass.rows, 16, [&](size_t begin, size_t end) {
            for (size_t r = begin; r < end; ++r) {
                const float* from = rows.grouped.data() + r * (shape_.channels() + shape_.values());
                float* const u = rows.u.data() + r * shape_.channels();
                float* const z = rows.z.data() + r * shape_.values();
                const auto take = [&from](float* to, size_t count) {
                    std::memcpy(to, from, count * sizeof(float));
                    from += count;
                };
                for (size_t h = 0; h < shape_.key_heads; ++h) {
                    take(u + h * key_dim, key_dim);
                    take(u + keys + h * key_dim, key_dim);
                    take(u + 2 * keys + h * value_dim, value_dim);
                    take(z + h * value_dim, value_dim);
                }
            }
        });
    }

    // In double precision: there are few of these numbers, and what a rounding of `decay` costs
    // is multiplied with every token that follows.
    void compute_gates(const Pass& pass, Rows& rows) const {
        const size_t heads = shape_.value_heads;
        const size_t group = weights_.ba.weight.rows > 0 ? heads / shape_.key_heads : heads;
        pass.compute.pool.parallel_for(pass.rows, 8, [&](size_t begin, size_t end) {
            for (size_t r = begin; r < end; ++r) {
                const float* const ba = rows.ba.data() + r * 2 * heads;
                for (size_t j = 0; j < heads; ++j) {
                    const float* const own = ba + j / group * 2 * group + j % group;
                    const double b = own[0];
                    const double t = static_cast<double>(own[group]) + weights_.time_bias[j];
                    const double softplus = t > 30 ? t : std::log1p(std::exp(t));
                    rows.beta[r * heads + j] = static_cast<float>(1 / (1 + std::exp(-b)));
                    rows.decay[r * heads + j] =
                        static_cast<float>(std::exp(weights_.rate[j] * softplus));
                }
            }
        });
    }

    void mix(const Pass& pass, const LayerMemory& memory, Rows& rows) const {
        const kernels::Compute& compute = pass.compute;
        kernels::causal_convolution_silu(compute, {.slices = pass.states,
                                                   .state_offset = memory.recurrent_offset,
                                                   .taps = shape_.taps,
                                                   .channels = shape_.channels(),
                                                   .weight = weights_.convolution.data(),
                                                   .u = rows.u.data(),
                                                   .out = rows.c.data()});
        float* const q = rows.c.data();
        float* const k = q + shape_.keys();
        const float q_length = 1 / std::sqrt(static_cast<float>(shape_.key_dim));
        kernels::l2_normalize(compute, q, pass.rows, shape_.channels(), shape_.key_heads,
                              shape_.key_dim, kL2Epsilon, q_length);
        kernels::l2_normalize(compute, k, pass.rows, shape_.channels(), shape_.key_heads,
                              shape_.key_dim, kL2Epsilon, 1);
        kernels::delta_rule(
            compute, {.slices = pass.states,
                      .state_offset = memory.recurrent_offset +
                                      static_cast<size_t>(ScratchArena::padded(tail_bytes())),
                      .key_heads = shape_.key_heads,
                      .value_heads = shape_.value_heads,
                      .key_dim = shape_.key_dim,
                      .value_dim = shape_.value_dim,
                      .map = shape_.map,
                      .q = q,
                      .k = k,
                      .v = k + shape_.keys(),
                      .stride = shape_.channels(),
                      .decay = rows.decay.data(),
                      .beta = rows.beta.data(),
                      .out = rows.mixed.data()});
        kernels::rms_norm(compute, rows.mixed.data(), pass.rows * shape_.value_heads,
                          shape_.value_dim, weights_.norm, epsilon_, rows.mixed.data());
        kernels::silu_mul(compute, rows.z.data(), rows.mixed.data(), rows.z.size(),
                          rows.mixed.data());
    }

    const Weights weights_;
    const DeltaNetConfig shape_;
    const float epsilon_;
};

// A channel's taps stand together in the files ([channels, taps], in safetensors with a dimension
// of one between them); here a tap's channels do.
Result<std::span<const float>> bind_convolution(WeightBinder& in, const DeltaNetConfig& shape) {
    const uint64_t channels = shape.channels();
    WEIR_TRY_ASSIGN(const auto from, in.convolution("ssm_conv1d.weight", channels, shape.taps));
    const std::span<float> to = in.own_floats(channels * shape.taps);
    for (size_t i = 0; i < to.size(); ++i) {
        to[i] = from[i % channels * shape.taps + i / channels];
    }
    return std::span<const float>(to);
}

Result<std::span<const float>> bind_rate(WeightBinder& in, const DeltaNetConfig& shape) {
    WEIR_TRY_ASSIGN(const auto stored, in.vector("ssm_a", shape.value_heads));
    if (!shape.rate_is_log) {
        return stored;
    }
    const std::span<float> rate = in.own_floats(shape.value_heads);
    for (size_t j = 0; j < rate.size(); ++j) {
        rate[j] = static_cast<float>(-std::exp(static_cast<double>(stored[j])));
    }
    return std::span<const float>(rate);
}

Result<void> bind_projections(WeightBinder& in, const TransformerConfig& config, Weights& out) {
    const DeltaNetConfig& shape = *config.delta_net;
    constexpr BiasRule kNever = BiasRule::Never;
    if (in.has("ssm_in.weight")) {
        WEIR_TRY_ASSIGN(out.qkvz, in.linear("ssm_in", shape.channels() + shape.values(),
                                            config.hidden, kNever));
    } else {
        WEIR_TRY_ASSIGN(out.qkv, in.linear("attn_qkv", shape.channels(), config.hidden, kNever));
        WEIR_TRY_ASSIGN(out.z, in.linear("attn_gate", shape.values(), config.hidden, kNever));
    }
    if (in.has("ssm_ba.weight")) {
        WEIR_TRY_ASSIGN(out.ba, in.linear("ssm_ba", 2 * shape.value_heads, config.hidden, kNever));
    } else {
        WEIR_TRY_ASSIGN(out.b, in.linear("ssm_beta", shape.value_heads, config.hidden, kNever));
        WEIR_TRY_ASSIGN(out.a, in.linear("ssm_alpha", shape.value_heads, config.hidden, kNever));
    }
    return {};
}

}  // namespace

Result<std::unique_ptr<TokenMixer>> make_delta_net(WeightBinder& in,
                                                   const TransformerConfig& config) {
    const DeltaNetConfig& shape = *config.delta_net;
    Weights weights;
    WEIR_TRY(bind_projections(in, config, weights));
    WEIR_TRY_ASSIGN(weights.convolution, bind_convolution(in, shape));
    WEIR_TRY_ASSIGN(weights.rate, bind_rate(in, shape));
    WEIR_TRY_ASSIGN(weights.time_bias, in.vector("ssm_dt.bias", shape.value_heads));
    WEIR_TRY_ASSIGN(weights.norm, in.vector("ssm_norm.weight", shape.value_dim));
    WEIR_TRY_ASSIGN(weights.output,
                    in.linear("ssm_out", config.hidden, shape.values(), BiasRule::Never));
    return std::make_unique<DeltaNet>(config, weights);
}

}  // namespace weir::model
