#include "engine/choice_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "engine/testing/event_log.h"
#include "text/test_vocabularies.h"

namespace weir::engine {
namespace {

using ::testing::ElementsAre;

// What one choice says, told token by token: the deltas, and "-" where there is none.
class ChoiceTextTest : public ::testing::Test {
  protected:
    std::vector<std::string> told(const std::vector<std::string>& stops,
                                  const std::vector<TokenId>& tokens) {
        ChoiceText text(tokenizer_, stops);
        std::vector<std::string> lines;
        for (const TokenId token : tokens) {
            const auto delta = text.push(0, {.token = token, .logprobs = TokenLogprobs{-1, {}}});
            EXPECT_TRUE(delta) << delta.error().message;
            lines.push_back(*delta ? testing::described(**delta) : "-");
        }
        const auto rest = text.finish(0);
        lines.push_back(rest ? testing::described(*rest) : "-");
        stopped_ = text.stopped();
        return lines;
    }

    text::testing::ByteLevelVocabulary vocabulary_;
    const text::Tokenizer tokenizer_ = vocabulary_.load();
    const TokenId he_ = vocabulary_.he;
    const TokenId ll_ = vocabulary_.ll;
    const TokenId space_w_ = vocabulary_.space_w;
    bool stopped_ = false;
};

TEST_F(ChoiceTextTest, ACharacterComesWhenItIsWholeAndWithAllItsTokens) {
    EXPECT_THAT(told({}, {'a', 0xC3, 0xA9}),
                ElementsAre("0 a [a -1]", "-", "0 é [\xC3 -1 \xA9 -1]", "-"));
}

TEST_F(ChoiceTextTest, ACharacterThatStaysUnfinishedIsReplaced) {
    EXPECT_THAT(told({}, {'a', 0xE2, 0x82}),
                ElementsAre("0 a [a -1]", "-", "-", "0 \xEF\xBF\xBD [\xE2 -1 \x82 -1]"));
}

// "hello w" up to the stop "lo w": the second l is held back from where the stop may begin, and its
// token's log probability comes with the part that is text. The tokens inside of the stop go.
TEST_F(ChoiceTextTest, AStopStringTakesItsTokensLogprobsAlong) {
    EXPECT_THAT(told({"lo w"}, {he_, ll_, 'o', space_w_}),
                ElementsAre("0 he [he -1]", "0 l [ll -1]", "-", "-", "-"));
    EXPECT_TRUE(stopped_);
}

TEST_F(ChoiceTextTest, WhatOnlyLookedLikeAStopIsTextInTheEnd) {
    EXPECT_THAT(told({"lo w"}, {he_, ll_, 'o'}),
                ElementsAre("0 he [he -1]", "0 l [ll -1]", "-", "0 lo [o -1]"));
    EXPECT_FALSE(stopped_);
}

TEST_F(ChoiceTextTest, AStopInsideOfATokenCutsIt) {
    EXPECT_THAT(told({"l"}, {'a', vocabulary_.hello}),
                ElementsAre("0 a [a -1]", "0 he [hello -1]", "-"));
    EXPECT_TRUE(stopped_);
}

TEST_F(ChoiceTextTest, ControlTokensAreNoText) {
    EXPECT_THAT(told({}, {'a', vocabulary_.end, 'b'}),
                ElementsAre("0 a [a -1]", "-", "0 b [<|im_end|> -1 b -1]", "-"));
}

TEST_F(ChoiceTextTest, AFirstTokensSpaceIsText) {
    EXPECT_THAT(told({}, {space_w_}), ElementsAre("0  w [ w -1]", "-"));
}

TEST_F(ChoiceTextTest, ATokenThatTheTokenizerLacksIsAnError) {
    ChoiceText text(tokenizer_, {});
    EXPECT_FALSE(text.push(0, {.token = static_cast<TokenId>(tokenizer_.vocab_size())}));
}

}  // namespace
}  // namespace weir::engine
