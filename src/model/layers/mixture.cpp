#include "model/layers/mixture.h"

#include <algorithm>
#include <utility>

#include "kernels/matmul.h"
#include "kernels/thread_pool.h"
#include "model/layers/experts.h"
#include "model/layers/linear.h"
#include "model/layers/mlp.h"
#include "model/weight_binder.h"

namespace weir::model {

namespace {

struct SharedExpert {
    std::unique_ptr<FeedForward> mlp;        // nothing: there is none
    std::optional<tensor::MatrixView> gate;  // [1, hidden]
};

class Mixture final : public FeedForward {
  public:
    Mixture(const RouterRule& rule, const Linear& router, std::span<const float> selection_bias,
            ExpertBank bank, SharedExpert shared)
        : rule_(rule),
          router_(router),
          selection_bias_(selection_bias),
          bank_(std::move(bank)),
          shared_(std::move(shared)) {}

    uint64_t scratch_bytes(size_t rows) const override {
        uint64_t bytes = float_bytes(rows, rule_.experts) +
                         float_bytes(rows, route_scratch(rule_)) +
                         array_bytes<Choice>(rows * rule_.chosen) +
                         expert_scratch_bytes(bank_, rows, rule_.chosen);
        if (shared_.mlp) {
            bytes += float_bytes(rows, bank_.hidden()) + 2 * float_bytes(rows, 1) +
                     array_bytes<kernels::WeightedRow>(rows) + shared_.mlp->scratch_bytes(rows);
        }
        return bytes;
    }

    void run(const Pass& pass, const LayerInput& input, std::span<float> out) const override {
        const std::span choices = route_rows(pass, input);
        std::ranges::fill(out, 0.0f);
        const std::span x(input.x.values(), pass.rows * bank_.hidden());
        run_experts(pass, bank_, x, choices, rule_.chosen, out);
        if (shared_.mlp) {
            add_shared(pass, input, out);
        }
    }

  private:
    std::span<const Choice> route_rows(const Pass& pass, const LayerInput& input) const {
        const std::span logits = pass.scratch.take_floats(pass.rows * rule_.experts);
        const std::span scratch = pass.scratch.take_floats(pass.rows * route_scratch(rule_));
        const std::span choices = pass.scratch.take_array<Choice>(pass.rows * rule_.chosen);
        multiply(pass.compute, router_, input.x, logits);
        pass.compute.pool.parallel_for(pass.rows, 16, [&](size_t begin, size_t end) {
            for (size_t r = begin; r < end; ++r) {
                route(pass.compute, rule_, logits.subspan(r * rule_.experts, rule_.experts),
                      selection_bias_,
                      scratch.subspan(r * route_scratch(rule_), route_scratch(rule_)),
                      choices.subspan(r * rule_.chosen, rule_.chosen));
            }
        });
        return choices;
    }

    void add_shared(const Pass& pass, const LayerInput& input, std::span<float> out) const {
        const std::span shared = pass.scratch.take_floats(out.size());
        const std::span logits = pass.scratch.take_floats(pass.rows);
        const std::span exponentials = pass.scratch.take_floats(pass.rows);
        const std::span terms = pass.scratch.take_array<kernels::WeightedRow>(pass.rows);
        shared_.mlp->run(pass, input, shared);
        if (!shared_.gate) {
            kernels::add(pass.compute, out.data(), shared.data(), out.size(), out.data());
            return;
        }
        kernels::matmul(pass.compute, *shared_.gate, input.x, logits.data(), 1);
        kernels::softmax(pass.compute, logits, -1.0f, {.largest = 0, .sum = 1},
                         exponentials.data());  // exp(-logit)
        for (size_t r = 0; r < pass.rows; ++r) {
            terms[r] = {static_cast<uint32_t>(r), 1.0f / (1.0f + exponentials[r])};
        }
        kernels::add_weighted_rows(pass.compute, terms, shared.data(), bank_.hidden(), out.data());
    }

    RouterRule rule_;
    Linear router_;                          // [experts, hidden]
    std::span<const float> selection_bias_;  // [experts], or empty
    ExpertBank bank_;
    SharedExpert shared_;
};

// A matrix of one row, or, in older files, a vector.
Result<tensor::MatrixView> bind_shared_gate(WeightBinder& in, uint32_t hidden) {
    constexpr std::string_view kName = "ffn_gate_inp_shexp.weight";
    const StoredTensor* tensor = in.peek(kName);
    if (tensor == nullptr || tensor->shape.size() != 1) {
        return in.matrix(kName, 1, hidden);
    }
    WEIR_TRY_ASSIGN(const auto vector, in.vector(kName, hidden));
    return tensor::MatrixView{tensor::DType::F32, 1, hidden, hidden * sizeof(float),
                              reinterpret_cast<const std::byte*>(vector.data())};
}

}  // namespace

Result<std::unique_ptr<FeedForward>> make_mixture(WeightBinder& in, const TransformerConfig& config,
                                                  uint32_t layer) {
    if (!config.moe || !config.moe->layers[layer]) {
        return make_mlp(in, config, layer);
    }
    const MoeConfig& moe = *config.moe;
    const RouterRule& rule = moe.router;
    WEIR_TRY_ASSIGN(const Linear router,
                    in.linear("ffn_gate_inp", rule.experts, config.hidden,
                              moe.router_bias ? BiasRule::Always : BiasRule::Never));
    std::span<const float> selection_bias;
    if (moe.selection_bias) {
        WEIR_TRY_ASSIGN(selection_bias, in.vector("exp_probs_b.bias", rule.experts));
    }
    WEIR_TRY_ASSIGN(ExpertBank bank, bind_experts(in, config, moe));
    SharedExpert shared;
    if (moe.shared_width > 0) {
        WEIR_TRY_ASSIGN(shared.mlp, make_gated_mlp(in, config,
                                                   {.gate = "ffn_gate_shexp",
                                                    .up = "ffn_up_shexp",
                                                    .down = "ffn_down_shexp",
                                                    .width = moe.shared_width}));
        if (moe.shared_gate) {
            WEIR_TRY_ASSIGN(shared.gate, bind_shared_gate(in, config.hidden));
        }
    }
    return std::make_unique<Mixture>(rule, router, selection_bias, std::move(bank),
                                     std::move(shared));
}

}  // namespace weir::model
