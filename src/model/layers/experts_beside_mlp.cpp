#include "model/layers/experts_beside_mlp.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/matmul.h"
#include "kernels/thread_pool.h"
#include "model/layers/experts.h"
#include "model/layers/mlp.h"
#include "model/layers/norm.h"
#include "model/weight_binder.h"

namespace weir::model {

namespace {

struct Weights {
    std::unique_ptr<FeedForward> mlp;
    Norm after_mlp;
    Norm before_experts;
    Norm after_experts;
    Norm before_router;
    tensor::MatrixView router;          // [experts, hidden]
    std::span<const float> own_scales;  // [experts]
    ExpertBank bank;
};

class ExpertsBesideMlp final : public FeedForward {
  public:
    ExpertsBesideMlp(const RouterRule& rule, Weights weights)
        : rule_(rule), weights_(std::move(weights)) {}

    uint64_t scratch_bytes(size_t rows) const override {
        const size_t hidden = weights_.bank.hidden();
        const uint64_t routing = quantized_bytes(rows, hidden) + float_bytes(rows, rule_.experts) +
                                 float_bytes(rows, route_scratch(rule_));
        return array_bytes<Choice>(rows * rule_.chosen) + 2 * float_bytes(rows, hidden) +
               std::max({weights_.mlp->scratch_bytes(rows), routing,
                         expert_scratch_bytes(weights_.bank, rows, rule_.chosen)});
    }

    void run(const Pass& pass, const LayerInput& input, std::span<float> out) const override {
        ScratchArena& scratch = pass.scratch;
        const std::span choices = scratch.take_array<Choice>(pass.rows * rule_.chosen);
        const std::span normed = scratch.take_floats(out.size());
        const std::span mixed = scratch.take_floats(out.size());
        const ScratchArena::Mark mark = scratch.mark();

        weights_.mlp->run(pass, input, out);
        scratch.rewind(mark);
        norm(pass, weights_.after_mlp, out, out);

        norm(pass, weights_.before_router, input.residual, normed);
        choose(pass, normed, choices);
        scratch.rewind(mark);
        norm(pass, weights_.before_experts, input.residual, normed);
        std::ranges::fill(mixed, 0.0f);
        run_experts(pass, weights_.bank, normed, choices, rule_.chosen, mixed);
        scratch.rewind(mark);
        norm(pass, weights_.after_experts, mixed, mixed);
        kernels::add(pass.compute, out.data(), mixed.data(), out.size(), out.data());
    }

  private:
    void norm(const Pass& pass, const Norm& norm, std::span<const float> x,
              std::span<float> out) const {
        apply(pass.compute, norm, x.data(), pass.rows, weights_.bank.hidden(), out.data());
    }

    void choose(const Pass& pass, std::span<float> normed, std::span<Choice> choices) const {
        const size_t hidden = weights_.bank.hidden();
        kernels::Activations x(
            normed.data(), pass.rows, hidden,
            pass.scratch.take(kernels::Activations::scratch_bytes(pass.rows, hidden)));
        const std::span logits = pass.scratch.take_floats(pass.rows * rule_.experts);
        const std::span scratch = pass.scratch.take_floats(pass.rows * route_scratch(rule_));
        kernels::matmul(pass.compute, weights_.router, x, logits.data(), rule_.experts);
        pass.compute.pool.parallel_for(pass.rows, 16, [&](size_t begin, size_t end) {
            for (size_t r = begin; r < end; ++r) {
                const std::span own = choices.subspan(r * rule_.chosen, rule_.chosen);
                route(pass.compute, rule_, logits.subspan(r * rule_.experts, rule_.experts), {},
                      scratch.subspan(r * route_scratch(rule_), route_scratch(rule_)), own);
                for (Choice& choice : own) {
                    choice.weight *= weights_.own_scales[choice.expert];
                }
            }
        });
    }

    const RouterRule rule_;
    const Weights weights_;
};

// The router's norm: its scale and the root of the hidden size as one weight.
Result<Norm> bind_router_norm(WeightBinder& in, const TransformerConfig& config) {
    WEIR_TRY_ASSIGN(const auto scale, in.vector("ffn_gate_inp.scale", config.hidden));
    const std::span weight = in.own_floats(config.hidden);
    const double root = std::sqrt(static_cast<double>(config.hidden));
    for (size_t i = 0; i < weight.size(); ++i) {
        weight[i] = static_cast<float>(scale[i] / root);
    }
    return Norm{.kind = NormKind::Rms, .weight = weight, .epsilon = config.norm_epsilon};
}

}  // namespace

Result<std::unique_ptr<FeedForward>> make_experts_beside_mlp(WeightBinder& in,
                                                             const TransformerConfig& config,
                                                             uint32_t layer) {
    const MoeConfig& moe = *config.moe;
    Weights weights;
    WEIR_TRY_ASSIGN(weights.mlp, make_mlp(in, config, layer));
    WEIR_TRY_ASSIGN(weights.after_mlp, in.norm("post_ffw_norm_1", config.hidden));
    WEIR_TRY_ASSIGN(weights.before_experts, in.norm("pre_ffw_norm_2", config.hidden));
    WEIR_TRY_ASSIGN(weights.after_experts, in.norm("post_ffw_norm_2", config.hidden));
    WEIR_TRY_ASSIGN(weights.before_router, bind_router_norm(in, config));
    WEIR_TRY_ASSIGN(weights.router,
                    in.matrix("ffn_gate_inp.weight", moe.router.experts, config.hidden));
    WEIR_TRY_ASSIGN(weights.own_scales, in.vector("ffn_down_exps.scale", moe.router.experts));
    WEIR_TRY_ASSIGN(weights.bank, bind_experts(in, config, moe));
    return std::make_unique<ExpertsBesideMlp>(moe.router, std::move(weights));
}

}  // namespace weir::model
