#include "engine/local_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/testing/event_log.h"
#include "engine/testing/fake_model.h"
#include "text/test_vocabularies.h"

namespace weir::engine {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using testing::EventLog;
using testing::FakeModel;
using ::testing::HasSubstr;

constexpr std::string_view kTemplate =
    "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"
    "{% if tools %}{{ tools[0].function.name }}{% endif %}";

chat::ChatRequest completion(std::string prompt, uint32_t tokens_max = 5) {
    chat::ChatRequest request;
    request.input = chat::RawPrompts{.prompts = {std::move(prompt)}};
    request.sampling.tokens_max = tokens_max;
    request.drawn_seed = 7;
    return request;
}

chat::ChatRequest conversation(std::string text, uint32_t tokens_max = 5) {
    chat::ChatRequest request;
    chat::Message message;
    message.content = {{chat::ContentPart::Kind::Text, std::move(text)}};
    request.input = chat::Conversation{.messages = {std::move(message)}};
    request.sampling.tokens_max = tokens_max;
    request.drawn_seed = 7;
    request.asked_at = std::chrono::local_seconds{};
    return request;
}

// A backend over a fake model that speaks bytes, on real threads.
struct Fixture {
    explicit Fixture(LocalBackendConfig config = {}, bool has_template = true) {
        EngineConfig small;
        small.kv_bytes = 1 << 20;
        engine = Engine::create(model, small, system_clock(), registry).value();
        std::shared_ptr<const text::ChatTemplate> chat;
        if (has_template) {
            chat = std::make_shared<const text::ChatTemplate>(
                text::ChatTemplate::create(kTemplate, {}).value());
        }
        backend = std::make_unique<LocalBackend>(*engine, tokenizer, chat, std::move(config),
                                                 system_clock());
        engine->run();
    }

    std::shared_ptr<EventLog> start(chat::ChatRequest request, std::stop_token cancel = {}) {
        auto log = std::make_shared<EventLog>();
        backend->start(std::make_shared<const chat::ChatRequest>(std::move(request)), log,
                       std::move(cancel));
        return log;
    }
    std::vector<std::string> answer(chat::ChatRequest request) {
        const auto log = start(std::move(request));
        log->wait();
        return log->lines();
    }
    Error refusal(chat::ChatRequest request) {
        const auto log = start(std::move(request));
        log->wait();
        EXPECT_EQ(log->lines().size(), 1u);
        return log->error().value_or(Error{.message = "was answered"});
    }

