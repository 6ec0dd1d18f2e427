// What one sees of the engine from outside: answers, limits, faults, turns, threads. One file, long
// because all of it is told to the same stepped engine over the same fake model.

#include "engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include <atomic>
#include <condition_variable>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <random>
#include <vector>

#include "base/failpoint.h"
#include "base/log.h"
#include "engine/testing/fake_model.h"
#include "engine/testing/recording_sink.h"
#include "kernels/thread_pool.h"

namespace weir::engine {
namespace {

using ::testing::ElementsAre;
using testing::FakeModel;
using testing::FakeModelOptions;
using ::testing::HasSubstr;
using testing::RecordingSink;

Generation asking(std::vector<TokenId> prompt, uint32_t tokens_max) {
    Generation generation;
    generation.prompts = {std::move(prompt)};
    generation.sampling.tokens_max = tokens_max;
    generation.seed = 42;
    return generation;
}

std::vector<TokenId> counting(uint32_t count) {
    std::vector<TokenId> tokens(count);
    for (uint32_t i = 0; i < count; ++i) {
        tokens[i] = (i * 7 + 3) % 40;
    }
    return tokens;
}

// For tests in which the engine logs what it caught.
void quiet() {
    set_log_sink([](LogLevel, std::string_view) {});
}

// An engine over a fake model, stepped by the test.
struct Fixture {
    explicit Fixture(const FakeModelOptions& options = {}, EngineConfig config = small())
        : model(options), engine(Engine::create(model, config, clock, registry).value()) {}

    static EngineConfig small() {
        EngineConfig config;
        config.kv_bytes = 64 * 64;  // 64 blocks of 4 tokens (one rounded up to 64 bytes)
        config.sequences_max = 8;
        config.waiting_max = 64;
        return config;
    }

    std::shared_ptr<RecordingSink> submit(Generation generation, std::stop_token cancel = {}) {
        auto sink = std::make_shared<RecordingSink>(generation.choice_count());
        const auto submitted = engine->submit(std::move(generation), sink, std::move(cancel));
        EXPECT_TRUE(submitted) << submitted.error().message;
        return sink;
    }

