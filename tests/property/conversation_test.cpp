// A conversation's next turn computes what is new and at most one block, and says what a cold run
// says, to the bit: with real models of every kind of memory. src/engine/conversation_test.cpp has
// the bookkeeping alone.

#include "engine/testing/conversation.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "kernels/kernel_set.h"
#include "kernels/thread_pool.h"
#include "kv/kv_cache.h"
#include "model/load.h"
#include "model/testing/temporary_folder.h"
#include "model/testing/tiny_hybrid.h"
#include "model/testing/tiny_mixture.h"
#include "model/testing/tiny_model.h"

namespace weir::engine::testing {
namespace {

using model::testing::HybridFamily;
using model::testing::MixtureFamily;
using model::testing::TinyHybrid;
using model::testing::TinyMixture;
using model::testing::TinyModel;

// Blocks have 16 tokens: ten turns of these are some 600 tokens.
constexpr uint32_t kContext = 1024;

enum class Room : uint8_t { Ample, Tight };

void expect_nothing_forgotten(const model::ModelSource::Pointer& source, Room room = Room::Ample) {
    kernels::ThreadPool pool(2);
    const auto model = model::load_model(source, {}, {*kernels::available_kernels().back(), pool});
    ASSERT_TRUE(model) << model.error().message;
    for (const uint32_t rewritten : {0u, 9u}) {
        const auto wrong = first_turn_that_forgets(
            **model,
            {.rewritten_tokens_max = rewritten, .beside = 1, .tight = room == Room::Tight});
        ASSERT_TRUE(wrong) << wrong.error().message;
        EXPECT_FALSE(wrong->has_value()) << **wrong;
    }
}

TEST(ConversationsOverRealModels, Llama) {
    const auto bytes = model::testing::tiny_gguf({.context = kContext});
    expect_nothing_forgotten(*model::ModelSource::from_bytes(bytes));
}

TEST(ConversationsOverRealModels, Windows) {
    const model::testing::TemporaryFolder folder;
    model::testing::write_tiny_folder({.layers = 3, .context = kContext, .window = 19},
                                      folder.path());
    expect_nothing_forgotten(*model::ModelSource::open(folder.path()));
}

// What the windows of the one conversation have passed makes room for the other's.
TEST(ConversationsOverRealModels, WindowsWhereThereIsNoRoomForWhatTheyHavePassed) {
    const auto bytes = model::testing::tiny_gguf(
        {.family = "gemma3_text", .layers = 6, .context = kContext, .window = 19});
    expect_nothing_forgotten(*model::ModelSource::from_bytes(bytes), Room::Tight);
}

TEST(ConversationsOverRealModels, WindowsOfGemma3) {
    const auto bytes = model::testing::tiny_gguf({.family = "gemma3_text",
                                                  .layers = 7,
                                                  .context = kContext,
                                                  .window = 19,
                                                  .rope = model::testing::TinyRope::Linear});
    expect_nothing_forgotten(*model::ModelSource::from_bytes(bytes));
}

// Windows, layers that see all with heads of their own, experts beside the dense layer.
TEST(ConversationsOverRealModels, ExpertsOfGemma4) {
    const auto bytes = model::testing::tiny_gguf(
        {.family = "gemma4_text experts", .layers = 3, .context = kContext, .window = 19});
    expect_nothing_forgotten(*model::ModelSource::from_bytes(bytes));
}

// Windows and sinks by turns, and experts.
TEST(ConversationsOverRealModels, ExpertsOfGptOss) {
    TinyMixture shape(MixtureFamily::GptOss);
    shape.layers = 2;
    shape.context = kContext;
    shape.window = 19;
    const auto bytes = model::testing::mixture_gguf(shape);
    expect_nothing_forgotten(*model::ModelSource::from_bytes(bytes));
}

TEST(ConversationsOverRealModels, Hybrids) {
    for (const TinyHybrid& shape :
         {TinyHybrid{.family = HybridFamily::Qwen3Next, .context = kContext},
          TinyHybrid{.context = kContext},
          TinyHybrid{.layers = 2, .experts = 5, .context = kContext}}) {
        const auto bytes = model::testing::hybrid_gguf(shape);
        expect_nothing_forgotten(*model::ModelSource::from_bytes(bytes));
    }
}

// The logits of the last token, with as few blocks as a sequence needs.
std::vector<float> last_logits(model::Model& model, const std::vector<TokenId>& tokens) {
    const kv::StateSpec& spec = model.state_spec();
    const auto blocks = kv::worst_case_blocks(spec, static_cast<uint32_t>(tokens.size()), 32);
    const auto cache = kv::KvCache::create(spec, {.blocks = static_cast<uint32_t>(blocks)}).value();
    auto state = cache->begin({}, tokens, 0).value();
    std::vector<float> logits(model.info().vocabulary);
    for (uint32_t at = 0; at < tokens.size(); at += 32) {
        const auto count = std::min<uint32_t>(32, static_cast<uint32_t>(tokens.size()) - at);
        EXPECT_TRUE(state.reserve(at + count));  // what the window has passed is given back
        const model::SequenceSlice slice{std::span(tokens).subspan(at, count), at, state.view(),
                                         model::LogitsWanted::Last};
        EXPECT_TRUE(model.forward(std::span(&slice, 1), logits));
        state.advance(count);
    }
    return logits;
}

// Where every layer sees a window, a row depends on layers * (window - 1) tokens before it.
TEST(ConversationsOverRealModels, WhatNoWindowReachesDoesNotShowInTheBits) {
    constexpr uint32_t kWindow = 19;
    constexpr uint32_t kLayers = 3;
    const TinyModel shape{
        .layers = kLayers, .context = kContext, .window = kWindow, .window_everywhere = true};
    const model::testing::TemporaryFolder folder;
    model::testing::write_tiny_folder(shape, folder.path());
    const auto source = model::ModelSource::open(folder.path());
    ASSERT_TRUE(source) << source.error().message;
    kernels::ThreadPool pool(2);
    const auto model = model::load_model(*source, {}, {*kernels::available_kernels().back(), pool});
    ASSERT_TRUE(model) << model.error().message;

    std::vector<TokenId> tokens(300);
    std::iota(tokens.begin(), tokens.end(), 0u);
    for (TokenId& token : tokens) {
        token = token * 37 % shape.vocabulary;
    }
    const size_t reach = kLayers * (kWindow - 1);  // tokens before the last that it depends on
    const std::vector<float> expected = last_logits(**model, tokens);
    std::vector<TokenId> other = tokens;
    for (size_t i = 0; i + reach + 1 < tokens.size(); ++i) {
        other[i] = (other[i] + 1 + static_cast<TokenId>(i % 7)) % shape.vocabulary;
    }
    const std::vector<float> got = last_logits(**model, other);
    EXPECT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0);
    ++other[tokens.size() - reach - 1];  // the first that can be seen
    const std::vector<float> seen = last_logits(**model, other);
    EXPECT_NE(std::memcmp(seen.data(), expected.data(), seen.size() * sizeof(float)), 0);
}

}  // namespace
}  // namespace weir::engine::testing
