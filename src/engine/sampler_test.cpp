#include "engine/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "base/random.h"

namespace weir::engine {
namespace {

using Row = std::vector<float>;
using ::testing::ElementsAre;
using ::testing::Pair;

TokenId sample(const chat::SamplingParams& params, Row row, uint64_t position = 0,
               uint64_t seed = 1, std::vector<TokenId> prompt = {}) {
    Sampler sampler(params, seed, 0, static_cast<uint32_t>(row.size()), prompt);
    SamplerScratch scratch;
    return sampler.sample(row, position, scratch).value().token;
}

// Steps 2 to 6 of the header as plainly as they can be written, in double.
TokenId by_the_book(const chat::SamplingParams& params, const Row& row, double uniform) {
    std::vector<double> weights(row.size());
    const float largest = *std::max_element(row.begin(), row.end());
    for (size_t i = 0; i < row.size(); ++i) {
        weights[i] = std::exp(static_cast<double>(row[i] - largest) /
                              static_cast<double>(params.temperature.value_or(1)));
        if (weights[i] < static_cast<double>(params.min_p.value_or(0))) {
            weights[i] = 0;
        }
    }
    std::vector<TokenId> order(row.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(),
              [&](TokenId a, TokenId b) { return row[a] > row[b] || (row[a] == row[b] && a < b); });
    const uint32_t top_k = params.top_k.value_or(0);
    if (top_k > 0 && top_k < order.size()) {
        order.resize(top_k);
    }
    double total = 0;
    for (const TokenId token : order) {
        total += weights[token];
    }
    double mass = 0;
    for (size_t i = 0; i < order.size(); ++i) {
        mass += weights[order[i]];
        if (params.top_p && mass >= static_cast<double>(*params.top_p) * total) {
            order.resize(i + 1);
        }
    }
    std::sort(order.begin(), order.end());
    double at = uniform * mass;
    for (const TokenId token : order) {
        at -= weights[token];
        if (at < 0) {
            return token;
        }
    }
    return order.back();
}

TEST(Sampler, GreedyTakesTheLargestTiesToTheSmallestId) {
    EXPECT_EQ(sample({.temperature = 0.0f}, {1, 3, 2, 3}), 1u);
    EXPECT_EQ(sample({.temperature = 0.0f}, Row(100, 0.0f)), 0u);
}

TEST(Sampler, AgreesWithTheDefinition) {
    std::mt19937 random(5);
    const auto draw = [&](uint32_t below) {
        return static_cast<uint32_t>(random() % below);
    };
    int differences = 0;
    for (int round = 0; round < 2000; ++round) {
        Row row(1 + draw(3000));
        for (float& logit : row) {
            logit = static_cast<float>(draw(1000)) * 0.012f - 5.0f;
        }
        chat::SamplingParams params;
        params.temperature = 0.2f + 0.1f * static_cast<float>(draw(12));
        if (draw(2) == 0) {
            params.top_k = draw(60);
        }
        if (draw(2) == 0) {
            params.top_p = 0.1f + 0.1f * static_cast<float>(draw(9));
        }
        if (draw(2) == 0) {
            params.min_p = 0.02f * static_cast<float>(draw(20));
        }
        const uint64_t position = draw(1000);
        const TokenId expected = by_the_book(params, row, keyed_uniform(1, 0, position));
        differences += sample(params, row, position) == expected ? 0 : 1;
    }
    // Weights are float32 there: a draw or a cut that falls within about 1e-6 of a border may go to
    // the neighbour. With a border every 1/1000 that is about one draw in a thousand.
    EXPECT_LE(differences, 4);
}

TEST(Sampler, DrawsByTheProbabilities) {
    const Row row = {0.0f, std::log(2.0f), std::log(5.0f)};
    std::vector<int> counts(3);
    constexpr int kDraws = 20'000;
    for (int i = 0; i < kDraws; ++i) {
        ++counts[sample({}, row, static_cast<uint64_t>(i))];
    }
    // Four standard deviations of a binomial count.
    for (size_t token = 0; token < 3; ++token) {
        const double p = std::array{1.0, 2.0, 5.0}[token] / 8;
        EXPECT_NEAR(counts[token], kDraws * p, 4 * std::sqrt(kDraws * p * (1 - p)));
    }
}

TEST(Sampler, ADrawBelongsToSeedChoiceAndPosition) {
    const Row row(1000, 0.0f);
    std::vector<TokenId> drawn;
    for (const uint64_t seed : {1u, 2u}) {
        for (const uint32_t choice : {0u, 1u}) {
            for (const uint64_t position : {10u, 11u}) {
                Sampler sampler({}, seed, choice, 1000, {});
                SamplerScratch scratch;
                Row copy = row;
                drawn.push_back(sampler.sample(copy, position, scratch).value().token);
            }
        }
    }
    std::sort(drawn.begin(), drawn.end());
    EXPECT_EQ(std::unique(drawn.begin(), drawn.end()) - drawn.begin(), 8);
}

TEST(Sampler, RepetitionPenaltyCountsThePromptTheOthersDoNot) {
    chat::SamplingParams params{.temperature = 0.0f};
    params.repetition_penalty = 2;
    EXPECT_EQ(sample(params, {1.5f, 2.0f, -0.5f}, 0, 1, {1}), 0u);
    EXPECT_EQ(sample(params, {-2.0f, -1.5f}, 0, 1, {1}), 0u);
    params.repetition_penalty = 1;
    params.presence_penalty = 2;
    EXPECT_EQ(sample(params, {1.5f, 2.0f}, 0, 1, {1}), 1u);
}

TEST(Sampler, FrequencyAndPresencePenaltyCountTheAnswer) {
    chat::SamplingParams params{.temperature = 0.0f};
    params.frequency_penalty = 0.4f;
    params.presence_penalty = 0.3f;
    Sampler sampler(params, 1, 0, 2, {});
    SamplerScratch scratch;
    std::vector<TokenId> said;
    for (uint64_t i = 0; i < 5; ++i) {
        Row row = {1.0f, 2.0f};
        said.push_back(sampler.sample(row, i, scratch).value().token);
    }
    // Token 1: 2, 1.3, 0.9; token 0: 1, then 0.3.
    EXPECT_THAT(said, ElementsAre(1, 1, 0, 1, 1));
}

TEST(Sampler, BiasIsAddedAsItIs) {
    chat::SamplingParams params{.temperature = 0.0f};
    params.logit_bias = {{2, 100.0f}, {0, -100.0f}};
    EXPECT_EQ(sample(params, {50, 1, 0}), 2u);
}

TEST(Sampler, NeverSaysWhatTheTokenizerDoesNotHave) {
    Sampler sampler({}, 1, 0, 2, {});
    SamplerScratch scratch;
    for (uint64_t position = 0; position < 50; ++position) {
        Row row = {0, 0, 100, std::numeric_limits<float>::quiet_NaN()};
        EXPECT_LT(sampler.sample(row, position, scratch).value().token, 2u);
    }
}

TEST(Sampler, RefusesARowThatIsNotFinite) {
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
          -std::numeric_limits<float>::infinity()}) {
        Row row(33, 1.0f);
        row[20] = bad;
        Sampler sampler({.temperature = 0.0f}, 1, 0, 33, {});
        SamplerScratch scratch;
        EXPECT_EQ(sampler.sample(row, 0, scratch).error().code, ErrorCode::Internal);
    }
}

