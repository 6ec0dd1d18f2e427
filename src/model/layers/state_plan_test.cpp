#include "model/layers/state_plan.h"

#include <gtest/gtest.h>

namespace weir::model {
namespace {

StateNeed keeps(Visibility visible, uint32_t kv_heads = 2, uint32_t head_dim = 16) {
    return {
        .kv = KvNeed{
            .kv_heads = kv_heads, .key_dim = head_dim, .value_dim = head_dim, .visible = visible}};
}

StatePlan plan_of(const std::vector<StateNeed>& layers) {
    return plan_state(layers, tensor::DType::F16, 16);
}

TEST(StatePlan, KvBytesPerTokenOfPublishedModels) {
    const auto per_token = [](uint32_t layers, uint32_t kv_heads, uint32_t head_dim) {
        const auto plan = plan_of({layers, keeps(Visibility::all(), kv_heads, head_dim)});
        EXPECT_EQ(plan.spec.groups.size(), 1u);
        return kv::block_bytes(plan.spec, plan.spec.groups.front()) / 16;
    };
    EXPECT_EQ(per_token(16, 8, 64), 32u << 10);    // Llama 3.2 1B
    EXPECT_EQ(per_token(32, 8, 128), 128u << 10);  // Llama 3.1 8B
    EXPECT_EQ(per_token(28, 4, 128), 56u << 10);   // Qwen2.5 7B
    EXPECT_EQ(per_token(28, 8, 128), 112u << 10);  // Qwen3 0.6B
}

TEST(StatePlan, LayersThatSeeTheSameShareAGroup) {
    const StateNeed window = keeps(Visibility::window(128));
    const StateNeed full = keeps(Visibility::all());
    const StatePlan plan = plan_of({window, full, window, full});
    ASSERT_EQ(plan.spec.groups.size(), 2u);
    EXPECT_EQ(plan.spec.groups[0].window_tokens, 128u);
    EXPECT_EQ(plan.spec.groups[0].layers, (std::vector<uint32_t>{0, 2}));
    EXPECT_EQ(plan.spec.groups[1].window_tokens, std::nullopt);
    EXPECT_EQ(plan.spec.groups[1].layers, (std::vector<uint32_t>{1, 3}));
    EXPECT_EQ(plan.layers[2].group, 0u);
    EXPECT_EQ(plan.layers[2].kv_offset, kv::layer_block_bytes(plan.spec, plan.spec.groups[0]));
}

// A chunk keeps no more than a window of its size, but is another thing to see.
TEST(StatePlan, ChunksAreBoundedAsWindowsAre) {
    const StatePlan plan = plan_of({keeps({Sight::Chunk, 64}), keeps(Visibility::window(64))});
    ASSERT_EQ(plan.spec.groups.size(), 2u);
    EXPECT_EQ(plan.spec.groups[0].window_tokens, 64u);
    EXPECT_EQ(plan.spec.groups[1].window_tokens, 64u);
}

// Blocks have the size of the largest group's: five windowed layers beside each global one would
// make the global group waste four fifths of each of its blocks.
TEST(StatePlan, ManyLayersAreCutToTheSizeOfTheFew) {
    std::vector<StateNeed> layers;
    for (int i = 0; i < 12; ++i) {
        layers.push_back(keeps(i % 6 == 5 ? Visibility::all() : Visibility::window(64)));
    }
    const StatePlan plan = plan_of(layers);
    EXPECT_EQ(plan.spec.groups.size(), 6u);
    for (const kv::AttentionGroup& group : plan.spec.groups) {
        EXPECT_EQ(group.layers.size(), 2u);
    }
    EXPECT_TRUE(kv::validate(plan.spec).has_value());
}

TEST(StatePlan, NeverMoreGroupsThanACacheHas) {
    std::vector<StateNeed> layers(300, keeps(Visibility::window(64)));
    layers.push_back(keeps(Visibility::all()));
    const StatePlan plan = plan_of(layers);
    EXPECT_LE(plan.spec.groups.size(), kv::kGroupsMax);
    size_t placed = 0;
    for (const kv::AttentionGroup& group : plan.spec.groups) {
        placed += group.layers.size();
    }
    EXPECT_EQ(placed, layers.size());
}

TEST(StatePlan, ALayerThatReadsAnothersKeysIsWhereThatOneIs) {
    const StateNeed reads{.reads_layer = 1};
    const StatePlan plan = plan_of({keeps(Visibility::all()), keeps(Visibility::all()), reads});
    ASSERT_EQ(plan.spec.groups.size(), 1u);
    EXPECT_EQ(plan.spec.groups[0].layers, (std::vector<uint32_t>{0, 1}));
    EXPECT_EQ(plan.layers[2].kv_offset, plan.layers[1].kv_offset);
}

TEST(StatePlan, RecurrentStatesLieOneAfterTheOther) {
    const StatePlan plan =
        plan_of({{.recurrent_bytes = 100}, keeps(Visibility::all()), {.recurrent_bytes = 64}});
    EXPECT_EQ(plan.layers[0].recurrent_offset, 0u);
    EXPECT_EQ(plan.layers[2].recurrent_offset, 128u);
    EXPECT_EQ(plan.spec.recurrent_bytes, 192u);
}

}  // namespace
}  // namespace weir::model
