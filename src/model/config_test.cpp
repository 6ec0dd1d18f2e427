#include "model/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <limits>
#include <map>

#include "json/parse.h"
#include "model/rope.h"
#include "model/testing/gguf_writer.h"
#include "model/testing/tiny_model.h"

namespace weir::model {
namespace {

using testing::ByteBuilder;
using testing::GgufWriter;
using ::testing::HasSubstr;
using testing::TinyModel;
using testing::TinyRope;

// A Llama's metadata, with numbers replaced, left out (nothing), or more added by `more`.
struct GgufCase {
    std::string architecture = "llama";
    std::map<std::string, std::optional<uint32_t>> numbers;
    std::function<void(GgufWriter&)> more;

    Result<TransformerConfig> read() const {
        std::map<std::string, std::optional<uint32_t>> all = {{"block_count", 2},
                                                              {"context_length", 512},
                                                              {"embedding_length", 64},
                                                              {"feed_forward_length", 96},
                                                              {"attention.head_count", 4},
                                                              {"vocab_size", 100},
                                                              {"attention.head_count_kv", 2}};
        for (const auto& [name, value] : numbers) {
            all[name] = value;
        }
        GgufWriter writer;
        writer.add_text("general.architecture", architecture);
        for (const auto& [name, value] : all) {
            if (value) {
                writer.add_u32(architecture + "." + name, *value);
            }
        }
        writer.add_f32(architecture + ".attention.layer_norm_rms_epsilon", 1e-5f);
        if (more) {
            more(writer);
        }
        const auto bytes = writer.finish();
        const auto file = GgufFile::parse(bytes);
        EXPECT_TRUE(file.has_value()) << file.error().message;
        return config_from_gguf(*file);
    }

