#include "engine/testing/conversation.h"

#include <gtest/gtest.h>

#include "engine/testing/fake_model.h"

namespace weir::engine::testing {
namespace {

// The bookkeeping half of "a conversation's next turn computes what is new": every shape of memory
// that a model can have. tests/property does the same with real models.
class Conversations : public ::testing::TestWithParam<FakeModelOptions> {};

TEST_P(Conversations, ATurnComputesItsNewTokensAndAtMostABlock) {
    for (uint32_t seed = 1; seed <= 4; ++seed) {
        for (const uint32_t rewritten : {0u, 3u}) {
            FakeModel model(GetParam());
            const auto wrong = first_turn_that_forgets(
                model, {.seed = seed, .rewritten_tokens_max = rewritten, .beside = seed % 2 * 2});
            ASSERT_TRUE(wrong) << wrong.error().message;
            EXPECT_FALSE(wrong->has_value())
                << "seed " << seed << ", rewritten " << rewritten << ": " << **wrong;
        }
    }
}

constexpr uint32_t kContext = 700;
INSTANTIATE_TEST_SUITE_P(
    Shapes, Conversations,
    ::testing::Values(
        FakeModelOptions{.context_tokens = kContext},
        FakeModelOptions{.context_tokens = kContext, .window_tokens = 9},
        FakeModelOptions{.context_tokens = kContext, .full_attention = false, .window_tokens = 30},
        FakeModelOptions{.context_tokens = kContext, .recurrent = true},
        FakeModelOptions{.context_tokens = kContext, .window_tokens = 9, .recurrent = true},
        FakeModelOptions{.context_tokens = kContext, .full_attention = false, .recurrent = true}));

// A model whose answer depends on where a prompt was cut.
TEST(ConversationsHarness, NoticesAnAnswerThatIsNotTheColdRuns) {
    FakeModel model({.context_tokens = kContext, .recurrent = true});
    model.on_row = [&](const model::SequenceSlice& slice, uint32_t, std::span<float> row) {
        row[0] += slice.position > 0 && slice.tokens.size() > 1 ? 0x1.0p-20f : 0.0f;
    };
    const auto wrong = first_turn_that_forgets(model, {});
    ASSERT_TRUE(wrong);
    ASSERT_TRUE(wrong->has_value());
    EXPECT_NE((*wrong)->find("not the cold run's"), std::string::npos) << **wrong;
}

// Prompts that go back by more than two blocks find no checkpoint.
TEST(ConversationsHarness, NoticesWhatIsComputedTwice) {
    FakeModel model({.context_tokens = kContext, .recurrent = true});
    const auto wrong = first_turn_that_forgets(model, {.rewritten_tokens_max = 30});
    ASSERT_TRUE(wrong);
    ASSERT_TRUE(wrong->has_value());
    EXPECT_NE((*wrong)->find("it computed"), std::string::npos) << **wrong;
}

}  // namespace
}  // namespace weir::engine::testing
