#include "server/usage_estimate.h"

#include <gtest/gtest.h>

namespace weir::server {
namespace {

chat::ChatRequest asking(std::string text) {
    chat::Message message;
    message.content.push_back({.text = std::move(text)});
    chat::Conversation conversation;
    conversation.messages.push_back(std::move(message));
    chat::ChatRequest request;
    request.input = std::move(conversation);
    return request;
}

TEST(UsageEstimate, APromptIsPaidForAlsoWhereNothingCameBack) {
    const chat::Usage usage = UsageEstimate().usage(asking(std::string(4000, 'a')));
    EXPECT_EQ(usage.prompt_tokens, 1004u);
    EXPECT_EQ(usage.completion_tokens, 0u);
}

TEST(UsageEstimate, CountsTheTokenIdsOfACompletion) {
    chat::ChatRequest request;
    request.input = chat::RawPrompts{.prompts = {std::vector<TokenId>(7), std::string("12345")}};
    EXPECT_EQ(UsageEstimate().usage(request).prompt_tokens, 9u);
}

TEST(UsageEstimate, AnEventIsAtLeastAToken) {
    UsageEstimate estimate;
    estimate.saw(chat::Started{});
    for (int i = 0; i < 10; ++i) {
        estimate.saw(chat::TextDelta{.text = "a"});
    }
    estimate.saw(chat::ChoiceFinished{});
    EXPECT_EQ(estimate.usage(asking("")).completion_tokens, 10u);
}

TEST(UsageEstimate, AWholeAnswerInOneEventIsCountedByItsLength) {
    UsageEstimate estimate;
    estimate.saw(chat::TextDelta{.text = std::string(400, 'a')});
    EXPECT_EQ(estimate.usage(asking("")).completion_tokens, 100u);
}

}  // namespace
}  // namespace weir::server