    text::testing::ByteLevelVocabulary vocabulary;
    std::shared_ptr<const text::Tokenizer> tokenizer =
        std::make_shared<const text::Tokenizer>(vocabulary.load());
    metrics::Registry registry;
    FakeModel model{
        {.vocabulary = static_cast<uint32_t>(tokenizer->vocab_size()), .context_tokens = 256}};
    std::unique_ptr<Engine> engine;
    std::unique_ptr<LocalBackend> backend;
};

TEST(LocalBackend, AnswersChatsAndCompletions) {
    Fixture fixture;
    EXPECT_THAT(fixture.answer(conversation("hello")),
                AllOf(Contains("started"), Contains("0 length"), Contains("finished 3+5")));
    EXPECT_THAT(fixture.answer(completion("hello w")),
                AllOf(Contains("started"), Contains("0 length"), Contains("finished 2+5")));
}

// With everything in it that makes events: several choices, log probabilities, a stop string,
// an echo; with and without a prefix hit.
TEST(LocalBackend, AskedTwiceTheEventsAreTheSame) {
    Fixture fixture;
    for (const uint32_t best_of : {3u, 5u}) {
        chat::ChatRequest request = completion("hello w, said the other", 40);
        std::get<chat::RawPrompts>(request.input).echo = true;
        request.sampling.choices = 3;
        request.sampling.best_of = best_of;
        request.sampling.logprobs = 2;
        request.sampling.stop = {"a", "z"};
        const auto first = fixture.answer(request);
        EXPECT_GT(first.size(), 8u);
        EXPECT_EQ(fixture.answer(request), first);
        request.drawn_seed = 8;
        EXPECT_NE(fixture.answer(request), first);
        request.sampling.seed = 7;  // what a client says counts
        EXPECT_EQ(fixture.answer(request), first);
    }
}

TEST(LocalBackend, EndsAtTheModelsOwnEndTokens) {
    Fixture plain;
    chat::ChatRequest request = completion("hello", 1);
    request.sampling.temperature = 0.0f;
    request.sampling.logprobs = 0;
    ASSERT_THAT(plain.answer(request), Contains("0 length"));
    // Whatever it says first: with every token an end, it says nothing.
    std::vector<TokenId> all(plain.tokenizer->vocab_size());
    for (size_t i = 0; i < all.size(); ++i) {
        all[i] = static_cast<TokenId>(all.size() - 1 - i);
    }
    Fixture fixture({.end_tokens = all});
    EXPECT_THAT(fixture.answer(request), ElementsAre("started", "0 stop", "finished 1+1"));
}

TEST(LocalBackend, RefusalsNameTheField) {
    struct Case {
        const char* field;
        std::function<void(chat::ChatRequest&)> change;
    };
    const auto talk = [](chat::ChatRequest& request) -> chat::Conversation& {
        return std::get<chat::Conversation>(request.input);
    };
    const Case chats[] = {
        {"response_format",
         [](auto& r) {
             r.response_format.emplace().kind = chat::ResponseFormat::Kind::JsonObject;
         }},
        {"tools",
         [&](auto& r) {
             talk(r).tools = {{.name = "look_up"}};
         }},
        {"messages[0].content",
         [&](auto& r) {
             talk(r).messages[0].content.push_back({chat::ContentPart::Kind::Image, "{}"});
         }},
        {"best_of",
         [](auto& r) {
             r.sampling.best_of = 2;
         }},
        {"n",
         [](auto& r) {
             r.sampling.choices = 200;
         }},
        {"temperature",
         [](auto& r) {
             r.sampling.temperature = -1.0f;
         }},
        {"logit_bias",
         [](auto& r) {
             r.sampling.logit_bias = {{100'000, 1.0f}};
         }},
        {"messages",
         [&](auto& r) {
             talk(r).messages.clear();
         }},
    };
    Fixture fixture;
    for (const Case& one : chats) {
        chat::ChatRequest request = conversation("hello");
        one.change(request);
        EXPECT_EQ(fixture.refusal(request).field, one.field) << one.field;
    }
    chat::ChatRequest none = completion("x");
    std::get<chat::RawPrompts>(none.input).prompts.clear();
    EXPECT_EQ(fixture.refusal(none).field, "prompt");
    chat::ChatRequest many = completion("x");
    std::get<chat::RawPrompts>(many.input).prompts.resize(129, std::string("x"));
    EXPECT_EQ(fixture.refusal(many).field, "prompt");
    chat::ChatRequest best = completion("x");
    std::get<chat::RawPrompts>(best.input).prompts.resize(100, std::string("x"));
    best.sampling.best_of = 2;
    EXPECT_EQ(fixture.refusal(best).field, "best_of");

    Fixture without({}, false);
    const Error refused = without.refusal(conversation("hello"));
    EXPECT_EQ(refused.field, "messages");
    EXPECT_EQ(refused.reason, "no_chat_template");
}

TEST(LocalBackend, ToolsThatMustNotBeCalledAreNoPartOfThePrompt) {
    Fixture fixture;
    chat::ChatRequest request = conversation("hello");
    const auto plain = fixture.answer(request);
    auto& talk = std::get<chat::Conversation>(request.input);
    talk.tools = {{.name = "look_up"}};
    talk.tool_choice = chat::ToolChoice{.mode = chat::ToolChoice::Mode::None};
    EXPECT_EQ(fixture.answer(request), plain);
}

constexpr std::string_view kToolTemplate =
    "{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}<|im_start|>"
    "{{ m.content.split('</think>')[-1] }}{% for c in m.tool_calls or [] %}<tool_call>"
    "{{ {'name': c.function.name, 'arguments': c.function.arguments} | tojson }}</tool_call>"
    "{% endfor %}<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|><think>"
    "{% endif %}";

// A backend whose model says what it is told to, and then that it is done.
struct ScriptedFixture {
    explicit ScriptedFixture(std::string_view output) {
        script = tokenizer->encode(output, {.parse_special = true}).value();
        script.push_back(vocabulary.end);
        model.on_row = [this](const model::SequenceSlice&, uint32_t position,
                              std::span<float> logits) {
            first = first.value_or(position);  // the prompt's last token
            std::ranges::fill(logits, 0.0f);
            logits[script.at(position - *first)] = 1.0f;
        };
        EngineConfig small;
        small.kv_bytes = 1 << 20;
        engine = Engine::create(model, small, system_clock(), registry).value();
        backend = std::make_unique<LocalBackend>(
            *engine, tokenizer,
            std::make_shared<const text::ChatTemplate>(
                text::ChatTemplate::create(kToolTemplate, {}).value()),
            LocalBackendConfig{}, system_clock());
        engine->run();
    }

    static chat::ChatRequest request() {
        chat::ChatRequest request = conversation("hello", 400);
        request.sampling.temperature = 0.0f;
        chat::Tool tool;
        tool.name = "look";
        std::get<chat::Conversation>(request.input).tools = {std::move(tool)};
        return request;
    }
    std::vector<std::string> answer(chat::ChatRequest request) {
        first.reset();
        const auto log = std::make_shared<EventLog>();
        backend->start(std::make_shared<const chat::ChatRequest>(std::move(request)), log, {});
        log->wait();
        return log->lines();
    }
    // Neighbours of one kind joined; the ids of calls, which are random letters, left out.
    std::vector<std::string> joined(chat::ChatRequest request) {
        std::vector<std::string> all;
        std::string last;
        for (std::string line : answer(std::move(request))) {
            const auto says = [&](std::string_view verb) {
                return line.starts_with(verb);
            };
            if (says("0 calls ")) {
                line = line.substr(0, line.rfind(' '));
            }
            std::string kind = says("0 thinks ") ? "0 thinks " : says("0 with ") ? "0 with " : "";
            const bool is_text = kind.empty() && says("0 ") && !says("0 calls ") &&
                                 line != "0 stop" && line != "0 length" && line != "0 tool_calls";
            kind = is_text ? "0 " : kind;
            if (!kind.empty() && kind == last) {
                all.back() += line.substr(kind.size());
            } else {
                all.push_back(line);
            }
            last = kind;
        }
        return all;
    }

    struct Vocabulary : text::testing::ByteLevelVocabulary {
        TokenId call = add("<tool_call>", text::TokenType::Control);
        TokenId call_end = add("</tool_call>", text::TokenType::Control);
    } vocabulary;
    std::shared_ptr<const text::Tokenizer> tokenizer =
        std::make_shared<const text::Tokenizer>(vocabulary.load());
    metrics::Registry registry;
    FakeModel model{
        {.vocabulary = static_cast<uint32_t>(tokenizer->vocab_size()), .context_tokens = 1024}};
    std::vector<TokenId> script;
    std::optional<uint32_t> first;
    std::unique_ptr<Engine> engine;
    std::unique_ptr<LocalBackend> backend;
};

constexpr std::string_view kCalls =
    "Hm.</think>Ok.\n<tool_call>{\"name\": \"look\", \"arguments\": {\"a\": 1}}</tool_call>"
    "<tool_call>{\"name\": \"look\"}</tool_call>";

TEST(LocalBackend, ThoughtsAndCallsAreStreamedAsSuch) {
    ScriptedFixture fixture(kCalls);
    const auto lines = fixture.joined(ScriptedFixture::request());
    ASSERT_EQ(lines.size(), 9u);
    EXPECT_THAT(std::vector(lines.begin(), lines.end() - 1),
                ElementsAre("started", "0 thinks Hm.", "0 Ok.", "0 calls look", "0 with {\"a\": 1}",
                            "0 calls look", "0 with {}", "0 tool_calls"));
    EXPECT_THAT(lines.back(), HasSubstr("finished"));
    // Told again it is the same, ids included.
    const auto told = fixture.answer(ScriptedFixture::request());
    EXPECT_EQ(fixture.answer(ScriptedFixture::request()), told);
}

TEST(LocalBackend, WithoutToolsNothingIsReadAsACall) {
    ScriptedFixture fixture(kCalls);
    for (const bool is_none : {false, true}) {
        chat::ChatRequest request = ScriptedFixture::request();
        auto& talk = std::get<chat::Conversation>(request.input);
        if (is_none) {
            talk.tool_choice = chat::ToolChoice{.mode = chat::ToolChoice::Mode::None, .name = {}};
        } else {
            talk.tools.clear();
        }
        const auto lines = fixture.joined(request);
        ASSERT_GE(lines.size(), 4u);
        EXPECT_EQ(lines[1], "0 thinks Hm.");
        EXPECT_THAT(lines[2],
                    HasSubstr("0 Ok.\n{\"name\": \"look\""));  // control tokens are dropped
        EXPECT_EQ(lines[3], "0 stop");
    }
}

TEST(LocalBackend, AnAnswerThatIsCutOffEndsWithLength) {
    ScriptedFixture fixture(kCalls);
    chat::ChatRequest request = ScriptedFixture::request();
    request.sampling.tokens_max = 60;
    const auto lines = fixture.joined(request);
    ASSERT_GE(lines.size(), 5u);
    EXPECT_EQ(lines[3], "0 calls look");
    EXPECT_EQ(lines[lines.size() - 2], "0 length");
}

TEST(LocalBackend, WhatOnlyAGrammarCouldKeepIsRefused) {
    ScriptedFixture fixture(kCalls);
    using Mode = chat::ToolChoice::Mode;
    const std::pair<const char*, std::function<void(chat::Conversation&)>> cases[] = {
        {"tool_choice",
         [](auto& talk) {
             talk.tool_choice = chat::ToolChoice{Mode::Required, {}};
         }},
        {"tool_choice",
         [](auto& talk) {
             talk.tool_choice = chat::ToolChoice{Mode::Named, "look"};
         }},
        {"tools[0].function.strict",
         [](auto& talk) {
             talk.tools[0].strict = true;
         }},
        {"parallel_tool_calls", [](auto& talk) {
             talk.parallel_tool_calls = false;
         }}};
    for (const auto& [field, change] : cases) {
        chat::ChatRequest request = ScriptedFixture::request();
        change(std::get<chat::Conversation>(request.input));
        const auto log = std::make_shared<EventLog>();
        fixture.backend->start(std::make_shared<const chat::ChatRequest>(request), log, {});
        log->wait();
        ASSERT_TRUE(log->error()) << field;
        EXPECT_EQ(log->error()->code, ErrorCode::Unsupported);
        EXPECT_EQ(log->error()->field, field);
    }
    chat::ChatRequest automatic = ScriptedFixture::request();
    std::get<chat::Conversation>(automatic.input).tool_choice = chat::ToolChoice{Mode::Auto, {}};
    EXPECT_THAT(fixture.joined(automatic), Contains("0 tool_calls"));
}

// Its longest token has 12 bytes ("<|im_start|>"), the context 256 tokens.
TEST(LocalBackend, AP5_ATextThatCannotFitIsRefusedUnread) {
    Fixture fixture;
    for (const chat::ChatRequest& request :
         {completion(std::string(8'000'000, 'x')), conversation(std::string(1'000'000, 'x')),
          conversation(std::string(8'000'000, 'x'))}) {
        const bool is_chat = std::holds_alternative<chat::Conversation>(request.input);
        const Error refused = fixture.refusal(request);
        EXPECT_EQ(refused.code, ErrorCode::InvalidArgument);
        EXPECT_EQ(refused.reason, "context_length_exceeded");
        EXPECT_EQ(refused.field, is_chat ? "messages" : "prompt");
        EXPECT_THAT(refused.message, HasSubstr("maximum context length is 256 tokens"));
        EXPECT_THAT(refused.message, HasSubstr("are at least"));
    }
    // What might fit is counted in tokens.
    const Error counted = fixture.refusal(completion(std::string(3000, 'x')));
    EXPECT_EQ(counted.reason, "context_length_exceeded");
    EXPECT_THAT(counted.message, HasSubstr("the prompt has 3000 tokens"));
}

TEST(LocalBackend, WhoHasLeftIsNotAnswered) {
    Fixture fixture;
    std::stop_source cancel;
    cancel.request_stop();
    const auto log = fixture.start(completion("hello"), cancel.get_token());
    log->wait();
    EXPECT_THAT(log->lines(), ElementsAre("error cancelled"));
}

// Keeps the thread that makes prompts: its first request is refused there, and hears of it slowly.
class SlowSink final : public chat::ChatSink {
  public:
    void on_event(chat::ChatEvent) override {
        reached.count_down();
        released.wait();
    }
    std::latch reached{1};
    std::latch released{1};
};

TEST(LocalBackend, AFullQueueOfPromptsIsOverload) {
    Fixture fixture({.preparing_max = 1});
    const auto slow = std::make_shared<SlowSink>();
    fixture.backend->start(
        std::make_shared<const chat::ChatRequest>(completion(std::string(5000, 'x'))), slow, {});
    slow->reached.wait();
    const auto queued = fixture.start(completion("hello"));
    const Error refused = fixture.refusal(completion("hello"));
    EXPECT_EQ(refused.code, ErrorCode::Overloaded);
    EXPECT_TRUE(refused.retry_after);
    slow->released.count_down();
    queued->wait();
    EXPECT_FALSE(queued->error());
}

// Whoever still waits for a prompt when the backend goes is told, once, and at once: their prompts
// are not made any more. (A few may be, before the thread sees that it is to end.)
TEST(LocalBackend, WhoIsBeingPreparedWhenItGoesHearsUnavailable) {
    Fixture fixture;
    const auto slow = std::make_shared<SlowSink>();
    fixture.backend->start(
        std::make_shared<const chat::ChatRequest>(completion(std::string(5000, 'x'))), slow, {});
    slow->reached.wait();
    std::vector<std::shared_ptr<EventLog>> queued;
    for (int i = 0; i < 200; ++i) {  // each would be refused, were it read
        queued.push_back(fixture.start(completion(std::string(3000, 'x'))));
    }
    std::atomic<bool> is_going = false;
    std::jthread ends([&] {
        is_going = true;
        is_going.notify_one();
        fixture.backend.reset();
    });
    is_going.wait(false);
    slow->released.count_down();
    ends.join();
    size_t unavailable = 0;
    for (const auto& log : queued) {
        ASSERT_EQ(log->lines().size(), 1u);
        unavailable += log->error()->code == ErrorCode::Unavailable ? 1 : 0;
    }
    EXPECT_GT(unavailable, 0u);
}

}  // namespace
}  // namespace weir::engine
