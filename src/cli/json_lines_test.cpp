#include "cli/json_lines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <sstream>

namespace weir::cli {
namespace {

TEST(AnswerLines, GoesOnAfterABadLineAndFailsInTheEnd) {
    std::istringstream in("{\"a\":1}\nnonsense\n{\"a\":2}\n");
    std::ostringstream out;
    const LineAnswer answer = [](json::Fields& fields) -> Result<std::string> {
        int64_t a = 0;
        WEIR_TRY(fields.read("a", json::in_range<int64_t>(0, 9), a));
        return std::to_string(a);
    };
    EXPECT_EQ(answer_lines(in, out, answer).error().message, "1 of 3 lines could not be answered");
    EXPECT_THAT(out.str(), ::testing::StartsWith("1\n{\"error\":\"not valid JSON"));
    EXPECT_THAT(out.str(), ::testing::EndsWith("\"}\n2\n"));
}

TEST(AnswerLines, AMemberThatNobodyKnowsIsRefusedByName) {
    std::istringstream in("{\"a\":1,\"temprature\":0}\n{\"a\":2}\n");
    std::ostringstream out;
    EXPECT_FALSE(answer_lines(in, out, [](json::Fields& fields) -> Result<std::string> {
        int64_t a = 0;
        WEIR_TRY(fields.read("a", json::in_range<int64_t>(0, 9), a));
        return std::to_string(a);
    }));
    EXPECT_EQ(out.str(), "{\"error\":\"unknown parameter: temprature\"}\n2\n");
}

TEST(AnswerLines, SucceedsWhenEveryLineWasAnsweredOrThereIsNone) {
    const LineAnswer answer = [](json::Fields&) -> Result<std::string> {
        return "{}";
    };
    std::ostringstream out;
    std::istringstream two("{}\n{}\n");
    EXPECT_TRUE(answer_lines(two, out, answer));
    std::istringstream none("");
    EXPECT_TRUE(answer_lines(none, out, answer));
    EXPECT_EQ(out.str(), "{}\n{}\n");
}

TEST(AnswerLines, SaysWhenNobodyTakesTheAnswers) {
    std::istringstream in("{}\n");
    std::ostringstream out;
    out.setstate(std::ios::failbit);
    EXPECT_FALSE(answer_lines(in, out, [](json::Fields&) -> Result<std::string> { return "{}"; }));
}

TEST(Base64, MatchesTheStandardsPadding) {
    const std::array<float, 2> numbers = {1.0f, -2.5f};
    EXPECT_EQ(base64_of(std::span(numbers).first(1)), "AACAPw==");
    EXPECT_EQ(base64_of(numbers), "AACAPwAAIMA=");
    EXPECT_EQ(base64_of({}), "");
}

}  // namespace
}  // namespace weir::cli