    void run_until_idle() {
        for (int steps = 0; engine->step(); ++steps) {
            ASSERT_LT(steps, 20'000);
        }
    }

    void expect_no_leak() {
        EXPECT_EQ(engine->kv_usage().blocks_used(), 0u);
        engine->drop_prefixes();
        const kv::KvUsage usage = engine->kv_usage();
        EXPECT_EQ(usage.blocks_free, usage.blocks_total);
        EXPECT_EQ(usage.recurrent_free, usage.recurrent_total);
    }

    ManualClock clock;
    metrics::Registry registry;
    FakeModel model;
    std::unique_ptr<Engine> engine;
};

TEST(Engine, AnswersAndCounts) {
    Fixture fixture;
    const auto sink = fixture.submit(asking(counting(10), 5));
    fixture.run_until_idle();
    ASSERT_TRUE(sink->usage());
    EXPECT_EQ(sink->choices()[0].tokens.size(), 5u);
    EXPECT_EQ(sink->choices()[0].reason, chat::FinishReason::Length);
    EXPECT_EQ(sink->usage()->prompt_tokens, 10u);
    EXPECT_EQ(sink->usage()->completion_tokens, 5u);
    EXPECT_EQ(sink->usage()->cached_tokens, 0u);
    const std::string text = fixture.registry.text();
    EXPECT_THAT(text, HasSubstr("vllm:prompt_tokens_total 10\n"));
    EXPECT_THAT(text, HasSubstr("vllm:generation_tokens_total 5\n"));
    EXPECT_THAT(text, HasSubstr("vllm:request_success_total{finished_reason=\"length\"} 1\n"));
    EXPECT_THAT(text, HasSubstr("vllm:time_to_first_token_seconds_count 1\n"));
    EXPECT_THAT(text, HasSubstr("vllm:inter_token_latency_seconds_count 4\n"));
    fixture.expect_no_leak();
}

TEST(Engine, ReusesAPrefixAndSaysSo) {
    Fixture fixture;
    fixture.submit(asking(counting(21), 2));
    fixture.run_until_idle();
    const uint64_t before = fixture.model.tokens_computed();
    const auto sink = fixture.submit(asking(counting(21), 2));
    fixture.run_until_idle();
    EXPECT_EQ(sink->usage()->cached_tokens, 20u);
    EXPECT_EQ(fixture.model.tokens_computed() - before, 1u + 1u);
    EXPECT_EQ(fixture.engine->prefix_stats().hit_tokens, 20u);
}

TEST(Engine, TE1_TenantsDoNotSeeEachOthersPrefixes) {
    Fixture fixture;
    Generation mine = asking(counting(21), 2);
    mine.tenant = "a";
    fixture.submit(mine);
    fixture.run_until_idle();
    mine.tenant = "b";
    const auto sink = fixture.submit(mine);
    fixture.run_until_idle();
    EXPECT_EQ(sink->usage()->cached_tokens, 0u);
}

TEST(Engine, ChoicesShareThePromptsBlocks) {
    Fixture fixture;
    Generation generation = asking(counting(41), 4);
    generation.choices_each = 6;
    generation.sampling.choices = 6;
    const auto sink = fixture.submit(generation);
    fixture.run_until_idle();
    ASSERT_TRUE(sink->usage());
    EXPECT_EQ(sink->usage()->prompt_tokens, 41u);
    EXPECT_EQ(sink->usage()->completion_tokens, 24u);
    EXPECT_EQ(fixture.model.tokens_computed(), 41u + 5 * 1 + 6 * 3);
    EXPECT_NE(sink->choices()[0].tokens, sink->choices()[1].tokens);
    fixture.expect_no_leak();
}

TEST(Engine, EndsAtEndTokensUnlessTold) {
    Fixture fixture;
    Generation generation = asking(counting(9), 30);
    const auto free = fixture.submit(generation);
    fixture.run_until_idle();
    const auto& said = free->choices()[0].tokens;
    const TokenId end = said[5];
    const auto first = static_cast<size_t>(std::find(said.begin(), said.end(), end) - said.begin());

    generation.end_tokens = {end};
    const auto ended = fixture.submit(generation);
    generation.sampling.ignore_eos = true;
    const auto ignored = fixture.submit(generation);
    generation.sampling.stop_token_ids = {end};
    const auto stopped = fixture.submit(generation);
    fixture.run_until_idle();
    EXPECT_EQ(ended->choices()[0].tokens.size(), first);
    EXPECT_EQ(ended->choices()[0].reason, chat::FinishReason::Stop);
    EXPECT_EQ(ended->usage()->completion_tokens, first + 1);
    EXPECT_EQ(ignored->choices()[0].tokens, said);
    EXPECT_EQ(stopped->choices()[0].tokens.size(), first);
}

TEST(Engine, StopsWhenTheSinkSaysSo) {
    Fixture fixture;
    auto sink = std::make_shared<RecordingSink>(1);
    sink->stop_after = 3;
    ASSERT_TRUE(fixture.engine->submit(asking(counting(9), 30), sink, {}));
    fixture.run_until_idle();
    EXPECT_EQ(sink->choices()[0].tokens.size(), 3u);
    EXPECT_EQ(sink->choices()[0].reason, chat::FinishReason::Stop);
}

TEST(Engine, WithoutALimitGoesToTheContextsEnd) {
    FakeModelOptions options;
    options.context_tokens = 50;
    Fixture fixture(options);
    Generation generation = asking(counting(10), 0);
    generation.sampling.tokens_max.reset();
    const auto sink = fixture.submit(generation);
    fixture.run_until_idle();
    EXPECT_EQ(sink->choices()[0].tokens.size(), 40u);
    EXPECT_EQ(sink->choices()[0].reason, chat::FinishReason::Length);
}

TEST(Engine, AP4_NoTokensAtAllIsAnAnswer) {
    Fixture fixture;
    Generation generation = asking(counting(10), 0);
    generation.prompt_logprobs = 2;
    const auto sink = fixture.submit(generation);
    fixture.run_until_idle();
    ASSERT_TRUE(sink->usage());
    EXPECT_EQ(sink->usage()->completion_tokens, 0u);
    EXPECT_EQ(sink->choices()[0].reason, chat::FinishReason::Length);
    ASSERT_EQ(sink->prompt_logprobs().size(), 1u);
    ASSERT_EQ(sink->prompt_logprobs()[0].size(), 9u);
    EXPECT_EQ(sink->prompt_logprobs()[0][0].top.size(), 2u);
}

TEST(Engine, PromptLogprobsDoNotDependOnTheCacheOrOnChunks) {
    Fixture fixture;
    Generation generation = asking(counting(40), 3);
    fixture.submit(generation);
    fixture.run_until_idle();
    generation.prompt_logprobs = 0;
    const auto one = fixture.submit(generation);
    fixture.run_until_idle();
    EngineConfig config = Fixture::small();
    config.prompt_logit_rows = 3;
    Fixture other({}, config);
    const auto two = other.submit(generation);
    other.run_until_idle();
    ASSERT_EQ(one->prompt_logprobs()[0].size(), 39u);
    ASSERT_EQ(two->prompt_logprobs()[0].size(), 39u);
    for (size_t i = 0; i < 39; ++i) {
        EXPECT_EQ(one->prompt_logprobs()[0][i].logprob, two->prompt_logprobs()[0][i].logprob);
    }
    EXPECT_EQ(one->usage()->cached_tokens, 0u);
}

TEST(Engine, AP5_RefusesWhatCanNeverFit) {
    FakeModelOptions options;
    options.context_tokens = 100;
    Fixture fixture(options);
    auto sink = std::make_shared<RecordingSink>(1);
    for (const auto& [prompt, tokens] : {std::pair{101u, 1u}, std::pair{60u, 41u}}) {
        const auto refused = fixture.engine->submit(asking(counting(prompt), tokens), sink, {});
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, ErrorCode::InvalidArgument);
        EXPECT_EQ(refused.error().reason, "context_length_exceeded");
        EXPECT_THAT(refused.error().message, HasSubstr("maximum context length is 100 tokens"));
    }
    EXPECT_TRUE(fixture.engine->submit(asking(counting(60), 40), sink, {}));
}

TEST(Engine, AcceptsNoMoreContextThanItsMemoryHolds) {
    EngineConfig config = Fixture::small();
    config.kv_bytes = 10 * 64;
    Fixture fixture({}, config);
    EXPECT_EQ(fixture.engine->context_tokens(), 40u);
    const auto sink = fixture.submit(asking(counting(30), 10));
    fixture.run_until_idle();
    EXPECT_EQ(sink->choices()[0].tokens.size(), 10u);
}

TEST(Engine, AP3_AP6_RefusesTokensThatDoNotExist) {
    Fixture fixture;
    auto sink = std::make_shared<RecordingSink>(1);
    EXPECT_FALSE(fixture.engine->submit(asking({1, 40}, 1), sink, {}));
    EXPECT_FALSE(fixture.engine->submit(asking({}, 1), sink, {}));
    EXPECT_FALSE(sink->is_over());
}

TEST(Engine, AFullQueueIsOverload) {
    EngineConfig config = Fixture::small();
    config.waiting_max = 3;
    Fixture fixture({}, config);
    std::vector<std::shared_ptr<RecordingSink>> sinks;
    for (int i = 0; i < 3; ++i) {
        sinks.push_back(fixture.submit(asking(counting(5), 2)));
    }
    auto sink = std::make_shared<RecordingSink>(1);
    const auto refused = fixture.engine->submit(asking(counting(5), 2), sink, {});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::Overloaded);
    fixture.run_until_idle();
    EXPECT_TRUE(fixture.engine->submit(asking(counting(5), 2), sink, {}));
}

TEST(Engine, WhoWaitsTooLongIsTold) {
    EngineConfig config = Fixture::small();
    config.sequences_max = 1;
    config.queue_wait_max = std::chrono::milliseconds{100};
    Fixture fixture({}, config);
    const auto first = fixture.submit(asking(counting(5), 50));
    const auto second = fixture.submit(asking(counting(5), 50));
    fixture.engine->step();
    fixture.clock.advance(std::chrono::milliseconds{101});
    fixture.engine->step();
    ASSERT_TRUE(second->error());
    EXPECT_EQ(second->error()->code, ErrorCode::Overloaded);
    EXPECT_FALSE(second->has_started());
    fixture.run_until_idle();
    EXPECT_TRUE(first->usage());
}

TEST(Engine, AP10_CancellationFreesItsBlocksWithinOneStep) {
    for (const bool recurrent : {false, true}) {
        FakeModelOptions options;
        options.recurrent = recurrent;
        Fixture fixture(options);
        std::stop_source cancel;
        const auto sink = fixture.submit(asking(counting(40), 50), cancel.get_token());
        for (int i = 0; i < 8; ++i) {
            fixture.engine->step();
        }
        EXPECT_GT(fixture.engine->kv_usage().blocks_used(), 0u);
        cancel.request_stop();
        const uint64_t passes = fixture.model.passes();
        fixture.engine->step();
        EXPECT_EQ(fixture.model.passes(), passes);
        ASSERT_TRUE(sink->error());
        EXPECT_EQ(sink->error()->code, ErrorCode::Cancelled);
        fixture.expect_no_leak();
    }
}

TEST(Engine, ARowOfNaNEndsOnlyItsOwnRequest) {
    Fixture fixture;
    fixture.model.on_row = [](const model::SequenceSlice& slice, uint32_t position,
                              std::span<float> row) {
        if (position == 12 && slice.tokens.back() != 0 && slice.position == 12) {
            row[7] = position == 12 ? std::numeric_limits<float>::quiet_NaN() : row[7];
        }
    };
    const auto bad = fixture.submit(asking(counting(10), 8));
    const auto good = fixture.submit(asking(counting(20), 8));
    fixture.run_until_idle();
    ASSERT_TRUE(bad->error());
    EXPECT_EQ(bad->error()->code, ErrorCode::Internal);
    EXPECT_TRUE(good->usage());
    EXPECT_THAT(fixture.registry.text(), HasSubstr("vllm:corrupted_requests_total 1\n"));
    fixture.expect_no_leak();
}

TEST(Engine, AnErrorOfTheModelEndsTheBatchNotTheEngine) {
    Fixture fixture;
    bool broken = true;
    fixture.model.before_pass = [&](auto) -> Result<void> {
        return broken ? Result<void>(weir::fail(ErrorCode::Internal, "broken")) : Result<void>();
    };
    const auto first = fixture.submit(asking(counting(10), 8));
    fixture.engine->step();
    ASSERT_TRUE(first->error());
    broken = false;
    const auto second = fixture.submit(asking(counting(10), 8));
    fixture.run_until_idle();
    EXPECT_TRUE(second->usage());
    fixture.expect_no_leak();
}

TEST(Engine, ANaNAmongThePromptsRowsIsCountedLikeAnyOther) {
    Fixture fixture;
    fixture.model.on_row = [](const model::SequenceSlice&, uint32_t position,
                              std::span<float> row) {
        row[7] = position == 3 ? std::numeric_limits<float>::quiet_NaN() : row[7];
    };
    Generation generation = asking(counting(10), 8);
    generation.prompt_logprobs = 1;
    const auto bad = fixture.submit(generation);
    fixture.run_until_idle();
    ASSERT_TRUE(bad->error());
    EXPECT_EQ(bad->error()->code, ErrorCode::Internal);
    EXPECT_THAT(fixture.registry.text(), HasSubstr("vllm:corrupted_requests_total 1\n"));
}

// Each choice is a request of its own, as vLLM counts them, however it ends.
TEST(Engine, CountsChoicesWhetherTheyFinishOrAreAborted) {
    Fixture fixture;
    Generation generation = asking(counting(10), 5);
    generation.choices_each = generation.sampling.choices = 3;
    fixture.submit(generation);
    fixture.run_until_idle();
    std::stop_source cancel;
    fixture.submit(generation, cancel.get_token());
    fixture.engine->step();
    cancel.request_stop();
    fixture.run_until_idle();
    const std::string text = fixture.registry.text();
    EXPECT_THAT(text, HasSubstr("vllm:request_success_total{finished_reason=\"length\"} 3\n"));
    EXPECT_THAT(text, HasSubstr("vllm:request_success_total{finished_reason=\"abort\"} 3\n"));
}

TEST(Engine, AnErrorOfTheSinkEndsItsRequestWithThatError) {
    Fixture fixture;
    auto sink = std::make_shared<RecordingSink>(1);
    sink->fail_after = 2;
    ASSERT_TRUE(fixture.engine->submit(asking(counting(9), 30), sink, {}));
    const auto other = fixture.submit(asking(counting(12), 8));
    fixture.run_until_idle();
    ASSERT_TRUE(sink->error());
    EXPECT_EQ(sink->error()->message, "the sink cannot go on");
    EXPECT_EQ(sink->failures, 1);
    EXPECT_EQ(sink->choices()[0].reason, std::nullopt);  // no fake end
    EXPECT_FALSE(sink->usage());
    EXPECT_TRUE(other->usage());
    EXPECT_THAT(fixture.registry.text(), HasSubstr("vllm:corrupted_requests_total 0\n"));
    fixture.expect_no_leak();
}

TEST(Engine, ASinkThatThrowsEndsItsRequestOnly) {
    quiet();
    for (const bool at_end : {false, true}) {
        Fixture fixture;
        auto sink = std::make_shared<RecordingSink>(2);
        sink->throw_at_end = at_end;
        sink->throw_after = at_end ? std::nullopt : std::optional<size_t>(2);
        Generation generation = asking(counting(9), 6);
        generation.choices_each = generation.sampling.choices = 2;
        ASSERT_TRUE(fixture.engine->submit(generation, sink, {}));
        const auto other = fixture.submit(asking(counting(12), 8));
        fixture.run_until_idle();
        ASSERT_TRUE(sink->error());
        EXPECT_EQ(sink->error()->code, ErrorCode::ResourceExhausted);
        EXPECT_EQ(sink->failures, 1);
        EXPECT_TRUE(other->usage());
        fixture.expect_no_leak();
    }
}

TEST(Engine, AnExceptionInAPassEndsWhoRunsAndLosesNobody) {
    quiet();
    EngineConfig config = Fixture::small();
    config.sequences_max = 2;
    Fixture fixture({}, config);
    bool broken = true;
    fixture.model.before_pass = [&](auto) -> Result<void> {
        if (broken) {
            throw std::bad_alloc();
        }
        return {};
    };
    const auto first = fixture.submit(asking(counting(10), 8));
    const auto second = fixture.submit(asking(counting(11), 8));
    const auto waits = fixture.submit(asking(counting(12), 8));
    EXPECT_TRUE(fixture.engine->step());
    for (const auto& sink : {first, second}) {
        ASSERT_TRUE(sink->error());
        EXPECT_EQ(sink->error()->code, ErrorCode::ResourceExhausted);
        EXPECT_EQ(sink->failures, 1);
    }
    EXPECT_FALSE(waits->is_over());
    broken = false;
    fixture.run_until_idle();
    EXPECT_TRUE(waits->usage());
    fixture.expect_no_leak();
}

#ifdef WEIR_FAILPOINTS
TEST(Engine, AnArrivalThatFindsNoMemoryIsToldAndHoldsUpNobody) {
    quiet();
    Fixture fixture;
    const auto before = fixture.submit(asking(counting(10), 8));
    Generation several = asking(counting(11), 8);  // the failpoint is behind the first choice
    several.choices_each = several.sampling.choices = 3;
    const auto lost = fixture.submit(several);
    const auto behind = fixture.submit(asking(counting(12), 8));
    {
        const ArmedFailpoint armed("engine.admit");
        fixture.engine->step();
    }
    ASSERT_TRUE(lost->error());
    EXPECT_EQ(lost->error()->code, ErrorCode::ResourceExhausted);
    fixture.run_until_idle();
    EXPECT_EQ(lost->failures, 1);
    EXPECT_TRUE(lost->choices()[0].tokens.empty());
    EXPECT_TRUE(before->usage());
    EXPECT_TRUE(behind->usage());
    EXPECT_THAT(fixture.registry.text(), HasSubstr("vllm:prompt_tokens_total 22\n"));
    fixture.expect_no_leak();
}
#endif

// Nothing is held up by prompts whose every row is wanted, however many wait for rows.
TEST(Engine, WhoWantsNoRowsPassesThoseWhoWaitForThem) {
    EngineConfig config = Fixture::small();
    config.prompt_logit_rows = 2;
    Fixture fixture({}, config);
    Generation echo = asking(counting(30), 0);
    echo.prompt_logprobs = 0;
    std::vector<std::shared_ptr<RecordingSink>> echoes;
    for (int i = 0; i < 20; ++i) {
        echoes.push_back(fixture.submit(echo));
    }
    const auto other = fixture.submit(asking(counting(4), 3));
    for (int steps = 0; steps < 4; ++steps) {
        fixture.engine->step();
    }
    EXPECT_TRUE(other->usage());
    EXPECT_TRUE(echoes[0]->has_started());
    fixture.run_until_idle();
    for (const auto& sink : echoes) {
        ASSERT_EQ(sink->prompt_logprobs().size(), 1u);
        EXPECT_EQ(sink->prompt_logprobs()[0].size(), 29u);
    }
}

// Two places, four long answers, and somebody with a short question: it waits for turns, not for
// long answers to end, and nobody's answer changes.
TEST(Engine, WhoWaitsForAPlaceGetsATurn) {
    EngineConfig config = Fixture::small();
    config.kv_bytes = 1 << 20;
    Fixture roomy({}, config);
    config.sequences_max = 2;
    config.turn_tokens = 8;
    Fixture fixture({}, config);
    std::vector<std::shared_ptr<RecordingSink>> long_ones;
    for (uint32_t i = 0; i < 4; ++i) {
        long_ones.push_back(fixture.submit(asking(counting(5 + i), 300)));
    }
    const auto quick = fixture.submit(asking(counting(4), 3));
    int steps = 0;
    while (!quick->is_over()) {
        ASSERT_LT(++steps, 60);
        fixture.engine->step();
    }
    for (const auto& sink : long_ones) {
        EXPECT_FALSE(sink->is_over());
    }
    fixture.run_until_idle();
    for (uint32_t i = 0; i < 4; ++i) {
        const auto expected = roomy.submit(asking(counting(5 + i), 300));
        roomy.run_until_idle();
        EXPECT_EQ(long_ones[i]->choices()[0].tokens, expected->choices()[0].tokens);
    }
    fixture.expect_no_leak();
}

TEST(Engine, KeepsItsPlaceWhileNobodyWaits) {
    EngineConfig config = Fixture::small();
    config.sequences_max = 2;
    config.turn_tokens = 1;
    Fixture fixture({}, config);
    fixture.submit(asking(counting(5), 30));
    fixture.submit(asking(counting(6), 30));
    fixture.run_until_idle();
    EXPECT_THAT(fixture.registry.text(), HasSubstr("vllm:num_preemptions_total 0\n"));
}

// The tokens do not depend on how many threads choose them.
TEST(Engine, SamplesTheSameOnAPool) {
    std::vector<std::shared_ptr<RecordingSink>> alone;
    std::vector<std::shared_ptr<RecordingSink>> pooled;
    for (auto* const sinks : {&alone, &pooled}) {
        kernels::ThreadPool pool(3);
        FakeModel model({});
        ManualClock clock;
        metrics::Registry registry;
        EngineConfig config = Fixture::small();
        config.threads = 3;
        auto engine =
            Engine::create(model, config, clock, registry, sinks == &pooled ? &pool : nullptr)
                .value();
        for (uint32_t i = 0; i < 7; ++i) {
            Generation generation = asking(counting(5 + i), 9);
            generation.sampling.logprobs = i % 3;
            generation.sampling.top_p = 0.9f;
            sinks->push_back(std::make_shared<RecordingSink>(1));
            ASSERT_TRUE(engine->submit(generation, sinks->back(), {}));
        }
        while (engine->step()) {
        }
    }
    for (size_t i = 0; i < alone.size(); ++i) {
        EXPECT_EQ(alone[i]->choices()[0].tokens, pooled[i]->choices()[0].tokens);
        EXPECT_EQ(pooled[i]->choices()[0].tokens.size(), 9u);
    }
}

TEST(EngineDeathTest, StepsAreNotForThoseWhoHaveAThread) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    Fixture fixture;
    fixture.engine->run();
    EXPECT_DEATH(fixture.engine->step(), "joinable");
}

