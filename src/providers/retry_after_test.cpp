#include "providers/retry_after.h"

#include <gtest/gtest.h>

namespace weir::providers {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// 1994-11-06 08:49:37 UTC
const Clock::WallTime kNow{seconds(784111777)};

std::optional<milliseconds> wait(std::string value, std::string name = "Retry-After") {
    net::Headers headers;
    headers.add(std::move(name), std::move(value));
    return retry_after(headers, kNow);
}

TEST(RetryAfter, UP7_SecondsAndDatesAreHonouredUpToSixtySeconds) {
    EXPECT_EQ(retry_after({}, kNow), std::nullopt);
    EXPECT_EQ(wait("3"), seconds(3));
    EXPECT_EQ(wait(" 0 "), seconds(0));
    EXPECT_EQ(wait("1.5"), milliseconds(1500));
    EXPECT_EQ(wait("60"), seconds(60));
    EXPECT_EQ(wait("86400"), seconds(60));
    EXPECT_EQ(wait("99999999999999999999999999"), seconds(60));
    EXPECT_EQ(wait("Sun, 06 Nov 1994 08:49:47 GMT"), seconds(10));
    EXPECT_EQ(wait("Sun, 06 Nov 1994 08:49:27 GMT"), seconds(0));
    EXPECT_EQ(wait("Fri, 31 Dec 9999 23:59:59 GMT"), seconds(60));
    EXPECT_EQ(wait("250", "retry-after-ms"), milliseconds(250));
}

TEST(RetryAfter, UP7_WhatIsNegativeOrNotUnderstoodIsNone) {
    for (const std::string_view bad :
         {"-1", "-99999999999999999999999999", "", "soon", "1e3", "inf", "nan", "1 s", "0x10",
          "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Foo 1994 08:49:37 GMT",
          "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 0a Nov 1994 08:49:37 GMT"}) {
        EXPECT_EQ(wait(std::string(bad)), std::nullopt) << bad;
    }
}

}  // namespace
}  // namespace weir::providers
