#include "text/vocab_keys.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "text/byte_alphabet.h"

namespace weir::text {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr size_t kVocabulary = 300;

// All bytes as tokens, in the byte alphabet, then "in" and "ing".
std::string byte_level_json(std::string_view pre, std::string_view normalizer, bool ignore_merges) {
    std::string vocab;
    for (unsigned byte = 0; byte < 256; ++byte) {
        const std::string_view text = byte_level_of(static_cast<uint8_t>(byte));
        vocab +=
            fmt::format("\"{}{}\": {}, ", text == "\"" || text == "\\" ? "\\" : "", text, byte);
    }
    return fmt::format(
        R"({{"added_tokens": [{{"id": 258, "content": "<s>", "special": true}},
        {{"id": 260, "content": "<tool>", "special": false}}],
        "normalizer": {}, "pre_tokenizer": {}, "decoder": {{"type": "ByteLevel"}},
        "post_processor": {{"type": "TemplateProcessing",
        "single": [{{"SpecialToken": {{"id": "<s>"}}}}, {{"Sequence": {{"id": "A"}}}}],
        "special_tokens": {{"<s>": {{"id": "<s>", "ids": [258]}}}}}},
        "model": {{"type": "BPE", "ignore_merges": {}, "vocab": {{{} "in": 256, "ing": 257}},
        "merges": ["i n", ["in", "g"]]}}}})",
        normalizer, pre, ignore_merges, vocab);
}

constexpr std::string_view kGpt2 = R"({"type": "ByteLevel", "add_prefix_space": false})";
constexpr std::string_view kDigitsFirst = R"({"type": "Sequence", "pretokenizers": [
    {"type": "Digits", "individual_digits": true},
    {"type": "ByteLevel", "add_prefix_space": false}]})";
constexpr std::string_view kCl100k = R"({"type": "Sequence", "pretokenizers": [{"type": "Split",
    "pattern": {"Regex": "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
    "behavior": "Removed", "invert": true}, {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})";

Result<VocabKeys> keys_of(std::string_view json, size_t vocabulary = kVocabulary) {
    WEIR_TRY_ASSIGN(const Tokenizer tokenizer, Tokenizer::from_tokenizer_json(json));
    return vocab_keys_of_json(json, tokenizer, vocabulary);
}

TEST(VocabKeys, ThePreTokenizersNameIsThatOfItsCuts) {
    struct Case {
        std::string_view pre;
        bool ignore_merges;
        std::string_view name;
    };
    for (const auto& [pre, ignore_merges, name] :
         {Case{kGpt2, false, "gpt-2"}, Case{kDigitsFirst, false, "starcoder"},
          Case{kCl100k, true, "llama-bpe"}, Case{kCl100k, false, "dbrx"}}) {
        const auto keys = keys_of(byte_level_json(pre, "null", ignore_merges));
        ASSERT_TRUE(keys) << name << ": " << keys.error().message;
        EXPECT_EQ(keys->spec.pre, name);
        EXPECT_THAT(keys->lost, IsEmpty()) << name;
    }
    EXPECT_THAT(keys_of(byte_level_json(kGpt2, "null", true)).error().message,
                HasSubstr("cuts a text"));  // GPT-2's name merges always
}

TEST(VocabKeys, AByteLevelVocabularyIsSaidWhole) {
    const auto keys = keys_of(byte_level_json(kGpt2, "null", false));
    ASSERT_TRUE(keys) << keys.error().message;
    const VocabSpec& spec = keys->spec;
    EXPECT_EQ(spec.model, "gpt2");
    ASSERT_EQ(spec.tokens.size(), kVocabulary);
    EXPECT_EQ(spec.tokens[257], "ing");
    EXPECT_EQ(spec.tokens[258], "<s>");
    EXPECT_EQ(spec.tokens[259], "[PAD259]");  // an id that no token has
    EXPECT_EQ(spec.tokens[299], "[PAD299]");  // a row that the model has and the tokenizer not
    const auto type = [&](size_t id) {
        return static_cast<TokenType>(spec.types[id]);
    };
    EXPECT_EQ(type(257), TokenType::Normal);
    EXPECT_EQ(type(258), TokenType::Control);
    EXPECT_EQ(type(259), TokenType::Unused);
    EXPECT_EQ(type(260), TokenType::UserDefined);
    EXPECT_THAT(spec.merges, ElementsAre("i n", "in g"));
    EXPECT_EQ(spec.bos_token_id, 258u);
    EXPECT_EQ(spec.add_bos_token, true);
    EXPECT_EQ(spec.add_eos_token, false);
    // Rows that the model does not have are left out.
    EXPECT_EQ(keys_of(byte_level_json(kGpt2, "null", false), 259)->spec.tokens.size(), 259u);
}

TEST(VocabKeys, WhatTheyCannotSayIsNamed) {
    const auto nfc = keys_of(byte_level_json(kGpt2, R"({"type": "NFC"})", false));
    ASSERT_TRUE(nfc) << nfc.error().message;
    EXPECT_THAT(nfc->lost, ElementsAre(HasSubstr("NFC")));
    EXPECT_EQ(keys_of(byte_level_json(kGpt2, R"({"type": "Lowercase"})", false)).error().message,
              "the normalizer Lowercase");
    EXPECT_FALSE(keys_of(byte_level_json(R"({"type": "Sequence", "pretokenizers": [
        {"type": "Whitespace"}, {"type": "ByteLevel", "use_regex": false}]})",
                                         "null", false)));
}