// Seeded histories of arrivals and cancellations under memory that is far too small: everything
// ends, nothing leaks, and whoever ends well says what it says alone.
TEST(Engine, SurvivesAnyHistory) {
    for (uint32_t seed = 0; seed < 40; ++seed) {
        SCOPED_TRACE(seed);
        std::mt19937 random(seed);
        const auto draw = [&](uint32_t below) {
            return static_cast<uint32_t>(random() % below);
        };
        FakeModelOptions options;
        options.recurrent = draw(2) == 0;
        options.window_tokens = draw(2) == 0 ? std::optional(3 + draw(12)) : std::nullopt;
        EngineConfig config = Fixture::small();
        config.kv_bytes = (24 + draw(40)) * 64;
        config.sequences_max = 2 + draw(6);
        config.prompt_tokens_min = 1 + draw(16);
        config.checkpoint_tokens = 8;
        config.turn_tokens = 1 + draw(10);
        if (options.recurrent) {
            config.kv_bytes += 64 * 3 * config.sequences_max;
        }
        config.queue_wait_max = std::chrono::hours{1};
        config.waiting_max = 128;
        Fixture fixture(options, config);
        struct One {
            Generation generation;
            std::shared_ptr<RecordingSink> sink;
            std::stop_source cancel;
        };
        std::vector<One> all;
        const uint32_t context = fixture.engine->context_tokens();
        for (int step = 0; step < 400; ++step) {
            if (draw(6) == 0 && all.size() < 30) {
                Generation generation = asking(counting(1 + draw(context / 2)), 1 + draw(20));
                generation.prompts[0].back() = draw(40);
                generation.sampling.tokens_max =
                    std::min(*generation.sampling.tokens_max,
                             context - static_cast<uint32_t>(generation.prompts[0].size()));
                generation.choices_each = generation.sampling.choices = 1 + draw(3);
                generation.seed = seed;
                all.push_back({generation, nullptr, {}});
                all.back().sink = fixture.submit(generation, all.back().cancel.get_token());
            }
            if (draw(20) == 0 && !all.empty()) {
                all[draw(static_cast<uint32_t>(all.size()))].cancel.request_stop();
            }
            fixture.engine->step();
        }
        fixture.run_until_idle();
        fixture.expect_no_leak();
        EngineConfig roomy = Fixture::small();
        roomy.kv_bytes = 1 << 20;
        Fixture alone(options, roomy);
        for (const One& one : all) {
            ASSERT_TRUE(one.sink->is_over());
            if (one.sink->error()) {
                ASSERT_EQ(one.sink->error()->code, ErrorCode::Cancelled);
                continue;
            }
            const auto expected = alone.submit(one.generation);
            alone.run_until_idle();
            for (uint32_t choice = 0; choice < one.generation.choices_each; ++choice) {
                ASSERT_EQ(one.sink->choices()[choice].tokens, expected->choices()[choice].tokens);
            }
        }
    }
}