    std::string refusal() const {
        const auto config = read();
        EXPECT_FALSE(config.has_value());
        return config ? "accepted" : config.error().message;
    }
};

// The same with one number replaced, or left out.
GgufCase with(std::string name, std::optional<uint32_t> value) {
    return {.numbers = {{std::move(name), value}}};
}

Result<TransformerConfig> from_json(std::string_view text) {
    const auto value = json::parse(text);
    EXPECT_TRUE(value.has_value()) << text;
    return config_from_json(*value->if_object());
}

// A Llama's config.json with more members.
std::string llama_json(std::string_view more, std::string_view type = "llama") {
    return std::string(R"({"num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 96,
        "num_attention_heads": 4, "vocab_size": 100, "max_position_embeddings": 512,
        "model_type": ")") +
           std::string(type) + "\"" + (more.empty() ? "" : ", ") + std::string(more) + "}";
}

using Windows = std::vector<std::optional<uint32_t>>;

// Nothing: the layer sees everything.
Windows windows(const TransformerConfig& config) {
    Windows out;
    for (const LayerConfig& layer : config.layer) {
        const bool sliding = layer.visible.sight == Sight::Window;
        out.push_back(sliding ? std::optional(layer.visible.tokens) : std::nullopt);
    }
    return out;
}

std::string json_refusal(std::string_view more, std::string_view type = "llama") {
    const auto config = from_json(llama_json(more, type));
    EXPECT_FALSE(config.has_value()) << more;
    return config ? "accepted" : config.error().message;
}

TEST(ConfigGguf, ReadsTheShape) {
    const auto config = GgufCase().read();
    ASSERT_TRUE(config.has_value()) << config.error().message;
    EXPECT_EQ(config->layers, 2u);
    EXPECT_EQ(config->hidden, 64u);
    EXPECT_EQ(config->head_dim, 16u);
    EXPECT_EQ(config->kv_heads, 2u);
    EXPECT_EQ(config->context_tokens, 512u);
    EXPECT_EQ(config->ropes[0].theta, 10000.0);
    EXPECT_EQ(config->ropes[0].rotary_dim, 16u);
    EXPECT_EQ(config->ropes[0].pairs, kernels::RopePairs::Adjacent);
    EXPECT_EQ(windows(*config), Windows(2));
}

TEST(ConfigGguf, HeadSizeNeedNotFollowFromTheHiddenSize) {
    const GgufCase explicit_size{
        .numbers = {{"attention.key_length", 24}, {"attention.value_length", 24}}};
    EXPECT_EQ(explicit_size.read()->head_dim, 24u);
    const GgufCase two_sizes{
        .numbers = {{"attention.key_length", 24}, {"attention.value_length", 16}}};
    EXPECT_THAT(two_sizes.refusal(), HasSubstr("llama.attention.value_length"));
}

TEST(ConfigGguf, KvHeadsDefaultToHeads) {
    EXPECT_EQ(with("attention.head_count_kv", std::nullopt).read()->kv_heads, 4u);
}

TEST(ConfigGguf, VocabularyDefaultsToTheTokens) {
    const std::vector<std::string> tokens = {"a", "b", "c"};
    const GgufCase tokens_only{.numbers = {{"vocab_size", std::nullopt}},
                               .more = [&](GgufWriter& out) {
                                   out.add_texts("tokenizer.ggml.tokens", tokens);
                               }};
    EXPECT_EQ(tokens_only.read()->vocabulary, 3u);
    EXPECT_THAT(with("vocab_size", std::nullopt).refusal(), HasSubstr("llama.vocab_size"));
}

TEST(ConfigGguf, AMissingKeyIsNamed) {
    for (const char* name : {"block_count", "context_length", "embedding_length",
                             "feed_forward_length", "attention.head_count"}) {
        EXPECT_THAT(with(name, std::nullopt).refusal(), HasSubstr(name));
    }
}

TEST(ConfigGguf, MF6_MoreLayersThanTheMaximum) {
    EXPECT_THAT(with("block_count", kLayersMax + 1).refusal(), HasSubstr("layers"));
    EXPECT_THAT(with("block_count", 0xffffffff).refusal(), HasSubstr("layers"));
}

TEST(ConfigGguf, AbsurdShapesAreRefused) {
    const std::map<std::string, std::vector<uint32_t>> bad = {
        {"block_count", {0}},
        {"embedding_length", {0, 0xffffffff, 66}},  // 66 is no multiple of 4 heads
        {"feed_forward_length", {0, 0xffffffff}},
        {"attention.head_count", {0, 3, 0xffffffff}},
        {"attention.head_count_kv", {0, 3, 8, 0xffffffff}},
        {"attention.key_length", {0, 15, 0xffffffff}},
        {"context_length", {0, 0xffffffff}},
        {"vocab_size", {0, 0xffffffff}},
        {"rope.dimension_count", {0, 7, 18, 0xffffffff}}};
    for (const auto& [name, values] : bad) {
        for (const uint32_t value : values) {
            EXPECT_FALSE(with(name, value).read().has_value()) << name << " " << value;
        }
    }
}

TEST(ConfigGguf, OneNumberALayerIsThatLayers) {
    const auto with_array = [](std::vector<int32_t> values) {
        return GgufCase{.numbers = {{"attention.head_count_kv", std::nullopt}},
                        .more = [values](GgufWriter& out) {
                            out.add_ints("llama.attention.head_count_kv", values);
                        }};
    };
    EXPECT_EQ(with_array({2, 2}).read()->layer[1].kv_heads, 2u);
    EXPECT_EQ(with_array({2, 4}).read()->layer[1].kv_heads, 4u);
    EXPECT_FALSE(with_array({2, 3}).read().has_value());  // of 4 heads
    for (const std::vector<int32_t>& other_length : {std::vector<int32_t>{}, {2}, {2, 2, 2}}) {
        EXPECT_THAT(with_array(other_length).refusal(), HasSubstr("llama.attention.head_count_kv"));
    }
    const GgufCase heads{.numbers = {{"attention.head_count", std::nullopt}},
                         .more = [](GgufWriter& out) {
                             out.add_ints("llama.attention.head_count", std::array{4, 8});
                         }};
    EXPECT_THAT(heads.refusal(), HasSubstr("llama.attention.head_count"));
}

TEST(ConfigGguf, UnknownArchitecturesAreNamed) {
    const std::string said = GgufCase{.architecture = "mamba"}.refusal();
    EXPECT_THAT(said, HasSubstr("\"mamba\""));
    EXPECT_THAT(said, HasSubstr("llama, "));  // which are known
}

TEST(ConfigGguf, KeysThatMightChangeTheResultsAreRefusedByName) {
    for (const char* name :
         {"attn_logit_softcapping", "expert_group_count", "attention.indexer.top_k",
          "hyper_connection.rate", "nextn_predict_layers", "a_key_of_tomorrow",
          "attention.temperature_scale", "rope.dimension_sections"}) {
        EXPECT_THAT(with(name, 2).refusal(), HasSubstr(name));
    }
    EXPECT_TRUE(with("expert_count", 0).read().has_value());
}

TEST(ConfigGguf, AdaptersAreNoModels) {
    const GgufCase adapter{.more = [](GgufWriter& out) {
        out.add_text("general.type", "adapter");
    }};
    EXPECT_THAT(adapter.refusal(), HasSubstr("general.type"));
}

TEST(ConfigGguf, RopeScalingByType) {
    const auto with_type = [](std::string type) {
        return GgufCase{.more = [type](GgufWriter& out) {
            out.add_text("llama.rope.scaling.type", type);
            out.add_f32("llama.rope.scaling.factor", 4);
        }};
    };
    EXPECT_TRUE(std::holds_alternative<std::monostate>(with_type("none").read()->ropes[0].scaling));
    EXPECT_EQ(std::get<LinearScaling>(with_type("linear").read()->ropes[0].scaling).factor, 4);
    const auto yarn = std::get<YarnScaling>(with_type("yarn").read()->ropes[0].scaling);
    EXPECT_EQ(yarn.factor, 4);
    EXPECT_EQ(yarn.original_context, 512u);
    EXPECT_DOUBLE_EQ(yarn.attention_factor, yarn_mscale(4, 1));
    EXPECT_THAT(with_type("longrope").refusal(), HasSubstr("longrope"));
}

// Converters keep context_length at max_position_embeddings, which stays as it was before scaling.
TEST(ConfigGguf, YarnReachesTheOriginalContextTimesTheFactor) {
    const auto context = [](float factor, std::optional<uint32_t> original, std::string type) {
        const auto config =
            GgufCase{.more = [&](GgufWriter& out) {
                out.add_text("llama.rope.scaling.type", type);
                out.add_f32("llama.rope.scaling.factor", factor);
                if (original) {
                    out.add_u32("llama.rope.scaling.original_context_length", *original);
                }
            }}.read();
        EXPECT_TRUE(config.has_value()) << config.error().message;
        return config->context_tokens;
    };
    EXPECT_EQ(context(4, 512, "yarn"), 2048u);
    EXPECT_EQ(context(4, std::nullopt, "yarn"), 2048u);
    EXPECT_EQ(context(4, 128, "yarn"), 512u);  // context_length already says it
    EXPECT_EQ(context(2, 128, "yarn"), 512u);
    EXPECT_EQ(context(0x1p20f, 512, "yarn"), kContextMax);
    EXPECT_EQ(context(4, 512, "linear"), 512u);
}

TEST(ConfigGguf, AFactorWithoutATypeIsLinear) {
    const GgufCase old_name{.more = [](GgufWriter& out) {
        out.add_f32("llama.rope.scale_linear", 2);
    }};
    EXPECT_EQ(std::get<LinearScaling>(old_name.read()->ropes[0].scaling).factor, 2);
}

TEST(ConfigGguf, NumbersThatAreNoneAreRefused) {
    for (const float bad : {-1.0f, 0.5f, 0.0f, std::numeric_limits<float>::infinity(),
                            std::numeric_limits<float>::quiet_NaN()}) {
        const GgufCase base{.more = [bad](GgufWriter& out) {
            out.add_f32("llama.rope.freq_base", bad);
        }};
        EXPECT_FALSE(base.read().has_value()) << bad;
    }
}

TEST(ConfigGguf, ARopeOfNoLayerIsChecked) {
    const auto unrotated = [](uint32_t rotated) {
        return GgufCase{.architecture = "granite",
                        .numbers = {{"rope.dimension_count", rotated}},
                        .more = [](GgufWriter& out) {
                            out.add_bool("granite.rope.scaling.finetuned", false);
                        }};
    };
    EXPECT_FALSE(unrotated(16).read()->layer[0].rope.has_value());
    EXPECT_THAT(unrotated(4'000'000'000).refusal(), HasSubstr("4000000000 rotated dimensions"));
}

TEST(ConfigGguf, Qwen3NormalizesHeadsAndQwen2HasBiases) {
    const auto qwen3 = GgufCase{.architecture = "qwen3"}.read();
    EXPECT_EQ(qwen3->qk_norm, HeadNorm::Rms);
    EXPECT_EQ(qwen3->ropes[0].pairs, kernels::RopePairs::Halves);
    const auto qwen2 = GgufCase{.architecture = "qwen2"}.read();
    EXPECT_EQ(qwen2->qk_norm, HeadNorm::None);
    EXPECT_EQ(qwen2->qkv_bias, BiasRule::Always);
}

TEST(ConfigJson, BothFormatsSayTheSame) {
    for (const char* family : {"llama", "qwen2", "qwen3"}) {
        for (const TinyRope rope : {TinyRope::Plain, TinyRope::Linear, TinyRope::Yarn}) {
            const TinyModel model{.family = family, .rope = rope};
            const auto bytes = testing::tiny_gguf(model);
            const auto gguf = config_from_gguf(*GgufFile::parse(bytes));
            const auto json = from_json(testing::tiny_config_json(model));
            ASSERT_TRUE(gguf.has_value()) << gguf.error().message;
            ASSERT_TRUE(json.has_value()) << json.error().message;
            EXPECT_EQ(gguf->architecture, json->architecture);
            EXPECT_EQ(gguf->layers, json->layers);
            EXPECT_EQ(gguf->hidden, json->hidden);
            EXPECT_EQ(gguf->feed_forward, json->feed_forward);
            EXPECT_EQ(gguf->heads, json->heads);
            EXPECT_EQ(gguf->kv_heads, json->kv_heads);
            EXPECT_EQ(gguf->head_dim, json->head_dim);
            EXPECT_EQ(gguf->vocabulary, json->vocabulary);
            EXPECT_EQ(gguf->context_tokens, json->context_tokens);
            EXPECT_EQ(gguf->norm_epsilon, json->norm_epsilon);
            EXPECT_EQ(gguf->qk_norm, json->qk_norm);
            const auto frequencies = [](const TransformerConfig& config) {
                const auto made = RopeFrequencies::make(config.ropes[0], {});
                return std::vector(made.frequencies().begin(), made.frequencies().end());
            };
            EXPECT_EQ(frequencies(*gguf), frequencies(*json));
        }
    }
}

TEST(ConfigJson, NewFormOfRopeParameters) {
    const auto config = from_json(llama_json(
        R"("rope_parameters": {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0,
           "low_freq_factor": 1.0, "high_freq_factor": 4.0,
           "original_max_position_embeddings": 256})"));
    ASSERT_TRUE(config.has_value()) << config.error().message;
    EXPECT_EQ(config->ropes[0].theta, 500000.0);
    const auto scaling = std::get<Llama3Scaling>(config->ropes[0].scaling);
    EXPECT_EQ(scaling.factor, 8.0);
    EXPECT_EQ(scaling.original_context, 256u);
}

TEST(ConfigJson, TheTopLevelsOriginalLengthWins) {
    const auto config = from_json(llama_json(
        R"("original_max_position_embeddings": 128, "rope_scaling": {"type": "yarn",
           "original_max_position_embeddings": 64})"));
    ASSERT_TRUE(config.has_value()) << config.error().message;
    const auto yarn = std::get<YarnScaling>(config->ropes[0].scaling);
    EXPECT_EQ(yarn.original_context, 128u);
    EXPECT_EQ(yarn.factor, 4.0);  // max_position_embeddings over the original
}

// Qwen2.5 as its model card says to switch YaRN on.
TEST(ConfigJson, YarnReachesTheOriginalContextTimesTheFactor) {
    const auto context = [](std::string_view scaling) {
        const auto config =
            from_json(llama_json(R"("rope_scaling": )" + std::string(scaling), "qwen2"));
        EXPECT_TRUE(config.has_value()) << config.error().message;
        return config->context_tokens;
    };
    EXPECT_EQ(context(R"({"type": "yarn", "factor": 4.0,
        "original_max_position_embeddings": 512})"),
              2048u);
    EXPECT_EQ(context(R"({"rope_type": "yarn", "factor": 2.0,
        "original_max_position_embeddings": 100})"),
              512u);
    EXPECT_EQ(context(R"({"rope_type": "linear", "factor": 4.0})"), 512u);
    EXPECT_EQ(context("null"), 512u);
}

TEST(ConfigJson, YarnsMscalesMakeARatio) {
    const auto factor_of = [](std::string_view more) {
        const auto config = from_json(llama_json(
            R"("rope_scaling": {"type": "yarn", "factor": 16, )" + std::string(more) + "}"));
        EXPECT_TRUE(config.has_value()) << config.error().message;
        return std::get<YarnScaling>(config->ropes[0].scaling).attention_factor;
    };
    EXPECT_DOUBLE_EQ(factor_of(R"("mscale": 1, "mscale_all_dim": 1)"), 1.0);
    EXPECT_DOUBLE_EQ(factor_of(R"("mscale": 1)"), yarn_mscale(16, 1));
    EXPECT_DOUBLE_EQ(factor_of(R"("attention_factor": 1.5, "mscale": 1, "mscale_all_dim": 1)"),
                     1.5);
}

TEST(ConfigJson, RopeThatIsNotBuiltIsRefusedByName) {
    for (const char* type : {"dynamic", "ntk"}) {
        const auto said = json_refusal(R"("rope_scaling": {"type": ")" + std::string(type) +
                                       R"(", "factor": 2})");
        EXPECT_THAT(said, HasSubstr(type));
    }
    for (const std::string_view type : {"linear", "yarn", "llama3"}) {
        for (const std::string_view factor : {"0.25", "1e-300", "0", "1e8"}) {
            const std::string scaling = R"("rope_scaling": {"low_freq_factor": 1,
                "high_freq_factor": 4, "type": ")" +
                                        std::string(type) + R"(", "factor": )" +
                                        std::string(factor) + "}";
            const auto config = from_json(llama_json(scaling));
            EXPECT_FALSE(config.has_value()) << scaling;
        }
    }
    EXPECT_THAT(json_refusal(R"("rope_scaling": {"type": "yarn", "factor": 2, "beta_fast": 1,
                                                 "beta_slow": 32})"),
                HasSubstr("beta_fast"));
    EXPECT_THAT(json_refusal(R"("rope_scaling": {})"), HasSubstr("rope_scaling.rope_type"));
    EXPECT_THAT(json_refusal(R"("rope_scaling": {"factor": 8})"), HasSubstr("rope_type"));
    EXPECT_THAT(json_refusal(R"("rope_parameters": {"rope_theta": 1e4, "factor": 8})"),
                HasSubstr("rope_parameters.factor"));
    EXPECT_TRUE(from_json(llama_json(R"("rope_parameters": {"rope_theta": 1e4, "factor": 1})")));
    EXPECT_THAT(json_refusal(R"("rope_scaling": {"type": "linear", "factor": 2, "odd": 1})"),
                HasSubstr("rope_scaling.odd"));
    EXPECT_THAT(json_refusal(R"("rope_parameters": {"full_attention": {"rope_theta": 1}})"),
                HasSubstr("rope base"));
    EXPECT_THAT(json_refusal(R"("rope_parameters": {"full_attention": {}, "odd_attention": {}})"),
                HasSubstr("rope_parameters.odd_attention"));
    EXPECT_THAT(json_refusal(R"("rope_scaling": {"type": "longrope", "short_factor": [1]})"),
                HasSubstr("rope_scaling.long_factor"));
    EXPECT_THAT(json_refusal(R"("rope_scaling": {"type": "su", "short_factor": [1],
                                                 "long_factor": [2]})"),
                HasSubstr("1 longrope factors"));
    EXPECT_THAT(json_refusal(R"("rope_parameters": {"rope_type": "default",
                                                    "llama_4_scaling_beta": 0.1})"),
                HasSubstr("llama_4_scaling_beta"));
    EXPECT_THAT(json_refusal(R"("partial_rotary_factor": 0.5)"),
                HasSubstr("partial_rotary_factor"));
}

