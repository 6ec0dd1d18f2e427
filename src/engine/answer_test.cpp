#include "engine/answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/testing/event_log.h"
#include "text/test_vocabularies.h"

namespace weir::engine {
namespace {

using ::testing::ElementsAre;
using testing::EventLog;
using ::testing::HasSubstr;

chat::TextDelta text_of(uint32_t choice, std::string text) {
    return {.choice = choice, .text = std::move(text)};
}

TEST(EventOrder, ChoicesTakeTurns) {
    EventLog log;
    EventOrder order(3, log);
    order.push(1, text_of(1, "b1"));
    order.push(1, text_of(1, "b2"));
    EXPECT_THAT(log.lines(), ElementsAre());  // choice 0 is first
    order.push(0, text_of(0, "a1"));
    EXPECT_THAT(log.lines(), ElementsAre("0 a1", "1 b1"));
    order.close(2);  // says nothing at all, and is passed over
    order.push(0, text_of(0, "a2"));
    EXPECT_THAT(log.lines(), ElementsAre("0 a1", "1 b1", "0 a2", "1 b2"));
    order.close(0);
    order.push(1, text_of(1, "b3"));
    order.push(1, text_of(1, "b4"));
    EXPECT_THAT(log.lines(), ElementsAre("0 a1", "1 b1", "0 a2", "1 b2", "1 b3", "1 b4"));
    order.close(1);
}

TEST(EventOrder, DoesNotDependOnWhoIsFaster) {
    std::vector<std::string> expected;
    for (const bool second_first : {false, true}) {
        EventLog log;
        EventOrder order(2, log);
        for (const uint32_t choice : {second_first ? 1u : 0u, second_first ? 0u : 1u}) {
            for (const char* const text : {"x", "y", "z"}) {
                order.push(choice, text_of(choice, text));
            }
            order.close(choice);
        }
        expected = expected.empty() ? log.lines() : expected;
        EXPECT_EQ(log.lines(), expected);
    }
    EXPECT_THAT(expected, ElementsAre("0 x", "1 x", "0 y", "1 y", "0 z", "1 z"));
}

struct Fixture {
    explicit Fixture(chat::ChatRequest asked) : request(std::move(asked)) {}

    Answer answer(std::vector<std::vector<TokenId>> prompts, std::vector<std::string> echo = {},
                  uint32_t candidates_each = 1) {
        return Answer({.request = std::make_shared<const chat::ChatRequest>(request),
                       .sink = log,
                       .tokenizer = tokenizer,
                       .started = {},
                       .prompts = std::move(prompts),
                       .echo = std::move(echo),
                       .candidates_each = candidates_each});
    }
    static SampledToken said(TokenId token, double rank = 0) {
        return {.token = token, .logprobs = {}, .logprob_for_rank = rank};
    }