TEST(Sampler, SurvivesLogitsAtTheEndOfTheirRange) {
    constexpr float kMax = std::numeric_limits<float>::max();
    chat::SamplingParams params;
    params.temperature = 0.01f;
    params.repetition_penalty = 0.5f;
    EXPECT_EQ(sample(params, {-kMax, kMax, 0}, 0, 1, {0, 1}), 1u);
}

TEST(Sampler, LogprobsAreTheModelsOwn) {
    chat::SamplingParams params{.temperature = 0.0f};
    params.logprobs = 2;
    params.logit_bias = {{0, 100.0f}};
    Sampler sampler(params, 1, 0, 4, {});
    SamplerScratch scratch;
    Row row = {0.0f, std::log(2.0f), std::log(2.0f), std::log(3.0f)};
    const SampledToken sampled = sampler.sample(row, 0, scratch).value();
    EXPECT_EQ(sampled.token, 0u);
    ASSERT_TRUE(sampled.logprobs);
    EXPECT_NEAR(sampled.logprobs->logprob, std::log(1.0 / 8), 1e-6);
    EXPECT_THAT(sampled.logprobs->top,
                ElementsAre(Pair(3, ::testing::FloatNear(std::log(3.0f / 8), 1e-6f)),
                            Pair(1, ::testing::FloatNear(std::log(2.0f / 8), 1e-6f))));
}