TEST(ConfigJson, MistralsWindowCoversAllLayersOrThoseNamed) {
    const auto all = from_json(llama_json(R"("sliding_window": 16)", "mistral"));
    EXPECT_EQ(windows(*all), (Windows{16, 16}));
    const auto named = from_json(llama_json(
        R"("sliding_window": 16, "layer_types": ["full_attention", "sliding_attention"])",
        "mistral"));
    EXPECT_EQ(windows(*named), (Windows{std::nullopt, 16}));
    const auto none = from_json(llama_json(R"("sliding_window": null)", "mistral"));
    EXPECT_EQ(windows(*none), Windows(2));
    EXPECT_THAT(json_refusal(R"("sliding_window": 16)"), HasSubstr("sliding_window"));
    EXPECT_THAT(json_refusal(R"("sliding_window": null,
            "layer_types": ["full_attention", "sliding_attention"])",
                             "mistral"),
                HasSubstr("layer_types"));
    EXPECT_THAT(json_refusal(R"("layer_types": ["full_attention", "recurrent"])", "mistral"),
                HasSubstr("layer_types[1]"));
}

// Mistral 7B v0.1 relies on it: MistralConfig has 4096, and null is another thing than nothing.
TEST(ConfigJson, AWindowThatIsNotMentionedHasTheClassesDefault) {
    EXPECT_EQ(windows(*from_json(llama_json("", "mistral"))), (Windows{4096, 4096}));
    EXPECT_EQ(windows(*from_json(llama_json("", "ministral"))), (Windows{4096, 4096}));
    EXPECT_EQ(windows(*from_json(llama_json(R"("sliding_window": 0)", "mistral"))), Windows(2));
    EXPECT_EQ(windows(*from_json(llama_json("", "llama"))), Windows(2));
    for (const char* family : {"qwen2", "qwen3"}) {
        EXPECT_EQ(windows(*from_json(
                      llama_json(R"("use_sliding_window": true, "max_window_layers": 1)", family))),
                  (Windows{std::nullopt, 4096}));
        // Both layers come before the 28th.
        EXPECT_EQ(windows(*from_json(
                      llama_json(R"("use_sliding_window": true, "sliding_window": 16)", family))),
                  Windows(2));
        EXPECT_EQ(
            windows(*from_json(llama_json(R"("use_sliding_window": true, "sliding_window": null,
                                          "max_window_layers": 0)",
                                          family))),
            Windows(2));
    }
}

