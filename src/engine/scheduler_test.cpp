#include "engine/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

namespace weir::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

SequenceId id(uint64_t number) {
    return SequenceId{number};
}

RunningSequence decoding(uint64_t number, uint32_t computed) {
    return {.id = id(number),
            .computed = computed,
            .known = computed + 1,
            .answering = true,
            .covered = (computed + 15) / 16 * 16};
}

TEST(Scheduler, DecodesGoFirstAndPromptsShareTheRestOfTheBudget) {
    const Scheduler scheduler({.inter_token_target = std::chrono::duration<double>(0.1)});
    const std::vector<RunningSequence> running = {
        {.id = id(1), .computed = 16, .known = 40, .covered = 16}, decoding(2, 20)};
    const std::vector<WaitingSequence> waiting = {{.id = id(3), .known = 500}};
    const BatchPlan plan = scheduler.plan({.running = running,
                                           .waiting = waiting,
                                           .blocks_available = 100,
                                           .cost = {.base = 0.01, .per_token = 0.001}});
    // 0.1 s hold 90 tokens: one decode, 24 of the prompt, 65 of the new one.
    EXPECT_THAT(plan.slices, ElementsAre(PlannedSlice{id(2), 1}, PlannedSlice{id(1), 24},
                                         PlannedSlice{id(3), 65}));
    EXPECT_THAT(plan.admitted, ElementsAre(id(3)));
}

TEST(Scheduler, PromptsAdvanceHoweverSlowTheModelIs) {
    const Scheduler scheduler({.prompt_tokens_min = 8});
    const std::vector<RunningSequence> running = {decoding(1, 20)};
    const std::vector<WaitingSequence> waiting = {{.id = id(2), .known = 500}};
    const BatchPlan plan = scheduler.plan({.running = running,
                                           .waiting = waiting,
                                           .blocks_available = 100,
                                           .cost = {.per_token = 10}});
    EXPECT_THAT(plan.slices, ElementsAre(PlannedSlice{id(1), 1}, PlannedSlice{id(2), 8}));
}

TEST(Scheduler, LongContextsCostMore) {
    const Scheduler scheduler({.prompt_step_target = std::chrono::duration<double>(1.0)});
    const StepCost cost{.per_key = 1e-4};
    const auto tokens_at = [&](uint32_t computed) {
        const std::vector<RunningSequence> running = {
            {.id = id(1), .computed = computed, .known = computed + 1000, .covered = computed}};
        return scheduler.plan({.running = running, .blocks_available = 100, .cost = cost}).tokens;
    };
    EXPECT_EQ(tokens_at(0), 140u);   // n(n+1)/2 <= 10000
    EXPECT_EQ(tokens_at(160), 53u);  // 160 n + n(n+1)/2 <= 10000
}

TEST(Scheduler, PreemptsTheYoungestWhenBlocksRunOut) {
    const Scheduler scheduler({});
    std::vector<RunningSequence> running = {decoding(1, 32), decoding(2, 32)};
    running[0].reclaimable_blocks = running[1].reclaimable_blocks = 2;
    const BatchPlan plan = scheduler.plan({.running = running, .blocks_available = 0});
    EXPECT_THAT(plan.preempted, ElementsAre(id(2)));
    EXPECT_THAT(plan.slices, ElementsAre(PlannedSlice{id(1), 1}));
}

TEST(Scheduler, PreemptsWhoHasComputedLeast) {
    const Scheduler scheduler({});
    std::vector<RunningSequence> running = {decoding(1, 32), decoding(2, 64), decoding(3, 48)};
    running[0].reclaimable_blocks = 2;
    const BatchPlan plan = scheduler.plan({.running = running, .blocks_available = 0});
    EXPECT_THAT(plan.preempted, ElementsAre(id(1)));
    EXPECT_EQ(plan.tokens, 2u);
}