// A list of merges in the order of scores, with every pair that makes a token.
std::string sentencepiece_json(std::string_view merges) {
    std::string bytes;
    for (unsigned byte = 0; byte < 256; ++byte) {
        bytes += fmt::format(", \"<0x{:02X}>\": {}", byte, 3 + byte);
    }
    return fmt::format(R"({{"added_tokens": [{{"id": 0, "content": "<unk>", "special": true}},
        {{"id": 1, "content": "<s>", "special": true}}, {{"id": 2, "content": "</s>", "special": true}}],
        "normalizer": {{"type": "Sequence", "normalizers": [{{"type": "Prepend", "prepend": "▁"}},
        {{"type": "Replace", "pattern": {{"String": " "}}, "content": "▁"}}]}},
        "pre_tokenizer": null, "decoder": {{"type": "Sequence", "decoders": [
        {{"type": "Replace", "pattern": {{"String": "▁"}}, "content": " "}}, {{"type": "ByteFallback"}},
        {{"type": "Fuse"}}, {{"type": "Strip", "content": " ", "start": 1, "stop": 0}}]}},
        "model": {{"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
        "vocab": {{"<unk>": 0, "<s>": 1, "</s>": 2{}, "▁": 259, "a": 260, "b": 261, "c": 262,
        "▁a": 263, "bc": 264, "ab": 265, "abc": 266, "▁abc": 267}}, "merges": [{}]}}}})",
                       bytes, merges);
}

TEST(VocabKeys, RanksOfMergesBecomeScores) {
    const std::string json =
        sentencepiece_json(R"("b c", "▁ a", "a b", "a bc", "ab c", "▁ abc", "▁a bc")");
    const auto keys = keys_of(json);
    ASSERT_TRUE(keys) << keys.error().message;
    EXPECT_THAT(keys->lost, IsEmpty());
    EXPECT_EQ(keys->spec.model, "llama");
    EXPECT_EQ(keys->spec.add_space_prefix, true);
    EXPECT_EQ(keys->spec.unknown_token_id, 0u);
    const auto& scores = keys->spec.scores;
    EXPECT_GT(scores[264], scores[263]);
    EXPECT_GT(scores[263], scores[265]);
    EXPECT_GT(scores[265], scores[266]);
    EXPECT_GT(scores[266], scores[267]);
    EXPECT_EQ(keys->spec.types[259 - 1], static_cast<int32_t>(TokenType::Byte));
    const auto a = Tokenizer::from_tokenizer_json(json);
    const auto b = Tokenizer::from_spec(keys->spec);
    ASSERT_TRUE(a && b);
    for (const std::string_view text : {"abc", "aabbcc abc  ab c", "", "é abcabc\n"}) {
        EXPECT_EQ(*a->encode(text, {.add_special = true}), *b->encode(text, {.add_special = true}))
            << text;
    }
    // One token's merges at two ranks: no score says that.
    EXPECT_THAT(keys_of(sentencepiece_json(R"("b c", "a bc", "a b", "ab c")")).error().message,
                HasSubstr("order of its merges"));
}

TEST(VocabKeys, WordsOfBertAreWrittenAsGgufHasThem) {
    const std::string json = R"({"added_tokens": [{"id": 0, "content": "[UNK]", "special": true},
        {"id": 1, "content": "[CLS]", "special": true}, {"id": 2, "content": "[SEP]", "special": true}],
        "normalizer": {"type": "BertNormalizer", "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "decoder": {"type": "WordPiece"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]},
        "model": {"type": "WordPiece", "unk_token": "[UNK]",
        "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "##b": 4}}})";
    const auto keys = keys_of(json, 5);
    ASSERT_TRUE(keys) << keys.error().message;
    EXPECT_THAT(keys->spec.tokens, ElementsAre("[UNK]", "[CLS]", "[SEP]", "▁a", "b"));
    EXPECT_EQ(keys->spec.cls_token_id, 1u);
    EXPECT_EQ(keys->spec.separator_token_id, 2u);
    const auto made = Tokenizer::from_spec(keys->spec);
    ASSERT_TRUE(made);
    EXPECT_THAT(*made->encode("AB b", {.add_special = true}), ElementsAre(1, 3, 4, 0, 2));
}

TEST(VocabKeys, ScoresOfUnigramGoAlong) {
    const std::string json = R"({"added_tokens": [{"id": 1, "content": "</s>", "special": true}],
        "normalizer": {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
        "post_processor": {"type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "</s>"}}],
        "special_tokens": {"</s>": {"id": "</s>", "ids": [1]}}},
        "model": {"type": "Unigram", "unk_id": 0, "vocab":
        [["<unk>", 0], ["</s>", 0], ["▁", -1.5], ["a", -2], ["▁a", -2.5], ["b", -3.25]]}})";
    const auto keys = keys_of(json, 6);
    ASSERT_TRUE(keys) << keys.error().message;
    EXPECT_EQ(keys->spec.model, "t5");
    EXPECT_THAT(keys->spec.scores, ElementsAre(0, 0, -1.5f, -2, -2.5f, -3.25f));
    EXPECT_THAT(keys->spec.types, ElementsAre(2, 3, 1, 1, 1, 1));
    EXPECT_EQ(keys->spec.remove_extra_whitespaces, true);
    EXPECT_EQ(keys->spec.add_eos_token, true);
    EXPECT_EQ(keys->spec.eos_token_id, 1u);
    const auto made = Tokenizer::from_spec(keys->spec);
    EXPECT_THAT(*made->encode("a bba", {.add_special = true}), ElementsAre(4, 2, 5, 5, 3, 1));
}

}  // namespace
}  // namespace weir::text