TEST(ConfigJson, QwensWindowIsOffUntilSwitchedOn) {
    const auto off = from_json(llama_json(
        R"("use_sliding_window": false, "sliding_window": 16, "max_window_layers": 1)", "qwen2"));
    EXPECT_EQ(windows(*off), Windows(2));
    const auto on = from_json(llama_json(
        R"("use_sliding_window": true, "sliding_window": 16, "max_window_layers": 1)", "qwen2"));
    EXPECT_EQ(windows(*on), (Windows{std::nullopt, 16}));
}

TEST(ConfigJson, Qwen3sHeadSizeHasItsOwnDefault) {
    EXPECT_EQ(from_json(llama_json("", "qwen3"))->head_dim, 128u);
    EXPECT_EQ(from_json(llama_json(R"("head_dim": 32)", "qwen3"))->head_dim, 32u);
    EXPECT_EQ(from_json(llama_json(R"("head_dim": null)", "llama"))->head_dim, 16u);
}

TEST(ConfigJson, KeysThatChangeTheResultsAreRefusedByName) {
    for (const char* key : {"attn_logit_softcapping", "num_local_experts", "attention_multiplier",
                            "logits_scaling", "query_pre_attn_scalar"}) {
        EXPECT_THAT(json_refusal("\"" + std::string(key) + "\": 8"), HasSubstr(key));
    }
    EXPECT_THAT(json_refusal(R"("quantization_config": {"quant_method": "gptq"})"),
                HasSubstr("quantization_config"));
    EXPECT_THAT(json_refusal(R"("hidden_act": "relu2")"), HasSubstr("hidden_act"));
    EXPECT_THAT(json_refusal("", "mamba2"), HasSubstr("\"mamba2\""));
}