TEST(Scheduler, SparesWhoWasPreemptedTooOften) {
    const Scheduler scheduler({.preemptions_max = 2});
    std::vector<RunningSequence> running = {decoding(1, 32), decoding(2, 64)};
    running[0].preemptions = 2;
    running[1].reclaimable_blocks = 4;
    const BatchPlan plan = scheduler.plan({.running = running, .blocks_available = 0});
    EXPECT_THAT(plan.preempted, ElementsAre(id(2)));
}

TEST(Scheduler, NobodyPassesTheFirstInLine) {
    const Scheduler scheduler({});
    const std::vector<RunningSequence> running = {decoding(1, 20)};
    const std::vector<WaitingSequence> waiting = {{.id = id(2), .known = 400},
                                                  {.id = id(3), .known = 4}};
    const BatchPlan plan =
        scheduler.plan({.running = running, .waiting = waiting, .blocks_available = 10});
    EXPECT_THAT(plan.admitted, IsEmpty());
}

TEST(Scheduler, CountsCachedBlocksThatWereEvictable) {
    const Scheduler scheduler({});
    const std::vector<RunningSequence> running = {decoding(1, 20)};
    std::vector<WaitingSequence> waiting = {
        {.id = id(2), .known = 100, .cached = 96, .evictable_blocks = 6}};
    // 6 cached, 1 new, 1 spare each for both: 9.
    SchedulerInput input{.running = running, .waiting = waiting, .blocks_available = 8};
    EXPECT_THAT(scheduler.plan(input).admitted, IsEmpty());
    input.blocks_available = 9;
    EXPECT_THAT(scheduler.plan(input).slices,
                ElementsAre(PlannedSlice{id(1), 1}, PlannedSlice{id(2), 4}));
    waiting[0].evictable_blocks = 0;  // somebody holds them already
    input.blocks_available = 3;
    EXPECT_THAT(scheduler.plan(input).admitted, ElementsAre(id(2)));
}

TEST(Scheduler, RowsOfLogitsAreLimited) {
    const Scheduler scheduler({.sequences_max = 4, .logit_rows_max = 4 + 10});
    const std::vector<WaitingSequence> waiting = {{.id = id(1), .known = 7, .all_logits = true},
                                                  {.id = id(2), .known = 7, .all_logits = true},
                                                  {.id = id(3), .known = 7}};
    const BatchPlan plan = scheduler.plan({.waiting = waiting, .blocks_available = 100});
    EXPECT_THAT(plan.slices, ElementsAre(PlannedSlice{id(1), 7}, PlannedSlice{id(2), 3},
                                         PlannedSlice{id(3), 7}));
}

TEST(Scheduler, WhoWaitsForRowsHoldsUpNobody) {
    const Scheduler scheduler({.sequences_max = 4, .logit_rows_max = 4 + 10});
    const std::vector<RunningSequence> running = {{.id = id(1), .known = 40, .all_logits = true}};
    const std::vector<WaitingSequence> waiting = {{.id = id(2), .known = 7, .all_logits = true},
                                                  {.id = id(3), .known = 7}};
    const BatchPlan plan =
        scheduler.plan({.running = running, .waiting = waiting, .blocks_available = 100});
    EXPECT_THAT(plan.slices, ElementsAre(PlannedSlice{id(1), 10}, PlannedSlice{id(3), 7}));
}

