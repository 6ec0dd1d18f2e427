#include "api/errors.h"

#include <gtest/gtest.h>

#include "api/models.h"
#include "base/utf8.h"

namespace weir::api {
namespace {

TEST(Errors, BodyIsOpenAisAndEmptyMembersAreNull) {
    const Error error = make_error(ErrorCode::InvalidArgument, "n must be \"1\"")
                            .with_field("n")
                            .with_reason("invalid_value");
    EXPECT_EQ(error_body(error),
              R"({"error":{"message":"n must be \"1\"","type":"invalid_request_error",)"
              R"("param":"n","code":"invalid_value"}})");
    EXPECT_EQ(error_body(make_error(ErrorCode::Overloaded, "full")),
              R"({"error":{"message":"full","type":"overloaded_error","param":null,"code":null}})");
}

TEST(Errors, StatusesAreThoseThatClientsActOn) {
    EXPECT_EQ(http_status(ErrorCode::InvalidArgument), 400);
    EXPECT_EQ(http_status(ErrorCode::Unsupported), 400);
    EXPECT_EQ(http_status(ErrorCode::Unauthenticated), 401);
    EXPECT_EQ(http_status(ErrorCode::PermissionDenied), 403);
    EXPECT_EQ(http_status(ErrorCode::NotFound), 404);
    EXPECT_EQ(http_status(ErrorCode::TooLarge), 413);
    EXPECT_EQ(http_status(ErrorCode::RateLimited), 429);
    EXPECT_EQ(http_status(ErrorCode::Internal), 500);
    EXPECT_EQ(http_status(ErrorCode::UpstreamFailed), 502);
    EXPECT_EQ(http_status(ErrorCode::Overloaded), 503);
    EXPECT_EQ(http_status(ErrorCode::DeadlineExceeded), 504);
}

TEST(Errors, AFieldNameOfAnyLengthMakesAShortAnswer) {
    std::string field;
    for (int i = 0; i < 100'000; ++i) {
        field += "é";
    }
    const std::string body = error_body(
        make_error(ErrorCode::InvalidArgument, "unknown parameter: {}", field).with_field(field));
    EXPECT_LT(body.size(), 1500u);
    EXPECT_EQ(body.find("\xEF\xBF\xBD"), std::string::npos);
}

TEST(Errors, AnEventCarriesTheErrorAndNoEnd) {
    std::string out;
    append_error_event(out, make_error(ErrorCode::UpstreamFailed, "cut"));
    EXPECT_EQ(out,
              "data: {\"error\":{\"message\":\"cut\",\"type\":\"upstream_error\","
              "\"param\":null,\"code\":null}}\n\n");
}

TEST(Errors, RetryAfterIsWholeSecondsRoundedUp) {
    Error error = make_error(ErrorCode::RateLimited, "slow down");
    EXPECT_TRUE(error_headers(error).empty());
    error.retry_after = std::chrono::milliseconds(1001);
    ASSERT_EQ(error_headers(error).size(), 1u);
    EXPECT_EQ(error_headers(error)[0].second, "2");
    error.retry_after = std::chrono::milliseconds(-5);
    EXPECT_EQ(error_headers(error)[0].second, "0");
    error.retry_after.reset();
    error.reason = "insufficient_quota";
    EXPECT_EQ(error_headers(error)[0].first, "x-should-retry");
}

TEST(Models, ListAndEntryHaveOpenAisShape) {
    const ModelEntry model{.id = "a", .created = 5, .owned_by = "weir"};
    const std::string json = R"({"id":"a","object":"model","created":5,"owned_by":"weir"})";
    EXPECT_EQ(model_json(model), json);
    EXPECT_EQ(model_list_json({&model, 1}),
              fmt::format(R"({{"object":"list","data":[{}]}})", json));
    EXPECT_EQ(http_status(model_not_found().code), 404);
}

}  // namespace
}  // namespace weir::api