TEST(ConfigJson, AWrappedDecoderIsReadFromItsTextConfig) {
    const auto wrapped = [](std::string_view more_inside, std::string_view type,
                            std::string_view more_outside = "") {
        return R"({"model_type": "mistral3", "image_token_index": 10, "vision_config":
            {"model_type": "pixtral", "hidden_act": "gelu"}, )" +
               std::string(more_outside) + R"("text_config": )" + llama_json(more_inside, type) +
               "}";
    };
    const auto config = from_json(wrapped(R"("sliding_window": null, "head_dim": 32)", "mistral"));
    ASSERT_TRUE(config.has_value()) << config.error().message;
    EXPECT_EQ(config->architecture, "llama");
    EXPECT_EQ(config->head_dim, 32u);
    EXPECT_EQ(config->qk_rows, QkRows::HalvesToAdjacent);
    EXPECT_EQ(windows(*config), Windows(2));
    EXPECT_EQ(config->output_matrix, OutputMatrix::OwnIfPresent);

    const auto refusal = [](const std::string& text) {
        const auto read = from_json(text);
        EXPECT_FALSE(read.has_value()) << text;
        return read ? "accepted" : read.error().message;
    };
    EXPECT_THAT(refusal(wrapped("", "qwen3")),
                HasSubstr("config.json.text_config.model_type: \"qwen3\""));
    EXPECT_THAT(refusal(wrapped(R"("num_experts": 8)", "mistral")),
                HasSubstr("config.json.text_config.num_experts"));
    EXPECT_THAT(refusal(wrapped("", "mistral", R"("quantization_config": {"bits": 8}, )")),
                HasSubstr("config.json.quantization_config"));
    EXPECT_THAT(refusal(R"({"model_type": "mistral3"})"), HasSubstr("config.json.text_config"));
    EXPECT_THAT(json_refusal(R"("text_config": {"model_type": "llama"})"),
                HasSubstr("config.json.text_config"));
    EXPECT_THAT(json_refusal("", "llava"), HasSubstr("\"llava\""));
}