// 1600 tokens are 100 blocks of the full group, but never more than 9 of one that sees 64 tokens in
// slices of 64: two such prompts fit 230 blocks.
TEST(Scheduler, WindowedGroupsAreCountedWithWhatTheyHoldAtOnce) {
    SchedulerConfig config{
        .batch_tokens_max = 64, .logit_rows_max = 64 + 32, .groups = 2, .windows = {64}};
    // Rows of logits for 32 tokens, so that the first leaves the second 32 of the step.
    const std::vector<WaitingSequence> waiting = {{.id = id(1), .known = 1600, .all_logits = true},
                                                  {.id = id(2), .known = 1600}};
    const SchedulerInput input{.waiting = waiting, .blocks_available = 230};
    EXPECT_THAT(Scheduler(config).plan(input).admitted, ElementsAre(id(1), id(2)));
    config.windows.clear();
    EXPECT_THAT(Scheduler(config).plan(input).admitted, ElementsAre(id(1)));

    // The same for one that runs: its window group has passed most of what it has.
    config.windows = {64};
    const std::vector<RunningSequence> running = {
        {.id = id(1), .computed = 800, .known = 1600, .covered = 800, .all_logits = true}};
    // It takes 2 a group now, then 48 of the full group and 9 - 4 of the other, and 2 to spare; the
    // new one 2, and 2 to spare.
    const std::vector<WaitingSequence> small = {{.id = id(2), .known = 7}};
    SchedulerInput second{.running = running, .waiting = small, .blocks_available = 63};
    EXPECT_THAT(Scheduler(config).plan(second).admitted, ElementsAre(id(2)));
    second.blocks_available = 62;
    EXPECT_THAT(Scheduler(config).plan(second).admitted, IsEmpty());

    // A window that stands gives everything back where its stretch begins: after this slice, at
    // 832, it holds what came since 800, which is 2, and may come to 10 (79 + 64 tokens, and one
    // more).
    config.windows.clear();
    config.chunks = {80};
    second.blocks_available = 66;
    EXPECT_THAT(Scheduler(config).plan(second).admitted, ElementsAre(id(2)));
    second.blocks_available = 65;
    EXPECT_THAT(Scheduler(config).plan(second).admitted, IsEmpty());
}

TEST(Scheduler, GivesUpWhatIsAloneAndFindsNoBlock) {
    const Scheduler scheduler({});
    const std::vector<RunningSequence> running = {decoding(1, 32)};
    const BatchPlan plan = scheduler.plan({.running = running, .blocks_available = 0});
    EXPECT_THAT(plan.impossible, ElementsAre(id(1)));
    EXPECT_FALSE(plan.empty());
}

