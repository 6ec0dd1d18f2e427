#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>

#include "json/parse.h"
#include "model/config.h"
#include "model/family.h"
#include "model/testing/gguf_writer.h"

// What the families make of their published configurations. That the numbers then mean what they
// should, decoder_test.cpp shows on tiny models.
namespace weir::model {
namespace {

using testing::GgufWriter;
using ::testing::HasSubstr;

Result<TransformerConfig> from_json(std::string_view text) {
    const auto value = json::parse(text);
    EXPECT_TRUE(value.has_value()) << text;
    return config_from_json(*value->if_object());
}

std::string shape_of(std::string_view type, std::string_view more) {
    return R"({"num_hidden_layers": 8, "hidden_size": 64, "intermediate_size": 96,
        "num_attention_heads": 4, "head_dim": 16, "vocab_size": 100,
        "max_position_embeddings": 512, "model_type": ")" +
           std::string(type) + "\", " + std::string(more) + "}";
}

std::string refusal(const std::string& text) {
    const auto config = from_json(text);
    EXPECT_FALSE(config.has_value()) << text;
    return config ? "accepted" : config.error().message;
}

// The 4B's as it was first published: what Gemma3TextConfig has by default is left out.
TEST(Gemma3, OldFilesLeaveOutWhatTheirClassHas) {
    const auto config = from_json(R"({"model_type": "gemma3", "vision_config": {},
        "text_config": {"model_type": "gemma3_text", "hidden_size": 2560, "sliding_window": 1024,
            "intermediate_size": 10240, "num_hidden_layers": 34,
            "rope_scaling": {"factor": 8.0, "rope_type": "linear"}}})");
    ASSERT_TRUE(config.has_value()) << config.error().message;
    EXPECT_EQ(config->heads, 8u);
    EXPECT_EQ(config->kv_heads, 4u);
    EXPECT_EQ(config->head_dim, 256u);
    EXPECT_EQ(config->vocabulary, 262208u);
    EXPECT_EQ(config->context_tokens, 131072u);
    EXPECT_EQ(config->norm_epsilon, 1e-6f);
    EXPECT_EQ(config->layer[4].visible, Visibility::window(1024));
    EXPECT_EQ(config->layer[5].visible, Visibility::all());
    ASSERT_EQ(config->ropes.size(), 2u);
    EXPECT_EQ(config->ropes[*config->layer[5].rope].theta, 1e6);
    EXPECT_EQ(std::get<LinearScaling>(config->ropes[*config->layer[5].rope].scaling).factor, 8);
    EXPECT_EQ(config->ropes[*config->layer[4].rope].theta, 1e4);
    EXPECT_EQ(config->ropes[*config->layer[4].rope].scaling.index(), 0u);
    EXPECT_DOUBLE_EQ(config->attention_scale, 1.0 / 16);
}

TEST(Gemma3, NewFilesHaveARopeForEachTypeOfLayer) {
    const auto config = from_json(shape_of("gemma3_text", R"("sliding_window": 32,
        "sliding_window_pattern": 2, "rope_parameters": {
            "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 500000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 20000.0}})"));
    ASSERT_TRUE(config.has_value()) << config.error().message;
    EXPECT_EQ(config->ropes[*config->layer[0].rope].theta, 20000);
    EXPECT_EQ(config->ropes[*config->layer[1].rope].theta, 500000);
    EXPECT_EQ(config->ropes[1].pairs, kernels::RopePairs::Halves);
}

// GGUF has no key for the scale of the 27B: 5376 / 32 = 168.
TEST(Gemma3, TheScaleOf27bFollowsFromItsLayers) {
    GgufWriter writer;
    writer.add_text("general.architecture", "gemma3");
    writer.add_u32("gemma3.block_count", 62).add_u32("gemma3.context_length", 131072);
    writer.add_u32("gemma3.embedding_length", 5376).add_u32("gemma3.feed_forward_length", 21504);
    writer.add_u32("gemma3.attention.head_count", 32).add_u32("gemma3.attention.key_length", 128);
    writer.add_u32("gemma3.attention.value_length", 128).add_u32("gemma3.vocab_size", 1000);
    writer.add_f32("gemma3.attention.layer_norm_rms_epsilon", 1e-6f);
    const auto bytes = writer.finish();
    const auto config = config_from_gguf(*GgufFile::parse(bytes));
    ASSERT_TRUE(config.has_value()) << config.error().message;
    EXPECT_NEAR(config->attention_scale, 0.077152, 1e-6);
    EXPECT_EQ(config->layer[0].visible, Visibility::all());  // no window said: none
}

TEST(Gemma2, NullSwitchesACapOffAndAbsenceDoesNot) {
    EXPECT_EQ(from_json(shape_of("gemma2", R"("query_pre_attn_scalar": 144)"))->logit_soft_cap,
              30.0f);
    const auto off = from_json(
        shape_of("gemma2", R"("attn_logit_softcapping": null, "final_logit_softcapping": null)"));
    EXPECT_EQ(off->logit_soft_cap, 0.0f);
    EXPECT_EQ(off->attention_soft_cap, 0.0f);
    EXPECT_THAT(refusal(shape_of("gemma2", R"("use_bidirectional_attention": true)")),
                HasSubstr("use_bidirectional_attention"));
}

TEST(Gemma4, SharingLayersReadTheLastOfTheirKind) {
    const auto config = from_json(shape_of("gemma4_text", R"("sliding_window": 32,
        "sliding_window_pattern": 3, "num_kv_shared_layers": 4, "global_head_dim": 32,
        "use_double_wide_mlp": true)"));
    ASSERT_TRUE(config.has_value()) << config.error().message;
    EXPECT_EQ(config->layer[3].kv_of, std::nullopt);
    EXPECT_EQ(config->layer[4].kv_of, 3u);
    EXPECT_EQ(config->layer[5].kv_of, 2u);  // sees everything, as the third does
    EXPECT_EQ(config->layer[7].kv_of, 3u);
    EXPECT_EQ(config->layer[7].feed_forward, 192u);
    EXPECT_EQ(config->layer[5].head_dim, 32u);
    EXPECT_THAT(refusal(shape_of("gemma4_text", R"("num_kv_shared_layers": 8)")),
                HasSubstr("share the keys"));
    EXPECT_THAT(refusal(shape_of("gemma4_text", R"("sliding_window": 32,
        "per_layer_config": {"8": {"head_dim": 32}})")),
                HasSubstr("per_layer_config.8"));
}

// 131072 / 4096: sqrt(1 + ln 32 / ln 4096).
TEST(Phi3, LongropeStretchesAndGrows) {
    const auto config = from_json(R"({"num_hidden_layers": 2, "hidden_size": 64,
        "intermediate_size": 96, "num_attention_heads": 8, "vocab_size": 100,
        "max_position_embeddings": 131072, "original_max_position_embeddings": 4096,
        "partial_rotary_factor": 0.5, "model_type": "phi3",
        "rope_scaling": {"type": "su", "short_factor": [1.0, 1.5], "long_factor": [2, 4.5]}})");
    ASSERT_TRUE(config.has_value()) << config.error().message;
    EXPECT_EQ(config->ropes[0].rotary_dim, 4u);
    const auto& longrope = std::get<LongropeScaling>(config->ropes[0].scaling);
    EXPECT_EQ(longrope.original_context, 4096u);
    EXPECT_NEAR(longrope.attention_factor, 1.190238, 1e-6);
    EXPECT_EQ(longrope.long_divisors, (std::vector<float>{2, 4.5f}));
    EXPECT_EQ(config->context_tokens, 131072u);
}

TEST(Cohere2, OnlyWindowedLayersAreRotated) {
    const auto config = from_json(shape_of("cohere2", R"("sliding_window": 32)"));
    ASSERT_TRUE(config.has_value()) << config.error().message;
    for (uint32_t i = 0; i < 8; ++i) {
        const bool global = (i + 1) % 4 == 0;
        EXPECT_EQ(config->layer[i].rope.has_value(), !global);
        EXPECT_EQ(config->layer[i].visible.sight, global ? Sight::All : Sight::Window);
    }
    EXPECT_EQ(config->output_matrix, OutputMatrix::OwnIfPresent);
}

TEST(Ministral3, IsFoundInsideItsMultimodalFolder) {
    const auto config = from_json(R"({"model_type": "mistral3", "vision_config": {},
        "text_config": )" + shape_of("ministral3", R"("rope_parameters": {"rope_type": "yarn",
            "rope_theta": 1e6, "factor": 16.0, "original_max_position_embeddings": 32,
            "mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.1})") +
                                  "}");
    ASSERT_TRUE(config.has_value()) << config.error().message;
    EXPECT_EQ(config->architecture, "mistral3");
    ASSERT_TRUE(config->temperature.has_value());
    EXPECT_EQ(config->temperature->length, 32u);
    EXPECT_EQ(std::get<YarnScaling>(config->ropes[0].scaling).attention_factor, 1);
}

TEST(Granite, FactorsThatAreMissingAreOne) {
    const auto config = from_json(shape_of("granite", R"("logits_scaling": 8)"));
    ASSERT_TRUE(config.has_value()) << config.error().message;
    EXPECT_EQ(config->logit_scale, 0.125f);
    EXPECT_EQ(config->attention_scale, 1);
    EXPECT_EQ(config->embedding_scale, 1);
    EXPECT_EQ(config->residual_scale, 1.0f);
    EXPECT_THAT(refusal(shape_of("granite", R"("logits_scaling": 0)")),
                HasSubstr("logits_scaling"));
}

TEST(StableLm, RotatesAQuarterWhereNothingIsSaid) {
    const auto config = from_json(shape_of("stablelm", R"("use_qkv_bias": false)"));
    ASSERT_TRUE(config.has_value()) << config.error().message;
    EXPECT_EQ(config->ropes[0].rotary_dim, 4u);
    EXPECT_EQ(config->qkv_bias, BiasRule::Never);
    EXPECT_EQ(from_json(shape_of("stablelm", R"("rope_parameters": {"rope_type": "default",
                                 "partial_rotary_factor": 0.5})"))
                  ->ropes[0]
                  .rotary_dim,
              8u);
}

TEST(Gemma4, ExpertsNeedTheirNumbers) {
    EXPECT_THAT(refusal(shape_of("gemma4_text", R"("enable_moe_block": true)")),
                HasSubstr("num_experts"));
    EXPECT_THAT(refusal(shape_of("gemma4_text", R"("enable_moe_block": true, "num_experts": 4)")),
                HasSubstr("top_k_experts"));
    EXPECT_THAT(refusal(shape_of("gemma4_text", R"("enable_moe_block": true, "num_experts": 4,
                                 "top_k_experts": 5, "moe_intermediate_size": 32)")),
                HasSubstr("5 of 4 experts"));
    const auto dense = from_json(shape_of("gemma4_text", R"("num_experts": null)"));
    ASSERT_TRUE(dense.has_value()) << dense.error().message;
    EXPECT_FALSE(dense->moe.has_value());
}

// As published: no layer is dense, so that nothing says how wide one is.
TEST(Qwen35Moe, HasNoWidthButThatOfItsExperts) {
    const auto config = from_json(R"({"model_type": "qwen3_5_moe", "vision_config": {},
        "text_config": {"model_type": "qwen3_5_moe_text", "num_hidden_layers": 8,
            "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2,
            "vocab_size": 100, "max_position_embeddings": 512, "num_experts": 16,
            "num_experts_per_tok": 4, "moe_intermediate_size": 32,
            "shared_expert_intermediate_size": 48}})");
    ASSERT_TRUE(config.has_value()) << config.error().message;
    EXPECT_EQ(config->architecture, "qwen35moe");
    EXPECT_EQ(config->moe->router.experts, 16u);
    EXPECT_EQ(config->moe->router.chosen, 4u);
    EXPECT_TRUE(config->moe->router.normalize);
    EXPECT_EQ(config->moe->shared_width, 48u);
    EXPECT_TRUE(config->moe->layers[7]);
    EXPECT_FALSE(config->delta_net->layers[7]);
    EXPECT_EQ(config->head_dim, 256u);
}

TEST(Qwen3Next, SaysWhichLayersHaveExpertsAndWhetherTheyAreWeighedAgain) {
    const auto config = from_json(shape_of("qwen3_next", R"("num_experts": 16,
        "decoder_sparse_step": 2, "mlp_only_layers": [3], "norm_topk_prob": false)"));
    ASSERT_TRUE(config.has_value()) << config.error().message;
    EXPECT_EQ(config->moe->layers,
              (std::vector<bool>{false, true, false, false, false, true, false, true}));
    EXPECT_FALSE(config->moe->router.normalize);
    EXPECT_EQ(config->moe->router.chosen, 10u);
    EXPECT_THAT(refusal(shape_of("qwen3_next", R"("num_experts": 16, "mlp_only_layers": [8])")),
                HasSubstr("mlp_only_layers[0]"));
}

// Converters have no feed_forward_length to write where config.json has no intermediate_size.
TEST(Qwen35Moe, AGgufMaySayTheExpertsWidthAlone) {
    GgufWriter writer;
    const std::string arch = "qwen35moe.";
    writer.add_text("general.architecture", "qwen35moe");
    writer.add_u32(arch + "block_count", 5).add_u32(arch + "context_length", 512);
    writer.add_u32(arch + "embedding_length", 64).add_u32(arch + "attention.head_count", 4);
    writer.add_u32(arch + "attention.key_length", 16).add_u32(arch + "vocab_size", 100);
    writer.add_u32(arch + "attention.value_length", 16).add_u32(arch + "expert_count", 8);
    writer.add_u32(arch + "expert_used_count", 2).add_u32(arch + "nextn_predict_layers", 1);
    writer.add_u32(arch + "expert_feed_forward_length", 32);
    writer.add_u32(arch + "expert_shared_feed_forward_length", 32);
    writer.add_f32(arch + "attention.layer_norm_rms_epsilon", 1e-6f);
    writer.add_u32(arch + "ssm.conv_kernel", 4).add_u32(arch + "ssm.state_size", 16);
    writer.add_u32(arch + "ssm.group_count", 2).add_u32(arch + "ssm.time_step_rank", 4);
    writer.add_u32(arch + "ssm.inner_size", 64).add_u32(arch + "rope.dimension_count", 4);
    const auto bytes = writer.finish();
    const auto config = config_from_gguf(*GgufFile::parse(bytes));
    ASSERT_TRUE(config.has_value()) << config.error().message;
    EXPECT_EQ(config->layers, 4u);  // the last one drafts
    EXPECT_EQ(config->moe->width, 32u);
    EXPECT_EQ(config->moe->layers, std::vector<bool>(4, true));
}

// A Gemma 4 whose layers all have the window, with more keys.
Result<TransformerConfig> gemma4_gguf(
    std::initializer_list<std::pair<const char*, uint32_t>> numbers) {
    GgufWriter writer;
    const std::string arch = "gemma4.";
    writer.add_text("general.architecture", "gemma4");
    writer.add_u32(arch + "block_count", 2).add_u32(arch + "context_length", 512);
    writer.add_u32(arch + "embedding_length", 64).add_u32(arch + "feed_forward_length", 96);
    writer.add_u32(arch + "attention.head_count", 4).add_u32(arch + "vocab_size", 100);
    writer.add_u32(arch + "attention.key_length_swa", 16);
    writer.add_u32(arch + "attention.value_length_swa", 16);
    writer.add_f32(arch + "attention.layer_norm_rms_epsilon", 1e-6f);
    for (const auto& [name, number] : numbers) {
        writer.add_u32(arch + name, number);
    }
    const auto bytes = writer.finish();
    return config_from_gguf(*GgufFile::parse(bytes));
}

TEST(Gemma4, ARopeThatIsNotByLayerTypeIsRefused) {
    for (const std::string name :
         {"rope_parameters", "rope_scaling", "rope_theta", "partial_rotary_factor"}) {
        const bool is_number = name == "rope_theta" || name == "partial_rotary_factor";
        const std::string value = is_number ? "0.5" : R"({"rope_type": "linear", "factor": 8.0})";
        EXPECT_THAT(refusal(shape_of("gemma4_text", "\"" + name + "\": " + value)),
                    HasSubstr("config.json." + name));
    }
    const auto nothing = from_json(shape_of("gemma4_text", R"("rope_scaling": null)"));
    ASSERT_TRUE(nothing.has_value()) << nothing.error().message;
    EXPECT_EQ(nothing->ropes[0].theta, 1e6);
    EXPECT_EQ(nothing->ropes[1].theta, 1e4);
}

TEST(Gemma4, HeadsThatTurnInPartAreRefused) {
    const auto whole = gemma4_gguf({{"attention.key_length", 32},
                                    {"attention.value_length", 32},
                                    {"rope.dimension_count", 32},
                                    {"rope.dimension_count_swa", 16}});
    ASSERT_TRUE(whole.has_value()) << whole.error().message;
    EXPECT_EQ(whole->ropes[1].rotary_dim, 16u);
    EXPECT_THAT(gemma4_gguf({{"rope.dimension_count", 8}}).error().message,
                HasSubstr("gemma4.rope.dimension_count:"));
    EXPECT_THAT(gemma4_gguf({{"rope.dimension_count_swa", 8}}).error().message,
                HasSubstr("gemma4.rope.dimension_count_swa"));
}

TEST(Families, ARopeOfNoLayerIsChecked) {
    const auto cohere = [](std::string_view divisors) {
        return shape_of("cohere2", R"("sliding_window": null, "rope_scaling": {"factor": 2.0,
            "rope_type": "longrope", "short_factor": )" +
                                       std::string(divisors) + R"(, "long_factor": )" +
                                       std::string(divisors) + "}");
    };
    EXPECT_THAT(refusal(cohere("[1]")), HasSubstr("1 longrope factors"));
    const auto unrotated = from_json(cohere("[1, 1, 1, 1, 1, 1, 1, 1]"));
    ASSERT_TRUE(unrotated.has_value()) << unrotated.error().message;
    EXPECT_FALSE(unrotated->layer[0].rope.has_value());
    const auto absurd = gemma4_gguf({{"attention.key_length", 4'000'000'000},
                                     {"attention.value_length", 4'000'000'000},
                                     {"attention.sliding_window_pattern", 0}});
    ASSERT_FALSE(absurd.has_value());
    EXPECT_THAT(absurd.error().message, HasSubstr("the head size is 4000000000"));
}

TEST(Families, EachIsKnownByEveryNameOnce) {
    for (const char* name : {"llama", "gemma4", "command-r", "bert", "qwen35moe", "qwen3next"}) {
        EXPECT_THAT(known_architectures(), HasSubstr(name));
        ASSERT_NE(find_family_of_gguf(name), nullptr);
    }
    std::set<std::string_view> architectures;
    std::set<std::string_view> types;
    for (const Family* family : known_families()) {
        for (const std::string_view name : family->gguf_architectures) {
            EXPECT_TRUE(architectures.insert(name).second) << name;
            EXPECT_EQ(find_family_of_gguf(name), family) << name;
        }
        for (const std::string_view name : family->model_types) {
            EXPECT_TRUE(types.insert(name).second) << name;
            EXPECT_EQ(find_family_of_json(name), family) << name;
        }
        // Without an architecture of its own it says whose files are its own.
        EXPECT_NE(family->gguf_architectures.empty(), family->architecture.empty());
        if (!family->architecture.empty()) {
            EXPECT_NE(find_family_of_gguf(family->architecture), nullptr) << family->architecture;
        }
    }
}

}  // namespace
}  // namespace weir::model