TEST(ConfigJson, NumbersThatNoModelHasAreDoubted) {
    for (const std::string_view epsilon : {"0", "1e-60", "-1e-5", "1.5"}) {
        EXPECT_THAT(json_refusal("\"rms_norm_eps\": " + std::string(epsilon)), HasSubstr("eps"));
    }
    for (const std::string_view name : {"embedding_multiplier", "residual_multiplier"}) {
        EXPECT_THAT(json_refusal("\"" + std::string(name) + "\": 0", "granite"),
                    HasSubstr("multiplier"));
    }
    constexpr std::string_view kLatent = R"("q_lora_rank": null, "kv_lora_rank": 32,
        "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 16, "n_routed_experts": 4,
        "num_experts_per_tok": 2, "moe_intermediate_size": 16, "qk_head_dim": )";
    EXPECT_THAT(json_refusal(std::string(kLatent) + "32", "deepseek_v2"),
                HasSubstr("qk_head_dim is 32"));
    EXPECT_TRUE(from_json(llama_json(std::string(kLatent) + "24", "deepseek_v2")));
}

TEST(ConfigJson, WrongTypesNameTheKeyAndAreTheFilesFault) {
    const auto config = from_json(llama_json(R"("head_dim": "16")"));
    ASSERT_FALSE(config.has_value());
    EXPECT_EQ(config.error().code, ErrorCode::DataCorrupt);
    EXPECT_THAT(config.error().message, HasSubstr("head_dim"));
    EXPECT_FALSE(from_json(llama_json(R"("num_key_value_heads": 3)")).has_value());
    EXPECT_FALSE(from_json(llama_json(R"("head_dim": -2)")).has_value());
    EXPECT_FALSE(from_json(llama_json(R"("rope_theta": 0)")).has_value());
}

}  // namespace
}  // namespace weir::model