// A whole life under a simulated pool without prefix sharing. Whatever arrives: everybody finishes,
// the pool is never overdrawn, limits hold in every step, and the target is exceeded only by
// decodes and by the prompts' minimum.
TEST(Scheduler, EverybodyFinishesWithinTheLimits) {
    struct Life {
        uint32_t prompt = 0;
        uint32_t total = 0;
        uint32_t known = 0;
        uint32_t computed = 0;
        uint32_t covered = 0;
        uint32_t preemptions = 0;
        bool runs = false;
    };
    for (uint32_t seed = 0; seed < 300; ++seed) {
        SCOPED_TRACE(seed);
        std::mt19937 random(seed);
        const auto draw = [&](uint32_t below) {
            return static_cast<uint32_t>(random() % below);
        };
        SchedulerConfig config{.sequences_max = 1 + draw(8), .batch_tokens_max = 16 + draw(100)};
        config.logit_rows_max = config.sequences_max + 8;
        config.block_tokens = 1 + draw(8);
        config.groups = 1 + draw(2);
        config.prompt_tokens_min = 1 + draw(20);
        const StepCost cost{.base = 0.01, .per_token = draw(10) * 0.002, .per_key = draw(3) * 1e-5};
        const Scheduler scheduler(config);
        const uint32_t longest = 120;
        const uint32_t blocks = config.groups * (longest / config.block_tokens + 1) * (1 + draw(3));
        std::map<SequenceId, Life> lives;
        uint32_t used = 0;
        uint64_t next = 0;
        uint32_t steps = 0;
        while (next < 40 || !lives.empty()) {
            ASSERT_LT(++steps, 60'000u) << "somebody starves";
            if (next < 40 && draw(3) == 0) {
                const uint32_t prompt = 1 + draw(longest - 2);
                lives[id(next++)] = {.prompt = prompt,
                                     .total = prompt + 1 + draw(longest - 1 - prompt),
                                     .known = prompt};
            }
            std::vector<RunningSequence> running;
            std::vector<WaitingSequence> waiting;
            for (const auto& [key, life] : lives) {
                if (life.runs) {
                    running.push_back(
                        {.id = key,
                         .computed = life.computed,
                         .known = life.known,
                         .answering = life.known > life.prompt,
                         .covered = life.covered,
                         .preemptions = life.preemptions,
                         .reclaimable_blocks = life.covered / config.block_tokens * config.groups});
                } else {
                    waiting.push_back({.id = key, .known = life.known});
                }
            }
            const BatchPlan plan = scheduler.plan({.running = running,
                                                   .waiting = waiting,
                                                   .blocks_available = blocks - used,
                                                   .cost = cost});
            ASSERT_EQ(plan.slices.empty(), lives.empty()) << "a step without progress";
            ASSERT_THAT(plan.impossible, IsEmpty());
            for (const SequenceId victim : plan.preempted) {
                Life& life = lives.at(victim);
                ASSERT_TRUE(life.runs);
                used -= life.covered / config.block_tokens * config.groups;
                life.computed = life.covered = 0;
                life.runs = false;
                ++life.preemptions;
            }
            for (const SequenceId admitted : plan.admitted) {
                ASSERT_FALSE(lives.at(admitted).runs);
                lives.at(admitted).runs = true;
            }
            uint32_t tokens = 0;
            uint32_t prompt_tokens = 0;
            uint64_t keys = 0;
            for (const PlannedSlice& slice : plan.slices) {
                Life& life = lives.at(slice.id);
                ASSERT_TRUE(life.runs);
                ASSERT_GT(slice.tokens, 0u);
                ASSERT_LE(life.computed + slice.tokens, life.known);
                const bool decodes = life.known > life.prompt && life.computed + 1 == life.known;
                prompt_tokens += decodes ? 0 : slice.tokens;
                tokens += slice.tokens;
                keys += uint64_t{slice.tokens} * life.computed +
                        uint64_t{slice.tokens} * (slice.tokens + 1) / 2;
                life.computed += slice.tokens;
                while (life.covered < life.computed) {
                    life.covered += config.block_tokens;
                    used += config.groups;
                }
            }
            ASSERT_LE(used, blocks);
            ASSERT_LE(tokens, config.batch_tokens_max);
            ASSERT_EQ(tokens, plan.tokens);
            ASSERT_EQ(keys, plan.keys);
            const auto runs = std::count_if(lives.begin(), lives.end(),
                                            [](auto& item) { return item.second.runs; });
            ASSERT_LE(runs, config.sequences_max);
            if (prompt_tokens > config.prompt_tokens_min) {
                ASSERT_LE(cost.seconds(tokens, keys), config.prompt_step_target.count() + 1e-9);
            }
            for (auto life = lives.begin(); life != lives.end();) {
                if (life->second.runs && life->second.computed == life->second.known &&
                    ++life->second.known > life->second.total) {
                    used -= life->second.covered / config.block_tokens * config.groups;
                    life = lives.erase(life);
                } else {
                    ++life;
                }
            }
        }
        ASSERT_EQ(used, 0u);
    }
}

TEST(CostModel, LearnsWhatStepsCost) {
    CostModel model;
    std::mt19937 random(3);
    for (int i = 0; i < 500; ++i) {
        const uint64_t tokens = 1 + random() % 200;
        const uint64_t keys = tokens * (random() % 2000);
        model.observe(
            tokens, keys,
            0.02 + 0.001 * static_cast<double>(tokens) + 1e-7 * static_cast<double>(keys));
    }
    EXPECT_NEAR(model.cost().base, 0.02, 0.002);
    EXPECT_NEAR(model.cost().per_token, 0.001, 0.0001);
    EXPECT_NEAR(model.cost().per_key, 1e-7, 1e-8);
}

TEST(CostModel, IsNeverNegative) {
    CostModel model;
    for (int i = 0; i < 100; ++i) {
        model.observe(100 + static_cast<uint64_t>(i), 0, 1.0 / (1 + i));  // more tokens, less time
        EXPECT_GE(model.cost().base, 0);
        EXPECT_GE(model.cost().per_token, 0);
        EXPECT_GE(model.cost().per_key, 0);
    }
}

}  // namespace
}  // namespace weir::engine
