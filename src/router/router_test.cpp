#include "router/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir::router {
namespace {

using chat::Label;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Route remote_then_local() {
    return {.name = "assistant",
            .candidates = {{.index = 3, .name = "remote", .clearance = Label::Internal},
                           {.index = 1, .name = "here", .clearance = Label::Restricted}}};
}

TEST(ChooseBackends, KeepsTheOperatorsOrder) {
    EXPECT_THAT(choose_backends(remote_then_local(), Label::Internal, "nothing found")->order,
                ElementsAre(3, 1));
}

TEST(ChooseBackends, SensitiveRequestsStayAndTheReasonSaysWhy) {
    const auto decision =
        choose_backends(remote_then_local(), Label::Restricted, "found payment_card");
    EXPECT_THAT(decision->order, ElementsAre(1));
    EXPECT_EQ(decision->reason,
              "restricted: found payment_card; skipped remote (cleared for internal)");
}

TEST(ChooseBackends, WithoutAClearedBackendItRefuses) {
    Route route = remote_then_local();
    route.candidates.pop_back();
    const auto decision = choose_backends(route, Label::Confidential, "header label");
    ASSERT_FALSE(decision);
    EXPECT_EQ(decision.error().code, ErrorCode::PermissionDenied);
    EXPECT_EQ(decision.error().reason, "no_cleared_backend");
    EXPECT_THAT(decision.error().message, HasSubstr("header label"));
}

TEST(ChooseBackends, AnOpenBreakerGoesLastAndNeverGainsClearance) {
    Route route = remote_then_local();
    route.candidates[0].breaker_open = true;
    const auto decision = choose_backends(route, Label::Internal, "nothing found");
    EXPECT_THAT(decision->order, ElementsAre(1, 3));
    EXPECT_EQ(decision->reason, "internal: nothing found; remote last (it keeps failing)");
    EXPECT_THAT(choose_backends(route, Label::Restricted, "")->order, ElementsAre(1));
}

}  // namespace
}  // namespace weir::router
