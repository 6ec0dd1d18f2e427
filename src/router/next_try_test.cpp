#include "router/next_try.h"

#include <gtest/gtest.h>

namespace weir::router {
namespace {

Error failure(ErrorCode code, std::string_view reason = {}) {
    return make_error(code, "failed").with_reason(reason);
}

TEST(NextTry, WhatIsWrongWithTheRequestStaysWrong) {
    EXPECT_EQ(next_try(failure(ErrorCode::InvalidArgument)), NextTry::None);
    EXPECT_EQ(next_try(failure(ErrorCode::Cancelled)), NextTry::None);
    EXPECT_EQ(next_try(failure(ErrorCode::PermissionDenied, "no_cleared_backend")), NextTry::None);
}

TEST(NextTry, WhatOneBackendCannotDoTheNextMay) {
    EXPECT_EQ(next_try(failure(ErrorCode::Unsupported)), NextTry::OtherBackend);
    EXPECT_EQ(next_try(failure(ErrorCode::InvalidArgument, "unsupported_parameter")),
              NextTry::OtherBackend);
}

TEST(NextTry, ARefusedKeyIsNotTriedAgain) {
    for (const char* reason : {"upstream_auth", "upstream_not_found"}) {
        EXPECT_EQ(next_try(failure(ErrorCode::UpstreamFailed, reason)), NextTry::OtherBackend);
    }
    EXPECT_EQ(next_try(failure(ErrorCode::RateLimited, "insufficient_quota")),
              NextTry::OtherBackend);
}

TEST(NextTry, NoProviderIsPaidTwiceForOneAnswer) {
    const Error malformed = failure(ErrorCode::UpstreamFailed, "upstream_malformed");
    EXPECT_TRUE(was_worked_on(malformed));
    EXPECT_EQ(next_try(malformed), NextTry::OtherBackend);
    EXPECT_FALSE(was_worked_on(failure(ErrorCode::UpstreamFailed)));
}

TEST(NextTry, BadLuckIsWorthTheSameBackendAgain) {
    for (const ErrorCode code :
         {ErrorCode::Overloaded, ErrorCode::Unavailable, ErrorCode::RateLimited,
          ErrorCode::DeadlineExceeded, ErrorCode::UpstreamFailed}) {
        EXPECT_EQ(next_try(failure(code)), NextTry::Any) << name(code);
    }
}

}  // namespace
}  // namespace weir::router
