#include "providers/openai/error_decoder.h"

#include <gtest/gtest.h>

namespace weir::providers {
namespace {

Error decoded(int status, std::string_view body, const net::Headers& headers = {}) {
    return decode_error_answer(ErrorSource::Provider, status, headers, body, {});
}

TEST(ErrorDecode, StatusesBecomeWhatTheRouterShouldDo) {
    struct Case {
        int status;
        ErrorCode code;
    };
    constexpr Case kCases[] = {
        {400, ErrorCode::InvalidArgument}, {422, ErrorCode::InvalidArgument},
        {401, ErrorCode::UpstreamFailed},  {403, ErrorCode::UpstreamFailed},
        {404, ErrorCode::UpstreamFailed},  {408, ErrorCode::DeadlineExceeded},
        {413, ErrorCode::TooLarge},        {429, ErrorCode::RateLimited},
        {500, ErrorCode::UpstreamFailed},  {502, ErrorCode::UpstreamFailed},
        {503, ErrorCode::Overloaded},      {504, ErrorCode::DeadlineExceeded},
        {529, ErrorCode::Overloaded},      {302, ErrorCode::UpstreamFailed},
        {402, ErrorCode::RateLimited},     {418, ErrorCode::UpstreamFailed},
    };
    for (const Case& row : kCases) {
        EXPECT_EQ(decoded(row.status, "").code, row.code) << row.status;
    }
}

TEST(ErrorDecode, ABadRequestKeepsFieldAndCode) {
    const Error error =
        decoded(400, R"({"error":{"message":"too long","type":"invalid_request_error",)"
                     R"("param":"messages[0].content","code":"context_length_exceeded"}})");
    EXPECT_EQ(error.message, "the provider answered: too long");
    EXPECT_EQ(error.field, "messages[0].content");
    EXPECT_EQ(error.reason, "context_length_exceeded");
}

TEST(ErrorDecode, BodiesOfEveryShapeAreRead) {
    for (const std::string_view body :
         {R"({"error":{"message":"m"}})", R"({"error":"m"})", R"({"message":"m","code":400})",
          R"({"detail":"m"})", R"([{"error":{"message":"m","code":400}}])"}) {
        EXPECT_EQ(decoded(400, body).message, "the provider answered: m") << body;
    }
    for (const std::string_view body : {"", "<html>", "{", "[]", "5", R"({"error":5})"}) {
        EXPECT_EQ(decoded(400, body).message, "the provider failed") << body;
    }
    EXPECT_EQ(decoded(500, std::string(1'000'000, '[')).code, ErrorCode::UpstreamFailed);
}

TEST(ErrorDecode, AnEmptyAccountIsNotWorthWaitingFor) {
    const net::Headers headers{{"retry-after", "5"}};
    const Error error =
        decoded(429, R"({"error":{"message":"m","code":"insufficient_quota"}})", headers);
    EXPECT_EQ(error.code, ErrorCode::RateLimited);
    EXPECT_EQ(error.reason, "insufficient_quota");
    EXPECT_EQ(error.retry_after, std::nullopt);
    EXPECT_EQ(decoded(429, "", headers).retry_after, std::chrono::seconds(5));
    EXPECT_EQ(decoded(503, "", headers).retry_after, std::chrono::seconds(5));
    EXPECT_EQ(decoded(400, "", headers).retry_after, std::nullopt);
}

TEST(ErrorDecode, SE1_OurKeyIsNeverShown) {
    const Error error = decoded(
        401, R"({"error":{"message":"Incorrect API key provided: sk-abc123","code":"sk-abc"}})");
    EXPECT_EQ(error.message, "the provider refused the gateway's key");
    EXPECT_EQ(error.reason, "upstream_auth");
    const Error other = decoded(
        400, R"({"error":{"message":"key sk-abc123 at https://up.example/v1","code":"sk-abc",)"
             R"("param":"sk-abc"}})");
    EXPECT_EQ(other.message, "the provider answered: key [removed] at [removed]");
    EXPECT_EQ(other.reason, "");
    EXPECT_EQ(other.field, "");
}

TEST(ErrorDecode, ErrorsInAStreamAreJudgedByTypeOrCode) {
    const auto in_stream = [](std::string_view type, json::Value code) {
        json::Object object;
        object.set("type", type);
        object.set("code", std::move(code));
        return decode_error_object(ErrorSource::Provider, object).code;
    };
    EXPECT_EQ(in_stream("overloaded_error", nullptr), ErrorCode::Overloaded);
    EXPECT_EQ(in_stream("", "rate_limit_exceeded"), ErrorCode::RateLimited);
    EXPECT_EQ(in_stream("", 429), ErrorCode::RateLimited);
    EXPECT_EQ(in_stream("authentication_error", nullptr), ErrorCode::UpstreamFailed);
    EXPECT_EQ(in_stream("server_error", nullptr), ErrorCode::UpstreamFailed);
    EXPECT_EQ(in_stream("x", "y"), ErrorCode::UpstreamFailed);
}

TEST(ErrorDecode, AWorkersErrorsComeBackAsTheyWentIn) {
    const Error error = decode_error_answer(
        ErrorSource::Worker, 400, {},
        R"({"error":{"message":"8 tokens at /x","type":"invalid_request_error",)"
        R"("param":"messages","code":"context_length_exceeded"}})",
        {});
    EXPECT_EQ(error.code, ErrorCode::InvalidArgument);
    EXPECT_EQ(error.message, "8 tokens at /x");
    EXPECT_EQ(error.field, "messages");
    EXPECT_EQ(error.reason, "context_length_exceeded");
    EXPECT_EQ(decode_error_answer(ErrorSource::Worker, 503, {}, "", {}).code,
              ErrorCode::Overloaded);
}

}  // namespace
}  // namespace weir::providers
