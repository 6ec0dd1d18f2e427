#include "engine/choice_output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/testing/event_log.h"
#include "text/output/known.h"
#include "text/test_vocabularies.h"

namespace weir::engine {
namespace {

using ::testing::ElementsAre;

class ChoiceOutputTest : public ::testing::Test {
  protected:
    std::vector<std::string> told(const std::vector<std::vector<TokenId>>& parts,
                                  chat::FinishReason reason) {
        text::OutputFormat format;
        find_reasoning("</think>", format);
        find_calls("<tool_call>", format.calls);
        OutputReading reading;
        reading.format = std::make_shared<const text::OutputFormat>(format);
        reading.tools = std::make_shared<const text::ToolTypes>();
        reading.finds_calls = true;
        reading.format_tokens =
            std::make_shared<const std::vector<TokenId>>(format_tokens_of(format, tokenizer_));
        ChoiceOutput output(tokenizer_, {}, reading);
        std::vector<chat::ChatEvent> events;
        for (const std::vector<TokenId>& part : parts) {
            for (const TokenId token : part) {
                EXPECT_TRUE(
                    output.push(0, {.token = token, .logprobs = TokenLogprobs{-1, {}}}, events));
            }
        }
        output.finish(0, reason, events);
        reasoning_tokens_ = output.reasoning_tokens();
        std::vector<std::string> lines;
        for (const chat::ChatEvent& event : events) {
            lines.push_back(testing::described(event));
        }
        return lines;
    }
    std::vector<TokenId> tokens(std::string_view text) {
        return tokenizer_.encode(text, {.parse_special = true}).value();
    }

    struct Vocabulary : text::testing::ByteLevelVocabulary {
        TokenId think = add("<think>", text::TokenType::Control);
        TokenId think_end = add("</think>", text::TokenType::Control);
        TokenId other = add("<|other|>", text::TokenType::Control);
    } vocabulary_;
    const text::Tokenizer tokenizer_ = vocabulary_.load();
    uint64_t reasoning_tokens_ = 0;
};

TEST_F(ChoiceOutputTest, OnlyControlTokensOfTheFormatReachTheParser) {
    EXPECT_THAT(told({tokens("<think>he</think><|other|>hello")}, chat::FinishReason::Stop),
                ElementsAre("0 thinks he", "0 hello [<|other|> -1 hello -1]", "0 stop"));
    EXPECT_EQ(reasoning_tokens_, 2u);  // "he" and the mark of the end
}

TEST_F(ChoiceOutputTest, LogprobsStayWithTheTextOfTheirTokens) {
    // The line feeds belong to no text; the last token's first byte is a blank that does.
    EXPECT_THAT(told({tokens("<think></think>\n\nhe w")}, chat::FinishReason::Length),
                ElementsAre("0 he [he -1]", "0  w [ w -1]", "0 length"));
    // A token that is partly text counts.
    EXPECT_THAT(
        told({tokens("a<tool_call>{\"name\":\"f\"}</tool_call>b")}, chat::FinishReason::Stop)
            .front(),
        "0 a [a -1]");
}

TEST_F(ChoiceOutputTest, AnswersThatBreakOffInsideACallDoNotSayThatTheyCall) {
    const auto call = [&](std::string_view arguments, chat::FinishReason reason) {
        const std::string text =
            "<tool_call>{\"name\":\"f\",\"arguments\":" + std::string(arguments);
        return told({tokens(text)}, reason).back();
    };
    using chat::FinishReason;
    EXPECT_EQ(call("{}}</tool_call>", FinishReason::Stop), "0 tool_calls");
    EXPECT_EQ(call("{\"a\":", FinishReason::Stop), "0 stop");
    EXPECT_EQ(call("{\"a\":", FinishReason::Length), "0 length");
    // The limit came behind the call: there may have been more.
    EXPECT_EQ(call("{}}</tool_call>", FinishReason::Length), "0 length");
}

TEST(ToolCallId, IsNineLettersAndAnotherForEachCall) {
    std::set<std::string> ids;
    for (uint64_t seed = 0; seed < 10; ++seed) {
        for (uint32_t choice = 0; choice < 10; ++choice) {
            for (uint32_t call = 0; call < 10; ++call) {
                const std::string id = tool_call_id(seed, choice, call);
                EXPECT_EQ(id.size(), 9u);
                ids.insert(id);
            }
        }
    }
    EXPECT_EQ(ids.size(), 1000u);
    EXPECT_EQ(tool_call_id(7, 1, 2), tool_call_id(7, 1, 2));
}

}  // namespace
}  // namespace weir::engine