// A sink that another thread can wait for.
class WaitingSink final : public GenerationSink {
  public:
    void on_started() override {}
    Result<Verdict> on_token(uint32_t, const SampledToken&) override {
        ++tokens;
        return Verdict::Continue;
    }
    void on_choice_finished(uint32_t, chat::FinishReason) override {}
    void on_finished(const chat::Usage&) override { end(std::nullopt); }
    void on_failed(const Error& error) override { end(error.code); }
    std::optional<ErrorCode> wait() {
        std::unique_lock lock(mutex_);
        over_.wait(lock, [&] { return is_over_; });
        return error_;
    }
    std::atomic<int> tokens{0};

  private:
    void end(std::optional<ErrorCode> error) {
        const std::scoped_lock lock(mutex_);
        is_over_ = true;
        error_ = error;
        over_.notify_all();
    }
    std::mutex mutex_;
    std::condition_variable over_;
    bool is_over_ = false;
    std::optional<ErrorCode> error_;
};

TEST(EngineThread, AnswersManyThreads) {
    metrics::Registry registry;
    FakeModel model({});
    auto engine = Engine::create(model, Fixture::small(), system_clock(), registry).value();
    engine->run();
    std::vector<std::jthread> clients;
    for (uint32_t client = 0; client < 4; ++client) {
        clients.emplace_back([&engine, client] {
            for (uint32_t i = 0; i < 10; ++i) {
                const auto sink = std::make_shared<WaitingSink>();
                std::stop_source cancel;
                ASSERT_TRUE(
                    engine->submit(asking(counting(5 + client + i), 6), sink, cancel.get_token()));
                if (i % 3 == 2) {
                    cancel.request_stop();
                    sink->wait();
                } else {
                    EXPECT_EQ(sink->wait(), std::nullopt);
                    EXPECT_EQ(sink->tokens, 6);
                }
            }
        });
    }
    clients.clear();
    engine->shutdown(std::chrono::seconds{10});
    EXPECT_EQ(
        engine->submit(asking(counting(5), 1), std::make_shared<WaitingSink>(), {}).error().code,
        ErrorCode::Unavailable);
    EXPECT_EQ(engine->kv_usage().blocks_used(), 0u);
}

TEST(EngineThread, ShutdownDrainsOrCancels) {
    for (const bool drain : {true, false}) {
        metrics::Registry registry;
        FakeModel model({.context_tokens = 200});
        EngineConfig config = Fixture::small();
        auto engine = Engine::create(model, config, system_clock(), registry).value();
        const auto sink = std::make_shared<WaitingSink>();
        ASSERT_TRUE(engine->submit(asking(counting(5), drain ? 20 : 190), sink, {}));
        engine->run();
        engine->shutdown(drain ? std::chrono::milliseconds{60'000} : std::chrono::milliseconds{0});
        const auto error = sink->wait();
        if (drain) {
            EXPECT_EQ(error, std::nullopt);
            EXPECT_EQ(sink->tokens, 20);
        } else {
            EXPECT_TRUE(!error || *error == ErrorCode::Unavailable);
        }
    }
}

}  // namespace
}  // namespace weir::engine
