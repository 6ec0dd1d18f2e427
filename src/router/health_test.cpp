#include "router/health.h"

#include <gtest/gtest.h>

namespace weir::router {
namespace {

using std::chrono::milliseconds;

TEST(Breaker, UP7_OpensAfterFailuresInARowAndLetsOneTryLater) {
    ManualClock clock;
    Breaker breaker(clock, {.failures_max = 2, .open_for = milliseconds(100)});
    breaker.failed();
    breaker.succeeded();
    breaker.failed();
    EXPECT_FALSE(breaker.is_open());
    breaker.failed();
    EXPECT_TRUE(breaker.is_open());
    clock.advance(milliseconds(100));
    EXPECT_FALSE(breaker.is_open());
    breaker.failed();
    EXPECT_TRUE(breaker.is_open());
    breaker.succeeded();
    EXPECT_FALSE(breaker.is_open());
}

TEST(Breaker, UP7_HalfOpenItLetsOneRequestThroughUntilItsOutcomeIsKnown) {
    ManualClock clock;
    Breaker breaker(clock, {.failures_max = 2, .open_for = milliseconds(100)});
    breaker.tried();
    EXPECT_FALSE(breaker.is_open());  // closed, it lets everybody through
    breaker.failed();
    breaker.failed();
    clock.advance(milliseconds(100));
    EXPECT_FALSE(breaker.is_open());
    breaker.tried();
    EXPECT_TRUE(breaker.is_open());  // for the next
    clock.advance(milliseconds(99));
    EXPECT_TRUE(breaker.is_open());
    clock.advance(milliseconds(1));
    EXPECT_FALSE(breaker.is_open());  // the one that tried never said
    breaker.tried();
    breaker.succeeded();
    EXPECT_FALSE(breaker.is_open());
}

TEST(RetryBudget, UP7_AllowsATenthOfTheRequests) {
    RetryBudget budget;
    int spent = 0;
    while (budget.spend()) {
        ++spent;
    }
    for (int i = 0; i < 100; ++i) {
        budget.request_came();
        spent += budget.spend() ? 1 : 0;
    }
    EXPECT_EQ(spent, 10 + 10);
}

TEST(RetryDelay, UP7_HonoursThePeerUpToAMinute) {
    Error error;
    error.retry_after = milliseconds(5'000);
    EXPECT_EQ(retry_delay(error, 0, 0.5), milliseconds(5'000));
    error.retry_after = std::chrono::hours(24 * 365);
    EXPECT_EQ(retry_delay(error, 0, 0.5), milliseconds(60'000));
    error.retry_after = milliseconds(-5);
    EXPECT_EQ(retry_delay(error, 0, 0.5), milliseconds(0));
    error.retry_after.reset();
    EXPECT_EQ(retry_delay(error, 2, 1.0), milliseconds(1'000));
    EXPECT_EQ(retry_delay(error, 2, 0.0), milliseconds(0));
    EXPECT_EQ(retry_delay(error, 1000, 1.0), milliseconds(32'000));
}

TEST(IsWorthAnotherTry, AWrongRequestStaysWrong) {
    EXPECT_FALSE(is_worth_another_try(make_error(ErrorCode::InvalidArgument, "x")));
    EXPECT_FALSE(is_worth_another_try(make_error(ErrorCode::PermissionDenied, "x")));
    EXPECT_TRUE(is_worth_another_try(make_error(ErrorCode::RateLimited, "x")));
    EXPECT_TRUE(is_worth_another_try(make_error(ErrorCode::Unavailable, "x")));
    EXPECT_FALSE(
        is_worth_another_try(make_error(ErrorCode::Unavailable, "x").with_reason(kWorkerDied)));
}

}  // namespace
}  // namespace weir::router
