#include <gtest/gtest.h>

#include "api/openai_chat.h"

namespace weir::api {
namespace {

using chat::RawPrompts;

Result<chat::ChatRequest> parse_with(std::string_view members) {
    return parse_completion_request(fmt::format(R"({{"model":"m",{}}})", members), {});
}

std::string refused_field(std::string_view members) {
    const auto request = parse_with(members);
    return request ? "" : request.error().field;
}

std::string prompts_of(std::string_view prompt) {
    const auto request = parse_with(fmt::format("\"prompt\":{}", prompt));
    if (!request) {
        return fmt::format("refused: {}", request.error().field);
    }
    std::string out;
    for (const auto& one : std::get<RawPrompts>(request->input).prompts) {
        if (const auto* text = std::get_if<std::string>(&one)) {
            out += fmt::format("'{}' ", *text);
        } else {
            out += fmt::format("[{}] ", fmt::join(std::get<std::vector<TokenId>>(one), " "));
        }
    }
    return out;
}

TEST(CompletionPrompt, TakesTextTokensAndArraysOfEither) {
    EXPECT_EQ(prompts_of(R"("a")"), "'a' ");
    EXPECT_EQ(prompts_of(R"("")"), "'' ");
    EXPECT_EQ(prompts_of(R"(["a","b"])"), "'a' 'b' ");
    EXPECT_EQ(prompts_of("[1,2]"), "[1 2] ");
    EXPECT_EQ(prompts_of("[[1,2],[3]]"), "[1 2] [3] ");
}

TEST(CompletionPrompt, MixturesAndEmptyArraysAreNamed) {
    EXPECT_EQ(prompts_of("[]"), "refused: prompt");
    EXPECT_EQ(prompts_of("[[]]"), "refused: prompt[0]");
    EXPECT_EQ(prompts_of(R"(["a",1])"), "refused: prompt[1]");
    EXPECT_EQ(prompts_of(R"([1,"a"])"), "refused: prompt[1]");
    EXPECT_EQ(prompts_of(R"([[1],"a"])"), "refused: prompt[1]");
    EXPECT_EQ(prompts_of(R"([[1,-2]])"), "refused: prompt[0][1]");
    EXPECT_EQ(prompts_of("[2147483648]"), "refused: prompt[0]");
    EXPECT_EQ(prompts_of("[1.5]"), "refused: prompt[0]");
    EXPECT_EQ(prompts_of("[null]"), "refused: prompt[0]");
    EXPECT_EQ(prompts_of("{}"), "refused: prompt");
    EXPECT_EQ(prompts_of("null"), "refused: prompt");
}

TEST(CompletionFields, EachOfTheDescriptionIsHonouredHarmlessOrRefused) {
    const auto request = parse_with(
        R"("prompt":"p","best_of":3,"echo":true,"frequency_penalty":1,"logit_bias":{"1":2},)"
        R"("logprobs":5,"max_tokens":0,"n":2,"presence_penalty":1,"seed":3,"stop":"s",)"
        R"("stream":false,"temperature":1,"top_p":0.5,"user":"u","suffix":null,"top_k":4,)"
        R"("min_p":0.5,"repetition_penalty":2,"stop_token_ids":[1],"ignore_eos":true)");
    ASSERT_TRUE(request) << request.error().message;
    EXPECT_TRUE(std::get<RawPrompts>(request->input).echo);
    EXPECT_EQ(request->sampling.best_of, 3u);
    EXPECT_EQ(request->sampling.logprobs, 5u);
    EXPECT_EQ(request->sampling.tokens_max, 0u);
    ASSERT_EQ(request->passed_on.size(), 1u);
    EXPECT_EQ(request->passed_on[0].first, "user");
    EXPECT_EQ(refused_field(R"("prompt":"p","suffix":"x")"), "suffix");
    EXPECT_EQ(refused_field(R"("prompt":"p","messages":[])"), "messages");
    EXPECT_EQ(refused_field(R"("prompt":"p","store":false)"), "store");
}

TEST(CompletionFields, WithoutMaxTokensTheLimitIsSixteen) {
    EXPECT_EQ(parse_with(R"("prompt":"p")")->sampling.tokens_max, 16u);
}

TEST(CompletionFields, AP4_MaxTokensZeroNeedsEcho) {
    EXPECT_EQ(refused_field(R"("prompt":"p","max_tokens":0)"), "max_tokens");
    EXPECT_EQ(refused_field(R"("prompt":"p","max_tokens":0,"echo":true)"), "");
    EXPECT_EQ(refused_field(R"("prompt":"p","max_tokens":-1,"echo":true)"), "max_tokens");
}

TEST(CompletionFields, BestOfIsAtLeastNAndNotStreamed) {
    EXPECT_EQ(refused_field(R"("prompt":"p","best_of":1,"n":2)"), "best_of");
    EXPECT_EQ(refused_field(R"("prompt":"p","best_of":21)"), "best_of");
    EXPECT_EQ(refused_field(R"("prompt":"p","best_of":2,"stream":true)"), "best_of");
    EXPECT_EQ(refused_field(R"("prompt":"p","best_of":1,"stream":true)"), "");
    EXPECT_EQ(parse_with(R"("prompt":"p","best_of":0)")->sampling.best_of, std::nullopt);
}

TEST(CompletionFields, AP1_PromptsTimesChoicesIsBounded) {
    std::string prompts = "\"p\"";
    for (int i = 1; i < 9; ++i) {
        prompts += ",\"p\"";
    }
    EXPECT_EQ(refused_field(fmt::format("\"prompt\":[{}],\"n\":128", prompts)), "n");
    EXPECT_EQ(refused_field(fmt::format("\"prompt\":[{}],\"n\":100", prompts)), "");
    std::string many = "\"p\"";
    for (int i = 0; i < 256; ++i) {
        many += ",\"p\"";
    }
    EXPECT_EQ(refused_field(fmt::format("\"prompt\":[{}]", many)), "prompt");
}

}  // namespace
}  // namespace weir::api