    chat::ChatRequest request;
    text::testing::ByteLevelVocabulary vocabulary;
    std::shared_ptr<const text::Tokenizer> tokenizer =
        std::make_shared<const text::Tokenizer>(vocabulary.load());
    std::shared_ptr<EventLog> log = std::make_shared<EventLog>();
};

chat::ChatRequest completion() {
    chat::ChatRequest request;
    request.input = chat::RawPrompts{.prompts = {std::string("hello")}};
    return request;
}

TEST(Answer, IsStartedTextEndAndUsage) {
    Fixture fixture(completion());
    Answer answer = fixture.answer({{'x'}});
    answer.on_started();
    ASSERT_EQ(answer.on_token(0, Fixture::said('a')), GenerationSink::Verdict::Continue);
    answer.on_choice_finished(0, chat::FinishReason::Length);
    answer.on_finished({.prompt_tokens = 1, .completion_tokens = 1});
    EXPECT_THAT(fixture.log->lines(), ElementsAre("started", "0 a", "0 length", "finished 1+1"));
}

TEST(Answer, AStopStringEndsTheChoice) {
    chat::ChatRequest request = completion();
    request.sampling.stop = {"b"};
    Fixture fixture(request);
    Answer answer = fixture.answer({{'x'}});
    EXPECT_EQ(answer.on_token(0, Fixture::said('a')), GenerationSink::Verdict::Continue);
    EXPECT_EQ(answer.on_token(0, Fixture::said('b')), GenerationSink::Verdict::Stop);
    answer.on_choice_finished(0, chat::FinishReason::Length);  // its last token, too
    EXPECT_THAT(fixture.log->lines(), ElementsAre("0 a", "0 stop"));
}

// What cannot be told is no end: the request fails, and nothing says that the model stopped.
TEST(Answer, ATokenThatTheTokenizerLacksFailsTheRequest) {
    Fixture fixture(completion());
    Answer answer = fixture.answer({{'x'}});
    const auto verdict =
        answer.on_token(0, Fixture::said(static_cast<TokenId>(fixture.tokenizer->vocab_size())));
    ASSERT_FALSE(verdict);
    EXPECT_EQ(verdict.error().code, ErrorCode::Internal);
    answer.on_failed(verdict.error());
    EXPECT_THAT(fixture.log->lines(), ElementsAre(HasSubstr("error")));
}

TEST(Answer, BestOfGivesTheMostProbableATokenAndTiesToTheLowerNumber) {
    chat::ChatRequest request = completion();
    request.sampling.choices = 2;
    request.sampling.best_of = 4;
    Fixture fixture(request);
    Answer answer = fixture.answer({{'x'}}, {}, 4);
    answer.on_started();
    // Means: -3, -1, -0.5 over two tokens, -1.
    const double ranks[] = {-3, -1, -0.5, -1};
    for (const uint32_t candidate : {3u, 2u, 1u, 0u}) {
        const auto token = static_cast<TokenId>('a' + candidate);
        ASSERT_TRUE(answer.on_token(candidate, Fixture::said(token, ranks[candidate])));
        if (candidate == 2) {
            ASSERT_TRUE(answer.on_token(candidate, Fixture::said(token, ranks[candidate])));
        }
        answer.on_choice_finished(candidate, chat::FinishReason::Stop);
    }
    EXPECT_THAT(fixture.log->lines(), ElementsAre("started"));  // until all are there
    answer.on_finished({.prompt_tokens = 1, .completion_tokens = 5});
    EXPECT_THAT(fixture.log->lines(),
                ElementsAre("started", "0 c", "1 b", "0 c", "1 stop", "0 stop", "finished 1+5"));
}

TEST(Answer, EchoRepeatsThePromptInEveryChoice) {
    chat::ChatRequest request = completion();
    request.sampling.choices = 2;
    Fixture fixture(request);
    Answer answer = fixture.answer({{fixture.vocabulary.hello}}, {"hello"}, 2);
    answer.on_started();
    EXPECT_THAT(fixture.log->lines(), ElementsAre("started", "0 hello", "1 hello"));
}

// The tokenizer put a BOS in front: it is no part of what the client wrote, so the first token of
// the client's has a probability. Where the client wrote it, it has none.
TEST(Answer, EchoedLogprobsLeaveOutOnlyABosThatWasAdded) {
    chat::ChatRequest request = completion();
    request.sampling.logprobs = 0;
    Fixture fixture(request);
    const std::vector<TokenId> prompt = {fixture.vocabulary.begin, fixture.vocabulary.hello};
    {
        Answer answer = fixture.answer({prompt}, {"hello"});
        answer.on_prompt_logprobs(0, {{.logprob = -2}});
        EXPECT_THAT(fixture.log->lines(), ElementsAre("0 hello [hello -2]"));
    }
    Fixture second(request);
    Answer answer = second.answer({prompt}, {"<|im_start|>hello"});
    answer.on_prompt_logprobs(0, {{.logprob = -2}});
    EXPECT_THAT(second.log->lines(),
                ElementsAre("0 <|im_start|>hello [<|im_start|> nan hello -2]"));
}

}  // namespace
}  // namespace weir::engine