// AP1 to AP4 and AP6: what no sampler could honour is refused by name.
struct BadParams {
    const char* id;
    const char* field;
    void (*spoil)(chat::SamplingParams&);
};
class SamplingLimits : public ::testing::TestWithParam<BadParams> {};

TEST_P(SamplingLimits, AreNamed) {
    chat::SamplingParams params;
    ASSERT_TRUE(validate(params, 10));
    GetParam().spoil(params);
    const auto refused = validate(params, 10);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::InvalidArgument);
    EXPECT_EQ(refused.error().field, GetParam().field);
}

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
INSTANTIATE_TEST_SUITE_P(Rows, SamplingLimits,
                         ::testing::Values(BadParams{"AP1_n", "n",
                                                     [](auto& p) {
                                                         p.choices = 1'000'000;
                                                     }},
                                           BadParams{"AP1_n0", "n",
                                                     [](auto& p) {
                                                         p.choices = 0;
                                                     }},
                                           BadParams{"AP1_best_of", "best_of",
                                                     [](auto& p) {
                                                         p.best_of = 129;
                                                     }},
                                           BadParams{"AP1_best_of_less", "best_of",
                                                     [](auto& p) {
                                                         p.choices = 3, p.best_of = 2;
                                                     }},
                                           BadParams{"AP2", "logprobs",
                                                     [](auto& p) {
                                                         p.logprobs = UINT32_MAX;
                                                     }},
                                           BadParams{"AP4_hot", "temperature",
                                                     [](auto& p) {
                                                         p.temperature = 999'999.0f;
                                                     }},
                                           BadParams{"AP4_cold", "temperature",
                                                     [](auto& p) {
                                                         p.temperature = -1.0f;
                                                     }},
                                           BadParams{"AP4_nan", "temperature",
                                                     [](auto& p) {
                                                         p.temperature = kNaN;
                                                     }},
                                           BadParams{"AP4_top_p", "top_p",
                                                     [](auto& p) {
                                                         p.top_p = -1.0f;
                                                     }},
                                           BadParams{"AP4_top_p0", "top_p",
                                                     [](auto& p) {
                                                         p.top_p = 0.0f;
                                                     }},
                                           BadParams{"AP4_min_p", "min_p",
                                                     [](auto& p) {
                                                         p.min_p = 1.5f;
                                                     }},
                                           BadParams{"AP4_repetition", "repetition_penalty",
                                                     [](auto& p) {
                                                         p.repetition_penalty = 0.0f;
                                                     }},
                                           BadParams{"AP4_presence", "presence_penalty",
                                                     [](auto& p) {
                                                         p.presence_penalty = kNaN;
                                                     }},
                                           BadParams{"AP4_frequency", "frequency_penalty",
                                                     [](auto& p) {
                                                         p.frequency_penalty = 1e9f;
                                                     }},
                                           BadParams{"AP6_many", "stop",
                                                     [](auto& p) {
                                                         p.stop.assign(100'000, "x");
                                                     }},
                                           BadParams{"AP6_empty", "stop",
                                                     [](auto& p) {
                                                         p.stop = {""};
                                                     }},
                                           BadParams{"AP6_long", "stop",
                                                     [](auto& p) {
                                                         p.stop = {std::string(5000, 'a')};
                                                     }},
                                           BadParams{"AP6_bias", "logit_bias",
                                                     [](auto& p) {
                                                         p.logit_bias = {{10, 1.0f}};
                                                     }},
                                           BadParams{"AP6_bias_nan", "logit_bias",
                                                     [](auto& p) {
                                                         p.logit_bias = {{1, kNaN}};
                                                     }},
                                           BadParams{"AP6_biases", "logit_bias",
                                                     [](auto& p) {
                                                         p.logit_bias.resize(5000);
                                                     }},
                                           BadParams{"AP6_stop_token", "stop_token_ids",
                                                     [](auto& p) {
                                                         p.stop_token_ids = {10};
                                                     }}),
                         [](const auto& row) { return std::string(row.param.id); });

}  // namespace
}  // namespace weir::engine
