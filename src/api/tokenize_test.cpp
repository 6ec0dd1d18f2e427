#include "api/tokenize.h"

#include <gtest/gtest.h>

namespace weir::api {
namespace {

TEST(Tokenize, TextAndConversationHaveTheirOwnDefaults) {
    const auto text = parse_tokenize_request(R"({"prompt":"hi","return_token_strs":true})", {});
    ASSERT_TRUE(text) << text.error().message;
    EXPECT_EQ(std::get<std::string>(text->input), "hi");
    EXPECT_TRUE(text->add_special_tokens);
    EXPECT_TRUE(text->return_token_strs);
    EXPECT_EQ(text->model, std::nullopt);
    const auto chat = parse_tokenize_request(
        R"({"model":"m","messages":[{"role":"user","content":"x"}],"add_generation_prompt":false})",
        {});
    ASSERT_TRUE(chat) << chat.error().message;
    EXPECT_EQ(chat->model, "m");
    EXPECT_FALSE(chat->add_special_tokens);
    EXPECT_FALSE(chat->add_generation_prompt);
}

TEST(Tokenize, WhatIsMissingOrUnknownIsNamed) {
    EXPECT_EQ(parse_tokenize_request("{}", {}).error().field, "prompt");
    EXPECT_EQ(parse_tokenize_request(R"({"prompt":"a","x":1})", {}).error().field, "x");
    EXPECT_EQ(parse_tokenize_request(R"({"prompt":"a","x":1})", {}).error().reason,
              "unknown_parameter");
    EXPECT_EQ(parse_detokenize_request(R"({"tokens":[1,-2]})", {}).error().field, "tokens[1]");
    EXPECT_EQ(parse_detokenize_request(R"({"tokens":"1"})", {}).error().reason, "invalid_value");
    EXPECT_EQ(parse_detokenize_request("{", {}).error().reason, "invalid_json");
}

TEST(Tokenize, RepliesHaveVllmsShape) {
    const std::vector<TokenId> tokens = {1, 2};
    const std::vector<std::string> texts = {"a", "\""};
    EXPECT_EQ(tokenize_reply_json(tokens, 8, {}),
              R"({"count":2,"max_model_len":8,"tokens":[1,2],"token_strs":null})");
    EXPECT_EQ(tokenize_reply_json(tokens, 8, texts),
              R"({"count":2,"max_model_len":8,"tokens":[1,2],"token_strs":["a","\""]})");
    EXPECT_EQ(detokenize_reply_json("é"), R"({"prompt":"é"})");
    EXPECT_EQ(parse_detokenize_request(R"({"tokens":[1,2]})", {})->tokens, tokens);
}

}  // namespace
}  // namespace weir::api
