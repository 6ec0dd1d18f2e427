#include "model/tokenizer_metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/testing/gguf_writer.h"

namespace weir::model {
namespace {

using testing::ByteBuilder;
using ::testing::ElementsAre;
using testing::GgufWriter;
using ::testing::HasSubstr;
using ::testing::Pair;

const std::vector<std::string> kTokens = {"<s>", "a", "b"};

// Without the keys of a BPE vocabulary that a test has its own of, or leaves out.
GgufWriter vocabulary(std::string_view without = "") {
    const std::vector<int32_t> types = {3, 1, 1};
    const std::vector<std::string> merges = {"a b"};
    GgufWriter writer;
    if (without != "token_type") {
        writer.add_ints("tokenizer.ggml.token_type", types);
    }
    if (without != "merges") {
        writer.add_texts("tokenizer.ggml.merges", merges);
    }
    if (without != "pre") {
        writer.add_text("tokenizer.ggml.pre", "llama-bpe");
    }
    writer.add_text("general.architecture", "anything");
    writer.add_text("tokenizer.ggml.model", "gpt2");
    writer.add_texts("tokenizer.ggml.tokens", kTokens);
    return writer;
}

TEST(TokenizerMetadata, ReadsWhatTheFileSays) {
    const std::vector<float> scores = {0, -1, -2};
    GgufWriter writer = vocabulary();
    writer.add_floats("tokenizer.ggml.scores", scores);
    writer.add_u32("tokenizer.ggml.bos_token_id", 0);
    writer.add_u32("tokenizer.ggml.padding_token_id", 0xffffffff);
    writer.add_bool("tokenizer.ggml.add_bos_token", true);
    writer.add_text("tokenizer.chat_template", "T");
    writer.add_text("tokenizer.chat_template.tool_use", "U");
    const auto bytes = writer.finish();
    const auto file = GgufFile::parse(bytes);
    const auto out = read_tokenizer_metadata(*file);
    ASSERT_TRUE(out.has_value()) << out.error().message;
    EXPECT_EQ(out->model, "gpt2");
    EXPECT_EQ(out->pre, "llama-bpe");
    EXPECT_THAT(out->tokens, ElementsAre("<s>", "a", "b"));
    EXPECT_THAT(out->types, ElementsAre(3, 1, 1));
    EXPECT_THAT(out->merges, ElementsAre("a b"));
    EXPECT_EQ(out->scores.size(), 3u);
    EXPECT_EQ(out->bos_token_id, 0u);
    EXPECT_EQ(out->padding_token_id, std::nullopt);
    EXPECT_EQ(out->eos_token_id, std::nullopt);
    EXPECT_EQ(out->add_bos_token, true);
    EXPECT_EQ(out->add_eos_token, std::nullopt);
    EXPECT_EQ(out->chat_template, "T");
    EXPECT_THAT(out->named_templates, ElementsAre(Pair("tool_use", "U")));
}

TEST(TokenizerMetadata, AFileWithoutAVocabularyIsEmpty) {
    GgufWriter writer;
    writer.add_text("tokenizer.ggml.model", "none");
    const auto bytes = writer.finish();
    const auto file = GgufFile::parse(bytes);
    const auto out = read_tokenizer_metadata(*file);
    ASSERT_TRUE(out.has_value());
    EXPECT_EQ(out->model, "none");
    EXPECT_TRUE(out->tokens.empty());
}

std::string refusal(const GgufWriter& writer) {
    const auto bytes = writer.finish();
    const auto file = GgufFile::parse(bytes);
    EXPECT_TRUE(file.has_value());
    const auto out = read_tokenizer_metadata(*file);
    EXPECT_FALSE(out.has_value());
    return out ? "accepted" : out.error().message;
}

TEST(TokenizerMetadata, MF5_ArraysOfTheWrongElementOrCount) {
    ByteBuilder narrow;
    narrow.put(static_cast<uint32_t>(GgufValueType::U8)).put(uint64_t{3}).put_raw("abc");
    EXPECT_THAT(
        refusal(vocabulary().add_raw("tokenizer.ggml.scores", GgufValueType::Array, narrow)),
        HasSubstr("tokenizer.ggml.scores"));
    EXPECT_THAT(refusal(vocabulary("token_type")
                            .add_raw("tokenizer.ggml.token_type", GgufValueType::Array, narrow)),
                HasSubstr("tokenizer.ggml.token_type"));
    const std::vector<float> two = {0, 1};
    EXPECT_THAT(refusal(vocabulary().add_floats("tokenizer.ggml.scores", two)),
                HasSubstr("2 scores for 3 tokens"));
}

TEST(TokenizerMetadata, WhatAVocabularyMeansNothingWithoutIsNamedWhereItIsMissing) {
    for (const std::string_view key : {"pre", "merges", "token_type"}) {
        EXPECT_THAT(refusal(vocabulary(key)),
                    HasSubstr("key tokenizer.ggml." + std::string(key) + " is missing"));
    }
    EXPECT_THAT(refusal(vocabulary("pre").add_text("tokenizer.ggml.pre", "")),
                HasSubstr("tokenizer.ggml.pre"));
    for (const std::string_view model : {"llama", "t5", "bert", "gemma4"}) {
        GgufWriter writer;
        writer.add_text("tokenizer.ggml.model", model);
        writer.add_texts("tokenizer.ggml.tokens", kTokens);
        EXPECT_THAT(refusal(writer), HasSubstr("is missing")) << model;
    }
}

TEST(TokenizerMetadata, AnIdThatIsNoneIsNamed) {
    EXPECT_THAT(refusal(vocabulary().add_u64("tokenizer.ggml.eos_token_id", uint64_t{1} << 40)),
                HasSubstr("tokenizer.ggml.eos_token_id"));
}

}  // namespace
}  // namespace weir::model
