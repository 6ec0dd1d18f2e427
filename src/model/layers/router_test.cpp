#include "model/layers/router.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <vector>

#include "kernels/thread_pool.h"

namespace weir::model {
namespace {

std::vector<Choice> routed(const RouterRule& rule, const std::vector<float>& logits,
                           const std::vector<float>& bias = {},
                           const kernels::KernelSet* kernels = nullptr) {
    kernels::ThreadPool pool(1);
    const kernels::Compute compute{
        kernels == nullptr ? *kernels::available_kernels().front() : *kernels, pool};
    std::vector<float> scratch(route_scratch(rule));
    std::vector<Choice> out(rule.chosen);
    route(compute, rule, logits, bias, scratch, out);
    return out;
}

std::vector<uint32_t> experts_of(const std::vector<Choice>& choices) {
    std::vector<uint32_t> out;
    for (const Choice& choice : choices) {
        out.push_back(choice.expert);
    }
    return out;
}

using Experts = std::vector<uint32_t>;

// The definition, in double precision: every subset is looked at as a sorted list.
std::vector<std::pair<uint32_t, double>> by_definition(const RouterRule& rule,
                                                       const std::vector<float>& logits,
                                                       const std::vector<float>& bias) {
    const size_t count = logits.size();
    std::vector<double> score(count);
    double sum = 0;
    for (const float logit : logits) {
        sum += std::exp(static_cast<double>(logit));
    }
    for (size_t e = 0; e < count; ++e) {
        const double x = logits[e];
        switch (rule.score) {
            case RouterScore::Softmax:
                score[e] = std::exp(x) / sum;
                break;
            case RouterScore::Sigmoid:
            case RouterScore::SigmoidOfChosen:
                score[e] = 1 / (1 + std::exp(-x));
                break;
            case RouterScore::SoftmaxOfChosen:
                score[e] = std::exp(x);
                break;
        }
    }
    std::vector<double> by = score;
    for (size_t e = 0; e < bias.size(); ++e) {
        by[e] += static_cast<double>(bias[e]);
    }
    const size_t size = count / rule.groups;
    std::vector<std::pair<double, size_t>> groups;
    for (size_t g = 0; g < rule.groups; ++g) {
        std::vector<double> members(by.begin() + static_cast<std::ptrdiff_t>(g * size),
                                    by.begin() + static_cast<std::ptrdiff_t>((g + 1) * size));
        std::ranges::sort(members, std::greater{});
        groups.emplace_back(
            rule.group_score == GroupScore::Largest ? members[0] : members[0] + members[1], g);
    }
    std::ranges::sort(groups, std::greater{});
    std::vector<std::pair<double, uint32_t>> experts;
    for (size_t i = 0; i < rule.groups_chosen; ++i) {
        for (size_t e = groups[i].second * size; e < (groups[i].second + 1) * size; ++e) {
            experts.emplace_back(by[e], static_cast<uint32_t>(e));
        }
    }
    std::ranges::sort(experts, std::greater{});
    double chosen_sum = 0;
    for (size_t i = 0; i < rule.chosen; ++i) {
        chosen_sum += score[experts[i].second];
    }
    const bool divided = rule.normalize || rule.score == RouterScore::SoftmaxOfChosen;
    std::vector<std::pair<uint32_t, double>> out;
    for (size_t i = 0; i < rule.chosen; ++i) {
        const uint32_t e = experts[i].second;
        out.emplace_back(e, score[e] / (divided ? chosen_sum : 1) * double{rule.scale});
    }
    std::ranges::sort(out);
    return out;
}

std::vector<RouterRule> rules() {
    return {
        {.experts = 8, .chosen = 2, .normalize = true},
        {.experts = 20, .chosen = 20},
        {.experts = 60, .chosen = 4, .scale = 16},
        {.experts = 32, .chosen = 4, .score = RouterScore::SoftmaxOfChosen},
        {.experts = 16, .chosen = 1, .score = RouterScore::SigmoidOfChosen},
        {.experts = 160, .chosen = 6, .groups = 8, .groups_chosen = 3, .scale = 16},
        {.experts = 256,
         .chosen = 8,
         .score = RouterScore::Sigmoid,
         .groups = 8,
         .groups_chosen = 4,
         .group_score = GroupScore::SumOfTwoLargest,
         .normalize = true,
         .normalize_epsilon = 1e-20f,
         .scale = 2.5f},
    };
}

// A weight is an exponential (2^-22), a sum of up to 256 terms in 16 partial ones or of up to 20
// one after the other, a division and a product: below 40 halves of epsilon.
constexpr double kWeightBound = 40 * 0x1p-24 + 0x1p-21;

TEST(Router, ChoosesAndWeightsAsDefined) {
    std::mt19937 random(7);
    std::normal_distribution<float> draw(0.0f, 2.0f);
    for (const RouterRule& rule : rules()) {
        ASSERT_TRUE(rule.validate().has_value());
        for (int row = 0; row < 50; ++row) {
            std::vector<float> logits(rule.experts);
            std::ranges::generate(logits, [&] { return draw(random); });
            std::vector<float> bias;
            if (rule.score == RouterScore::Sigmoid) {
                bias.resize(rule.experts);
                std::ranges::generate(bias, [&] { return 0.2f * draw(random); });
            }
            const auto expected = by_definition(rule, logits, bias);
            for (const kernels::KernelSet* kernels : kernels::available_kernels()) {
                const auto got = routed(rule, logits, bias, kernels);
                for (size_t i = 0; i < got.size(); ++i) {
                    ASSERT_EQ(got[i].expert, expected[i].first) << rule.experts;
                    ASSERT_NEAR(got[i].weight, expected[i].second,
                                kWeightBound * expected[i].second);
                }
            }
        }
    }
}

TEST(Router, HasOneResultInEveryVariant) {
    std::mt19937 random(8);
    std::normal_distribution<float> draw(0.0f, 3.0f);
    for (const RouterRule& rule : rules()) {
        std::vector<float> logits(rule.experts);
        std::ranges::generate(logits, [&] { return draw(random); });
        const auto expected = routed(rule, logits);
        for (const kernels::KernelSet* kernels : kernels::available_kernels()) {
            const auto got = routed(rule, logits, {}, kernels);
            ASSERT_EQ(0, std::memcmp(got.data(), expected.data(), got.size() * sizeof(Choice)));
        }
    }
}

TEST(Router, TiesGoToTheLowerNumber) {
    for (const RouterScore score : {RouterScore::Softmax, RouterScore::Sigmoid,
                                    RouterScore::SoftmaxOfChosen, RouterScore::SigmoidOfChosen}) {
        const RouterRule rule{.experts = 6, .chosen = 3, .score = score};
        EXPECT_EQ(experts_of(routed(rule, {1, 1, 1, 1, 1, 1})), (Experts{0, 1, 2}));
        EXPECT_EQ(experts_of(routed(rule, {0, 2, 1, 1, 2, 1})), (Experts{1, 2, 4}));
        EXPECT_EQ(experts_of(routed(rule, {0.0f, -0.0f, 0.0f, -0.0f, 0.0f, 0.0f})),
                  (Experts{0, 1, 2}));
    }
    const RouterRule groups{.experts = 6, .chosen = 2, .groups = 3, .groups_chosen = 2};
    EXPECT_EQ(experts_of(routed(groups, {1, 0, 1, 0, 1, 0})), (Experts{0, 2}));
}

// With a bias so low that every score is negative, an expert of a group that is out must not win
// because its score was set to 0.
TEST(Router, AGroupThatIsOutStaysOutWhateverTheBias) {
    const RouterRule rule{.experts = 8,
                          .chosen = 2,
                          .score = RouterScore::Sigmoid,
                          .groups = 4,
                          .groups_chosen = 1,
                          .group_score = GroupScore::SumOfTwoLargest};
    const std::vector<float> bias(8, -5.0f);
    EXPECT_EQ(experts_of(routed(rule, {3, -9, 1, 1.5f, 0, 0, 2, -9}, bias)), (Experts{2, 3}));
}

TEST(Router, TheBiasIsInTheChoiceAndNotInTheWeight) {
    const RouterRule rule{.experts = 4, .chosen = 1, .score = RouterScore::Sigmoid};
    const auto choices = routed(rule, {0, 1, 2, 3}, {9, 0, 0, 0});
    EXPECT_EQ(choices[0].expert, 0u);
    EXPECT_EQ(choices[0].weight, 0.5f);
}

TEST(Router, ANanSpoilsItsRow) {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (const RouterRule& rule : rules()) {
        std::vector<float> logits(rule.experts, 1.0f);
        logits[rule.experts - 1] = nan;
        const auto choices = routed(rule, logits);
        EXPECT_TRUE(std::ranges::any_of(choices, [](const Choice& choice) {
            return std::isnan(choice.weight);
        })) << rule.experts;
        EXPECT_TRUE(std::ranges::is_sorted(choices, {}, &Choice::expert));
    }
}

TEST(Router, RefusesWhatNoModelCanMean) {
    const auto refused = [](RouterRule rule) {
        return !rule.validate().has_value();
    };
    EXPECT_TRUE(refused({.experts = 0, .chosen = 1}));
    EXPECT_TRUE(refused({.experts = 4, .chosen = 0}));
    EXPECT_TRUE(refused({.experts = 4, .chosen = 5}));
    EXPECT_TRUE(refused({.experts = 10, .chosen = 2, .groups = 4}));
    EXPECT_TRUE(refused({.experts = 8, .chosen = 2, .groups = 4, .groups_chosen = 5}));
    EXPECT_TRUE(refused({.experts = 8, .chosen = 3, .groups = 4, .groups_chosen = 1}));
    EXPECT_TRUE(refused({.experts = 8, .chosen = 2, .scale = NAN}));
    EXPECT_FALSE(refused({.experts = 8, .chosen = 2, .groups = 4, .groups_chosen = 1}));
}

}  // namespace
}  // namespace weir::model
