#include "model/layers/mlp.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "model/layers/linear.h"
#include "model/weight_binder.h"

namespace weir::model {

namespace {

class GatedMlp final : public FeedForward {
  public:
    GatedMlp(Activation activation, const Linear& gate, const Linear& up, const Linear& down)
        : activation_(activation), gate_(gate), up_(up), down_(down) {}

    uint64_t scratch_bytes(size_t rows) const override {
        return 2 * float_bytes(rows, width()) + quantized_bytes(rows, width());
    }

    void run(const Pass& pass, const LayerInput& input, std::span<float> out) const override {
        const std::span gate = pass.scratch.take_floats(pass.rows * width());
        const std::span up = pass.scratch.take_floats(pass.rows * width());
        const std::span quantized =
            pass.scratch.take(kernels::Activations::scratch_bytes(pass.rows, width()));
        const std::array<LinearJob, 2> jobs = {{{&gate_, gate}, {&up_, up}}};
        multiply(pass.compute, input.x, jobs);
        gate_mul(pass.compute, activation_, gate.data(), up.data(), gate.size(), gate.data());
        kernels::Activations gated(gate.data(), pass.rows, width(), quantized);
        multiply(pass.compute, down_, gated, out);
    }

  private:
    size_t width() const { return down_.weight.columns; }

    Activation activation_;
    Linear gate_;  // [width, hidden]
    Linear up_;    // [width, hidden]
    Linear down_;  // [hidden, width]
};

class PlainMlp final : public FeedForward {
  public:
    PlainMlp(Activation activation, const Linear& up, const Linear& down)
        : by_tanh_(activation == Activation::GeluTanh), up_(up), down_(down) {}

    uint64_t scratch_bytes(size_t rows) const override {
        return float_bytes(rows, width()) + quantized_bytes(rows, width());
    }

    void run(const Pass& pass, const LayerInput& input, std::span<float> out) const override {
        const std::span up = pass.scratch.take_floats(pass.rows * width());
        const std::span quantized =
            pass.scratch.take(kernels::Activations::scratch_bytes(pass.rows, width()));
        multiply(pass.compute, up_, input.x, up);
        const auto activate = by_tanh_ ? kernels::gelu_tanh : kernels::gelu;
        activate(pass.compute, up.data(), up.size(), up.data());
        kernels::Activations activated(up.data(), pass.rows, width(), quantized);
        multiply(pass.compute, down_, activated, out);
    }

  private:
    size_t width() const { return down_.weight.columns; }

    bool by_tanh_;
    Linear up_;    // [width, hidden]
    Linear down_;  // [hidden, width]
};

// One matrix with the rows of gate, then of up.
Result<std::unique_ptr<FeedForward>> make_fused(WeightBinder& in, const TransformerConfig& config,
                                                uint32_t width) {
    WEIR_TRY_ASSIGN(const Linear fused,
                    in.linear("ffn_up", 2 * uint64_t{width}, config.hidden, config.mlp_bias));
    WEIR_TRY_ASSIGN(const Linear down,
                    in.linear("ffn_down", config.hidden, width, config.mlp_bias));
    const auto part = [&](size_t begin) {
        return Linear{fused.weight.slice(begin, width),
                      fused.bias.empty() ? fused.bias : fused.bias.subspan(begin, width)};
    };
    return std::make_unique<GatedMlp>(config.activation, part(0), part(width), down);
}

Result<std::unique_ptr<FeedForward>> make_plain(WeightBinder& in, const TransformerConfig& config,
                                                uint32_t width) {
    if (config.activation == Activation::Silu) {
        return unsupported("only gelu is supported in a feed-forward layer without a gate");
    }
    WEIR_TRY_ASSIGN(const Linear up, in.linear("ffn_up", width, config.hidden, config.mlp_bias));
    WEIR_TRY_ASSIGN(const Linear down,
                    in.linear("ffn_down", config.hidden, width, config.mlp_bias));
    return std::make_unique<PlainMlp>(config.activation, up, down);
}

}  // namespace

Result<std::unique_ptr<FeedForward>> make_mlp(WeightBinder& in, const TransformerConfig& config,
                                              uint32_t layer) {
    const uint32_t width = config.layer[layer].feed_forward;
    if (config.activation == Activation::Gelu && config.mlp != MlpForm::Plain) {
        return unsupported("gelu by the error function is not supported in a gated layer");
    }
    switch (config.mlp) {
        case MlpForm::Gated:
            return make_gated_mlp(in, config, {.width = width});
        case MlpForm::FusedGated:
            return make_fused(in, config, width);
        case MlpForm::Plain:
            return make_plain(in, config, width);
    }
    return make_plain(in, config, width);
}

Result<std::unique_ptr<FeedForward>> make_gated_mlp(WeightBinder& in,
                                                    const TransformerConfig& config,
                                                    const GatedMlpShape& shape) {
    const BiasRule rule = config.mlp_bias;
    WEIR_TRY_ASSIGN(const Linear gate, in.linear(shape.gate, shape.width, config.hidden, rule));
    WEIR_TRY_ASSIGN(const Linear up, in.linear(shape.up, shape.width, config.hidden, rule));
    WEIR_TRY_ASSIGN(const Linear down, in.linear(shape.down, config.hidden, shape.width, rule));
    return std::make_unique<GatedMlp>(config.activation, gate, up, down);
}

void gate_mul(const kernels::Compute& compute, Activation activation, const float* gate,
              const float* up, size_t count, float* out) {
    switch (activation) {
        case Activation::Silu:
            kernels::silu_mul(compute, gate, up, count, out);
            break;
        case Activation::GeluTanh:
            kernels::gelu_tanh_mul(compute, gate, up, count, out);
            break;
        case Activation::Gelu:
            WEIR_ASSERT(false);  // make_gated_mlp refuses it
            break;
    }
}

}  // namespace weir::model
