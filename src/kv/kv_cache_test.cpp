#include "kv/kv_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <cstring>
#include <list>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <vector>

namespace weir::kv {
namespace {

using Tokens = std::vector<TokenId>;
constexpr uint32_t kBlock = 4;

struct Shape {
    bool full = true;
    std::optional<uint32_t> window;
    uint64_t recurrent_bytes = 0;
    bool window_stands = false;
};

StateSpec make_spec(const Shape& shape) {
    StateSpec spec{.kv_dtype = tensor::DType::F32, .block_tokens = kBlock};
    spec.recurrent_bytes = shape.recurrent_bytes;
    if (shape.full) {
        spec.groups.push_back({.layers = {0}, .kv_heads = 1, .key_dim = 2, .value_dim = 2});
    }
    if (shape.window) {
        spec.groups.push_back({.layers = {1},
                               .kv_heads = 1,
                               .key_dim = 2,
                               .value_dim = 2,
                               .window_tokens = shape.window,
                               .window_stands = shape.window_stands});
    }
    return spec;
}

Tokens counting(uint32_t count, TokenId first = 0) {
    Tokens tokens(count);
    std::iota(tokens.begin(), tokens.end(), first);
    return tokens;
}

using Keep = SequenceState::Keep;

// Stands in for a model: a block's first word is the sum of its tokens, the recurrent state is a
// number that depends on every token and on their order. With `keep`, a checkpoint is made at the
// last end of a block, wherever the pass ends.
void compute(SequenceState& state, const KvCache& cache, const Tokens& tokens, uint32_t until,
             std::optional<Keep> keep = Keep::Durable) {
    ASSERT_TRUE(state.reserve(until));
    std::vector<SequenceState::Checkpoint> checkpoints;
    if (const uint32_t last = until / kBlock * kBlock; keep && last > state.position()) {
        checkpoints.push_back({last, *keep});
    }
    state.plan_checkpoints(checkpoints);
    const SequenceView view = state.view();
    size_t copied = 0;
    for (uint32_t at = state.position(); at < until; ++at) {
        for (const auto& group : view.blocks) {
            std::byte* const block = group[at / kBlock];
            ASSERT_NE(block, nullptr);
            std::memcpy(block + (at % kBlock) * sizeof(TokenId), &tokens[at], sizeof(TokenId));
        }
        if (cache.spec().recurrent_bytes > 0) {
            uint64_t number = 0;
            std::memcpy(&number, view.recurrent, sizeof(number));
            number = number * 31 + tokens[at] + 1;
            std::memcpy(view.recurrent, &number, sizeof(number));
            if (copied < view.copies.size() && view.copies[copied].position == at + 1) {
                std::memcpy(view.copies[copied++].to, &number, sizeof(number));
            }
        }
    }
    ASSERT_EQ(copied, view.copies.size());
    state.advance(until - state.position());
}

// Everything that a query at state.position() could read is what `tokens` say.
void expect_remembers(SequenceState& state, const KvCache& cache, const Tokens& tokens) {
    const SequenceView view = state.view();
    for (size_t g = 0; g < view.blocks.size(); ++g) {
        const auto window = cache.spec().groups[g].window_tokens;
        const uint32_t position = state.position();
        const uint32_t sliding = window && position + 1 > *window ? position + 1 - *window : 0;
        const uint32_t begin =
            cache.spec().groups[g].window_stands ? position / *window * *window : sliding;
        for (uint32_t at = begin; at < position; ++at) {
            const std::byte* const block = view.blocks[g][at / kBlock];
            ASSERT_NE(block, nullptr) << "group " << g << ", position " << at;
            TokenId token = 0;
            std::memcpy(&token, block + (at % kBlock) * sizeof(TokenId), sizeof(token));
            ASSERT_EQ(token, tokens[at]) << "group " << g << ", position " << at;
        }
    }
    if (cache.spec().recurrent_bytes > 0) {
        uint64_t expected = 0;
        for (uint32_t at = 0; at < state.position(); ++at) {
            expected = expected * 31 + tokens[at] + 1;
        }
        uint64_t number = 0;
        std::memcpy(&number, view.recurrent, sizeof(number));
        ASSERT_EQ(number, expected);
    }
}

std::unique_ptr<KvCache> make_cache(const Shape& shape, uint32_t blocks, uint32_t slots = 0) {
    return KvCache::create(make_spec(shape), {.blocks = blocks, .recurrent_slots = slots}).value();
}

void run_and_publish(KvCache& cache, const PrefixKey& key, const Tokens& tokens) {
    auto state = cache.begin(key, tokens, static_cast<uint32_t>(tokens.size()) - 1);
    ASSERT_TRUE(state);
    compute(*state, cache, tokens, static_cast<uint32_t>(tokens.size()));
    state->publish(tokens);
}

TEST(KvCache, GivesBackWhatWasPublishedWholeBlocksOnly) {
    const auto cache = make_cache({}, 8);
    const Tokens tokens = counting(10);
    run_and_publish(*cache, {}, tokens);
    EXPECT_EQ(cache->usage().blocks_free, 6u);
    EXPECT_EQ(cache->usage().blocks_available(), 8u);

    auto again = cache->begin({}, tokens, 9);
    EXPECT_EQ(again->position(), 8u);
    expect_remembers(*again, *cache, tokens);
    EXPECT_EQ(cache->stats().query_tokens, 20u);
    EXPECT_EQ(cache->stats().hit_tokens, 8u);
    EXPECT_EQ(cache->stats().partial_block_tokens, 2u + 2u);
    EXPECT_EQ(cache->stats().never_seen_tokens, 8u);
}

TEST(KvCache, ComputesTheLastTokenAgainForItsLogits) {
    const auto cache = make_cache({}, 8);
    run_and_publish(*cache, {}, counting(8));
    EXPECT_EQ(cache->begin({}, counting(8), 7)->position(), 4u);
}

// TE1, TE2: the fields of a key are compared apart from each other.
TEST(KvCache, TE1_TenantsShareNothing) {
    const auto cache = make_cache({}, 8);
    const Tokens tokens = counting(8);
    run_and_publish(*cache, {.tenant = "a", .model = "m", .adapter = "x"}, tokens);
    EXPECT_EQ(cache->begin({.tenant = "b", .model = "m", .adapter = "x"}, tokens, 8)->position(),
              0u);
    EXPECT_EQ(cache->begin({.tenant = "a", .model = "mx"}, tokens, 8)->position(), 0u);
    EXPECT_EQ(cache->begin({.tenant = "a", .model = "m", .rope = "x"}, tokens, 8)->position(), 0u);
    EXPECT_EQ(cache->begin({.tenant = "a", .model = "m", .adapter = "x"}, tokens, 8)->position(),
              8u);
}

// TE3: there is no hash; a prefix that differs in one token of any block is another prefix.
TEST(KvCache, TE3_OneOtherTokenIsAnotherPrefix) {
    const auto cache = make_cache({}, 16);
    run_and_publish(*cache, {}, counting(12));
    for (uint32_t changed = 0; changed < 12; ++changed) {
        Tokens tokens = counting(12);
        tokens[changed] ^= 0x8000'0000u;
        EXPECT_EQ(cache->probe({}, tokens, 12).tokens, changed / kBlock * kBlock);
    }
}

TEST(KvCache, KeepsOneCopyOfWhatTwoSequencesComputed) {
    const auto cache = make_cache({}, 8);
    const Tokens tokens = counting(8);
    auto one = cache->begin({}, tokens, 7);
    auto two = cache->begin({}, tokens, 7);
    compute(*one, *cache, tokens, 8);
    compute(*two, *cache, tokens, 8);
    EXPECT_EQ(cache->usage().blocks_free, 4u);
    one->publish(tokens);
    two->publish(tokens);
    EXPECT_EQ(cache->usage().blocks_free, 6u);
    expect_remembers(*two, *cache, tokens);
    EXPECT_EQ(one->reclaimable_blocks(), 0u);
}

TEST(KvCache, EvictsTheLeastRecentlyUsedAndNeverWhatIsInUse) {
    const auto cache = make_cache({}, 4);
    run_and_publish(*cache, {}, counting(8, 100));
    run_and_publish(*cache, {}, counting(8, 200));
    auto used = cache->begin({}, counting(8, 100), 8);  // older, but in use
    EXPECT_EQ(cache->usage().blocks_available(), 2u);

    auto other = cache->begin({}, counting(8, 300), 7);
    ASSERT_TRUE(other->reserve(8));
    EXPECT_FALSE(other->reserve(9));
    EXPECT_EQ(cache->usage().blocks_available(), 0u);
    expect_remembers(*used, *cache, counting(8, 100));
    EXPECT_EQ(cache->probe({}, counting(8, 200), 8).tokens, 0u);
    EXPECT_EQ(cache->stats().evicted_blocks, 2u);
}

TEST(KvCache, EvictsTailsBeforeHeads) {
    const auto cache = make_cache({}, 4);
    run_and_publish(*cache, {}, counting(16));
    auto other = cache->begin({}, counting(4, 100), 3);
    ASSERT_TRUE(other->reserve(4));
    EXPECT_EQ(cache->probe({}, counting(16), 16).tokens, 12u);
}

TEST(KvCache, DropsWhatAWindowHasPassed) {
    const auto cache = make_cache({.full = false, .window = 6}, 8);
    const Tokens tokens = counting(40);
    auto state = cache->begin({}, tokens, 39);
    for (uint32_t until = 4; until <= 40; until += 4) {
        compute(*state, *cache, tokens, until);
        expect_remembers(*state, *cache, tokens);
        EXPECT_LE(cache->usage().blocks_used(), 3u);
    }
    EXPECT_EQ(worst_case_blocks(cache->spec(), 40, 4), 4u);
}

// Stretches of 10 tokens, blocks of 4: at 21 nothing before 20 is seen any more.
TEST(KvCache, DropsEverythingBeforeAWindowThatStands) {
    const auto cache = make_cache({.full = false, .window = 10, .window_stands = true}, 8);
    const Tokens tokens = counting(40);
    auto state = cache->begin({}, tokens, 39);
    for (const auto& [until, blocks] :
         {std::pair<uint32_t, uint32_t>{9, 3}, {10, 1}, {19, 3}, {20, 0}, {21, 1}, {30, 1}}) {
        compute(*state, *cache, tokens, until);
        state->drop_passed_blocks();
        expect_remembers(*state, *cache, tokens);
        EXPECT_EQ(cache->usage().blocks_used(), blocks) << until;
    }
}

TEST(KvCache, SaysThatAWindowHasDroppedTheBeginning) {
    const auto cache = make_cache({.full = true, .window = 6}, 8);
    const Tokens tokens = counting(16);
    auto state = cache->begin({}, tokens, 15);
    for (uint32_t until = 4; until <= 16; until += 4) {
        compute(*state, *cache, tokens, until);
        state->publish(tokens);
    }
    EXPECT_EQ(cache->probe({}, tokens, 8).tokens, 8u);  // kept as long as nobody needs the room
    ASSERT_TRUE(state->reserve(16));
    EXPECT_EQ(cache->usage().blocks_available(), 2u);
    auto other = cache->begin({}, counting(4, 100), 3);
    ASSERT_TRUE(other->reserve(4));

    EXPECT_EQ(cache->probe({}, tokens, 8).tokens, 0u);
    EXPECT_EQ(cache->probe({}, tokens, 16).tokens, 16u);
    EXPECT_EQ(cache->begin({}, counting(9), 8)->position(), 0u);
    EXPECT_EQ(cache->stats().window_passed_tokens, 8u);
}

// 24 tokens are 6 blocks a group; who goes on at 24 needs the last two of the window group's.
TEST(KvCache, WhatAFinishedSequencesWindowHasPassedGoesBeforeItsEnd) {
    const auto cache = make_cache({.full = true, .window = 6}, 14);
    const Tokens tokens = counting(25);
    run_and_publish(*cache, {}, counting(24));
    EXPECT_EQ(cache->probe({}, tokens, 16).tokens, 16u);  // kept as long as nobody needs the room
    run_and_publish(*cache, {}, counting(12, 100));       // 6 blocks, of which 2 are free
    EXPECT_EQ(cache->probe({}, tokens, 24).tokens, 24u);
    EXPECT_EQ(cache->probe({}, tokens, 16).tokens, 0u);
    EXPECT_EQ(cache->stats().evicted_blocks, 4u);
    run_and_publish(*cache, {}, counting(12, 200));  // one that the second has passed, then the end
    EXPECT_EQ(cache->probe({}, tokens, 24).tokens, 0u);
}

// Two that begin with the same 8 tokens, and then somebody who needs room.
TEST(KvCache, TheWindowWhereOthersTurnedOffStays) {
    const auto cache = make_cache({.full = true, .window = 6}, 28);
    const Tokens shared = counting(8);
    for (const TokenId own : {100u, 200u}) {
        Tokens tokens = shared;
        const Tokens more = counting(16, own);
        tokens.insert(tokens.end(), more.begin(), more.end());
        run_and_publish(*cache, {}, tokens);
    }
    run_and_publish(*cache, {}, counting(24, 300));  // 12 of 28, where 12 + 8 were in use
    EXPECT_GE(cache->stats().evicted_blocks, 4u);
    EXPECT_EQ(cache->probe({}, counting(9), 8).tokens, 8u);
}

TEST(KvCache, TheWindowWhereSomebodyIsExpectedStays) {
    for (const bool expected : {false, true}) {
        const auto cache = make_cache({.full = true, .window = 6}, 14);
        const Tokens tokens = counting(24);
        {
            auto state = cache->begin({}, tokens, 23);
            compute(*state, *cache, tokens, 24);
            state->publish(tokens);
            if (expected) {
                state->expect_return(12);
            }
        }
        run_and_publish(*cache, {}, counting(8, 100));  // 4 blocks, of which 2 are free
        EXPECT_EQ(cache->probe({}, tokens, 12).tokens, expected ? 12u : 8u);
        EXPECT_EQ(cache->probe({}, tokens, 24).tokens, 24u);
    }
}

TEST(KvCache, ARecurrentModelResumesOnlyWhereItsStateWasKept) {
    const auto cache = make_cache({.recurrent_bytes = 8}, 16, 4);
    const Tokens tokens = counting(20);
    {
        auto state = cache->begin({}, tokens, 19);
        compute(*state, *cache, tokens, 10);  // past the checkpoint at 8
        state->publish(tokens);
        compute(*state, *cache, tokens, 18, std::nullopt);
        state->publish(tokens);  // keys and values only: nothing to resume from
    }
    auto again = cache->begin({}, tokens, 19);
    EXPECT_EQ(again->position(), 8u);
    EXPECT_EQ(again->seen_tokens(), 16u);
    expect_remembers(*again, *cache, tokens);
    EXPECT_EQ(cache->begin({}, counting(5), 4)->position(), 0u);
    EXPECT_EQ(cache->stats().no_checkpoint_tokens, 8u + 4u);
}

TEST(KvCache, CheckpointsOfAPassThatFailedAreGivenBack) {
    const auto cache = make_cache({.recurrent_bytes = 8}, 16, 4);
    const Tokens tokens = counting(20);
    auto state = cache->begin({}, tokens, 19);
    ASSERT_TRUE(state->reserve(12));
    const std::vector<SequenceState::Checkpoint> wanted = {{4, Keep::Durable}, {8, Keep::Rolling}};
    state->plan_checkpoints(wanted);
    EXPECT_EQ(state->view().copies.size(), 2u);
    EXPECT_EQ(cache->usage().recurrent_free, 1u);
    state->publish(tokens);  // as a preemption does; nothing was computed
    EXPECT_EQ(cache->usage().recurrent_free, 3u);
    EXPECT_EQ(cache->probe({}, tokens, 19).tokens, 0u);
}

// Two conversations, whose prompts share a beginning, under few slots: the checkpoint that nobody
// has gone back to for the longest time goes first, not the deepest of the older conversation.
TEST(KvCache, EvictsTheCheckpointThatWasUsedLeastRecently) {
    const auto cache = make_cache({.recurrent_bytes = 8}, 32, 4);
    const Tokens tokens = counting(20);
    {
        auto state = cache->begin({}, tokens, 19);
        for (const uint32_t until : {4u, 8u, 12u}) {
            compute(*state, *cache, tokens, until);
            state->publish(tokens);
        }
    }
    EXPECT_EQ(cache->begin({}, tokens, 19)->position(), 12u);
    EXPECT_EQ(cache->begin({}, tokens, 11)->position(), 8u);
    run_and_publish(*cache, {}, counting(4, 50));  // takes the place of one
    EXPECT_EQ(cache->stats().evicted_checkpoints, 1u);
    EXPECT_EQ(cache->probe({}, tokens, 7).tokens, 0u);
    EXPECT_EQ(cache->probe({}, tokens, 11).tokens, 8u);
    EXPECT_EQ(cache->probe({}, tokens, 19).tokens, 12u);
}

TEST(KvCache, ARollingCheckpointReplacesTheLastOne) {
    const auto cache = make_cache({.recurrent_bytes = 8}, 16, 8);
    const Tokens tokens = counting(20);
    auto state = cache->begin({}, tokens, 19);
    compute(*state, *cache, tokens, 4);
    state->publish(tokens);
    for (const uint32_t until : {8u, 12u, 16u}) {
        compute(*state, *cache, tokens, until, Keep::Rolling);
        state->publish(tokens);
    }
    EXPECT_EQ(cache->usage().recurrent_evictable, 2u);
    EXPECT_EQ(cache->probe({}, tokens, 15).tokens, 4u);
    EXPECT_EQ(cache->probe({}, tokens, 16).tokens, 16u);
}

TEST(KvCache, BeginsNothingWhenEverySlotRuns) {
    const auto cache = make_cache({.recurrent_bytes = 8}, 16, 2);
    const Tokens tokens = counting(8);
    run_and_publish(*cache, {}, tokens);
    auto one = cache->begin({}, counting(8, 50), 7);  // takes the free slot
    auto two = cache->begin({}, tokens, 7);           // takes the checkpoint's
    EXPECT_EQ(two->position(), 0u);
    EXPECT_FALSE(cache->begin({}, tokens, 7));
}

class KvCacheRollback : public testing::TestWithParam<Shape> {};

TEST_P(KvCacheRollback, RemembersAsIfTheDraftHadNeverBeen) {
    const auto cache = make_cache(GetParam(), 40, 6);
    for (const bool published : {false, true}) {
        for (uint32_t at = 0; at < 12; ++at) {
            const Tokens tokens = counting(24, 1000 * (at + 1) + (published ? 500 : 0));
            auto state = cache->begin({}, tokens, 23);
            if (at > 0) {
                compute(*state, *cache, tokens, at);
            }
            Tokens draft = tokens;
            for (uint32_t i = at; i < 24; ++i) {
                draft[i] += 70000;  // of no other turn's tokens
            }
            auto snapshot = state->snapshot();
            ASSERT_TRUE(snapshot);
            compute(*state, *cache, draft, at + 8);
            if (published) {
                state->publish(draft);
            }
            ASSERT_TRUE(state->rollback(std::move(*snapshot)));
            ASSERT_EQ(state->position(), at);
            expect_remembers(*state, *cache, tokens);
            compute(*state, *cache, tokens, 24);
            state->publish(tokens);
            expect_remembers(*state, *cache, tokens);
            // What the draft put into the tree is still the draft's.
            auto other = cache->begin({}, draft, 23);
            expect_remembers(*other, *cache, draft);
        }
    }
    cache->drop_prefixes();
    EXPECT_EQ(cache->usage().blocks_free, cache->usage().blocks_total);
    EXPECT_EQ(cache->usage().recurrent_free, cache->usage().recurrent_total);
}

constexpr Shape kShapes[] = {
    {.full = true},
    {.full = false, .window = 5},
    {.full = true, .window = 5},
    {.full = true, .recurrent_bytes = 8},
    {.full = true, .window = 7, .recurrent_bytes = 8},
    {.full = false, .recurrent_bytes = 8},
    {.full = true, .window = 6, .window_stands = true},
};
INSTANTIATE_TEST_SUITE_P(Shapes, KvCacheRollback, testing::ValuesIn(kShapes));

struct Running {
    SequenceState state;
    Tokens tokens;
};

// A seeded history of everything at once: whatever was restored, shared, evicted and rolled back,
// each sequence remembers its own tokens, no block leaks, and `available` is what can be had.
class KvCacheHistory : public testing::TestWithParam<Shape> {};

TEST_P(KvCacheHistory, NeverForgetsLeaksOrMixesUp) {
    for (uint32_t seed = 0; seed < 60; ++seed) {
        SCOPED_TRACE(seed);
        std::mt19937 random(seed);
        const auto draw = [&](uint32_t below) {
            return static_cast<uint32_t>(random() % below);
        };
        const auto cache = make_cache(GetParam(), 24, 6);
        std::list<Running> running;
        for (uint32_t step = 0; step < 150; ++step) {
            const uint32_t what = draw(10);
            if (what < 3 && running.size() < 4) {
                Tokens tokens(8 + draw(24));
                for (TokenId& token : tokens) {
                    token = draw(8) == 0 ? 1 : 0;  // long common beginnings
                }
                const PrefixKey key{.tenant = draw(4) == 0 ? "a" : "b"};
                const auto reuse = static_cast<uint32_t>(tokens.size()) - 1;
                const uint32_t before = cache->usage().blocks_available();
                const auto probe = cache->probe(key, tokens, reuse);
                const uint32_t slots_before = cache->usage().recurrent_available();
                auto state = cache->begin(key, tokens, reuse);
                ASSERT_EQ(state.has_value(),
                          cache->spec().recurrent_bytes == 0 || slots_before > 0);
                if (state) {
                    if (state->position() == probe.tokens) {  // not when its slot cost a checkpoint
                        ASSERT_EQ(before - cache->usage().blocks_available(),
                                  probe.evictable_blocks);
                    }
                    expect_remembers(*state, *cache, tokens);
                    running.push_back({std::move(*state), std::move(tokens)});
                }
            } else if (!running.empty()) {
                auto one = running.begin();
                std::advance(one, draw(static_cast<uint32_t>(running.size())));
                const auto left = static_cast<uint32_t>(one->tokens.size()) - one->state.position();
                if (what < 4 || left == 0) {
                    one->state.publish(one->tokens);
                    const uint32_t available = cache->usage().blocks_available();
                    const uint32_t reclaimable = one->state.reclaimable_blocks();
                    running.erase(one);
                    ASSERT_EQ(cache->usage().blocks_available(), available + reclaimable);
                    continue;
                }
                const uint32_t until = one->state.position() + 1 + draw(left);
                const uint32_t needed = one->state.blocks_needed(until);
                const uint32_t available = cache->usage().blocks_available();
                if (!one->state.reserve(until)) {
                    ASSERT_GT(needed, available);
                    continue;
                }
                compute(one->state, *cache, one->tokens, until,
                        draw(3) == 0 ? std::nullopt
                                     : std::optional(draw(2) == 0 ? Keep::Durable : Keep::Rolling));
                if (draw(2) == 0) {
                    one->state.publish(one->tokens);
                }
            }
            for (Running& each : running) {
                expect_remembers(each.state, *cache, each.tokens);
            }
        }
        running.clear();
        EXPECT_EQ(cache->usage().blocks_available(), cache->usage().blocks_total);
        cache->drop_prefixes();
        EXPECT_EQ(cache->usage().blocks_free, cache->usage().blocks_total);
        EXPECT_EQ(cache->usage().recurrent_free, cache->usage().recurrent_total);
    }
}

INSTANTIATE_TEST_SUITE_P(Shapes, KvCacheHistory, testing::ValuesIn(kShapes));

TEST(KvCache, ReservesExactlyWhatItSays) {
    const StateSpec spec = make_spec({.full = true, .window = 6, .recurrent_bytes = 100});
    // 1 head * (2 + 2) numbers * 4 tokens * 4 bytes = 64; slots are rounded up to 128.
    EXPECT_EQ(reserved_bytes(spec, {.blocks = 10, .recurrent_slots = 3}), 10 * 64u + 3 * 128u);
}

// WEIR_SANITIZED: the sanitizers have allocators of their own, which mallinfo2 does not see.
#ifndef WEIR_SANITIZED
TEST(KvCache, ItsTablesTakeNoMoreThanWasSaid) {
    for (const Shape& shape : {Shape{}, Shape{.full = true, .window = 40, .recurrent_bytes = 16}}) {
        const StateSpec spec = make_spec(shape);
        const uint32_t blocks = 2'000 * static_cast<uint32_t>(spec.groups.size());
        const KvLimits limits{.blocks = blocks, .recurrent_slots = 3'000};
        const Tokens tokens = counting(2'000 * kBlock);
        const size_t before = mallinfo2().uordblks;
        const auto cache = *KvCache::create(spec, limits);
        auto state = *cache->begin({}, tokens, 0);
        for (uint32_t at = 40; at <= tokens.size(); at += 40) {
            compute(state, *cache, tokens, at);
            state.publish(tokens);
        }
        const uint64_t taken = mallinfo2().uordblks - before;
        const uint64_t said = table_bytes(spec, limits);
        EXPECT_LE(taken, said);
        EXPECT_GT(taken, said / 3);  // and not much less
    }
}
#endif

TEST(KvCache, EightBitsTakeAScaleForEach32Numbers) {
    StateSpec spec{.kv_dtype = tensor::DType::Q8_0, .block_tokens = 16};
    spec.groups.push_back({.layers = {0, 1}, .kv_heads = 2, .key_dim = 64, .value_dim = 40});
    // 64 and 2 scales of 4 bytes, 40 and 2 scales; 2 heads; 16 tokens; 2 layers.
    EXPECT_EQ(pool_block_bytes(spec), (64 + 8 + 40 + 8) * 2 * 16 * 2u);
}

TEST(KvCache, RefusesASpecThatNoModelCanMean) {
    StateSpec spec = make_spec({});
    spec.block_tokens = 0;
    EXPECT_EQ(KvCache::create(spec, {.blocks = 1}).error().code, ErrorCode::DataCorrupt);
    spec = make_spec({});
    spec.groups[0].window_tokens = 0;
    EXPECT_EQ(KvCache::create(spec, {.blocks = 1}).error().code, ErrorCode::DataCorrupt);
    spec = make_spec({});
    spec.kv_dtype = tensor::DType::Q4_0;
    EXPECT_EQ(KvCache::create(spec, {.blocks = 1}).error().code, ErrorCode::Unsupported);
}

}  // namespace
}  // namespace weir::kv
