#include "model/layers/router.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "kernels/row_ops.h"

namespace weir::model {

namespace {

bool is_above(float a, float b) {
    return a > b || (std::isnan(a) && !std::isnan(b));
}

// The `wanted` best of those that were offered in ascending order of their numbers.
class Best {
  public:
    explicit Best(size_t wanted) : wanted_(wanted) {}

    void offer(uint32_t number, float value) {
        if (count_ == wanted_ && !is_above(value, entries_[count_ - 1].value)) {
            return;
        }
        size_t at = count_ < wanted_ ? count_++ : count_ - 1;
        for (; at > 0 && is_above(value, entries_[at - 1].value); --at) {
            entries_[at] = entries_[at - 1];
        }
        entries_[at] = {number, value};
    }

    // Their numbers, ascending.
    std::span<const uint32_t> numbers() {
        for (size_t i = 0; i < count_; ++i) {
            numbers_[i] = entries_[i].number;
        }
        std::sort(numbers_.begin(), numbers_.begin() + static_cast<std::ptrdiff_t>(count_));
        return std::span(numbers_).first(count_);
    }

  private:
    struct Entry {
        uint32_t number = 0;
        float value = 0;
    };
    static constexpr size_t kWantedMax = std::max(kExpertsChosenMax, kExpertGroupsMax);

    size_t wanted_;
    size_t count_ = 0;
    std::array<Entry, kWantedMax> entries_;
    std::array<uint32_t, kWantedMax> numbers_;
};

void softmax(const kernels::Compute& compute, std::span<const float> x, std::span<float> out) {
    kernels::softmax(compute, x, 1.0f, kernels::softmax_sum(compute, x, 1.0f), out.data());
}

// 1 / (1 + exp(-x))
void sigmoid(const kernels::Compute& compute, std::span<const float> x, std::span<float> out) {
    kernels::softmax(compute, x, -1.0f, {.largest = 0, .sum = 1}, out.data());
    for (float& value : out) {
        value = 1.0f / (1.0f + value);
    }
}

bool scores_all(RouterScore score) {
    return score == RouterScore::Softmax || score == RouterScore::Sigmoid;
}

float group_score(GroupScore rule, std::span<const float> members) {
    float first = members[0];
    float second = 0;
    bool has_second = false;
    for (const float value : members.subspan(1)) {
        const bool above = is_above(value, first);
        const float other = above ? first : value;
        first = above ? value : first;
        second = !has_second || is_above(other, second) ? other : second;
        has_second = true;
    }
    return rule == GroupScore::SumOfTwoLargest && has_second ? first + second : first;
}

void choose(const RouterRule& rule, std::span<const float> values, std::span<Choice> out) {
    const uint32_t size = rule.experts / rule.groups;
    Best groups(rule.groups_chosen);
    for (uint32_t g = 0; g < rule.groups; ++g) {
        groups.offer(g, rule.groups == 1
                            ? 0.0f
                            : group_score(rule.group_score, values.subspan(g * size, size)));
    }
    Best experts(rule.chosen);
    for (const uint32_t g : groups.numbers()) {
        for (uint32_t e = g * size; e < (g + 1) * size; ++e) {
            experts.offer(e, values[e]);
        }
    }
    const auto numbers = experts.numbers();
    for (size_t i = 0; i < out.size(); ++i) {
        out[i].expert = numbers[i];
    }
}

}  // namespace

void route(const kernels::Compute& compute, const RouterRule& rule, std::span<const float> logits,
           std::span<const float> bias, std::span<float> scratch, std::span<Choice> out) {
    WEIR_ASSERT(logits.size() == rule.experts && out.size() == rule.chosen);
    const std::span scores = scratch.first(rule.experts);
    const std::span biased = scratch.subspan(rule.experts, rule.experts);
    const std::span few = scratch.subspan(2 * size_t{rule.experts}, out.size());
    if (rule.score == RouterScore::Softmax) {
        softmax(compute, logits, scores);
    } else if (rule.score == RouterScore::Sigmoid) {
        sigmoid(compute, logits, scores);
    }
    std::span<const float> by = logits;
    if (scores_all(rule.score) &&
        (!bias.empty() || rule.group_score == GroupScore::SumOfTwoLargest)) {
        for (size_t e = 0; e < biased.size(); ++e) {
            biased[e] = bias.empty() ? scores[e] : scores[e] + bias[e];
        }
        by = biased;
    }
    choose(rule, by, out);

    for (size_t i = 0; i < out.size(); ++i) {
        few[i] = scores_all(rule.score) ? scores[out[i].expert] : logits[out[i].expert];
    }
    if (rule.score == RouterScore::SoftmaxOfChosen) {
        softmax(compute, few, few);
    } else if (rule.score == RouterScore::SigmoidOfChosen) {
        sigmoid(compute, few, few);
    }
    float sum = 0;
    for (const float weight : few) {
        sum += weight;
    }
    const float divisor = rule.normalize ? sum + rule.normalize_epsilon : 1.0f;
    for (size_t i = 0; i < out.size(); ++i) {
        out[i].weight = few[i] / divisor * rule.scale;
    }
}

}  // namespace weir::model
