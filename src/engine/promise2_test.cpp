#include "engine/testing/promise2.h"

#include <gtest/gtest.h>

#include "engine/testing/fake_model.h"

namespace weir::engine::testing {
namespace {

// The scheduling half of promise 2, on every shape of memory that a model can have. The model
// room's arithmetic is put to the same test in tests/property.
class Promise2 : public ::testing::TestWithParam<FakeModelOptions> {};

TEST_P(Promise2, TheAnswerDoesNotDependOnAnythingElse) {
    for (uint32_t seed = 1; seed <= 4; ++seed) {
        FakeModel model(GetParam());
        const auto difference = first_difference(model, {.seed = seed});
        ASSERT_TRUE(difference) << difference.error().message;
        EXPECT_FALSE(difference->has_value()) << "seed " << seed << ": " << **difference;
    }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, Promise2,
    ::testing::Values(FakeModelOptions{}, FakeModelOptions{.window_tokens = 9},
                      FakeModelOptions{.full_attention = false, .window_tokens = 9},
                      FakeModelOptions{.recurrent = true},
                      FakeModelOptions{.window_tokens = 9, .recurrent = true}));

// The harness itself can fail: a model that reads what it should not is found out.
TEST(Promise2Harness, NoticesAModelThatDependsOnItsBatch) {
    FakeModel model({});
    size_t batch = 0;
    model.before_pass = [&](std::span<const model::SequenceSlice> slices) -> Result<void> {
        batch = slices.size();
        return {};
    };
    model.on_row = [&](const model::SequenceSlice&, uint32_t, std::span<float> row) {
        row[3] += batch > 5 ? 0x1.0p-20f : 0.0f;
    };
    const auto difference = first_difference(model, {});
    ASSERT_TRUE(difference);
    ASSERT_TRUE(difference->has_value());
    EXPECT_NE((*difference)->find("among others"), std::string::npos) << **difference;
}

TEST(Promise2Harness, NoticesThatNobodyWasThere) {
    FakeModel model({});
    const auto difference = first_difference(model, {.others = 0});
    ASSERT_TRUE(difference);
    ASSERT_TRUE(difference->has_value());
    EXPECT_NE((*difference)->find("0 of 12 steps were shared"), std::string::npos) << **difference;
}

TEST(Promise2Harness, NoticesThatNothingWasPreempted) {
    FakeModel model({});
    // After the second token it would be preempted, but then it is over.
    const auto difference = first_difference(model, {.answer_tokens = 2});
    ASSERT_TRUE(difference);
    ASSERT_TRUE(difference->has_value());
    EXPECT_NE((*difference)->find("0 while it answered"), std::string::npos) << **difference;
}

}  // namespace
}  // namespace weir::engine::testing
