#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "text/test_vocabularies.h"
#include "text/tokenizer.h"

namespace weir::text {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::string replaced(std::string text, std::string_view from, std::string_view to) {
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
}

// Ids: <s> 0, </s> 1, a 2, b 3, c 4, space 5, ab 6, " a" 7, <tool> 8, word 9.
constexpr std::string_view kByteLevel = R"({
  "added_tokens": [
    {"id": 0, "content": "<s>", "special": true, "normalized": false, "single_word": false,
     "lstrip": false, "rstrip": false},
    {"id": 1, "content": "</s>", "special": true, "normalized": false, "lstrip": true,
     "rstrip": true},
    {"id": 8, "content": "<tool>", "special": false, "normalized": false},
    {"id": 9, "content": "abba", "special": false, "normalized": false, "single_word": true}],
  "normalizer": null,
  "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
  "post_processor": {"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A"}},
               {"SpecialToken": {"id": "</s>", "type_id": 0}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [0]}, "</s>": {"id": "</s>", "ids": [1]}}},
  "decoder": {"type": "ByteLevel"},
  "model": {"type": "BPE", "dropout": null, "unk_token": null, "fuse_unk": false,
    "byte_fallback": false, "ignore_merges": false,
    "vocab": {"<s>": 0, "</s>": 1, "a": 2, "b": 3, "c": 4, "Ġ": 5, "ab": 6, "Ġa": 7},
    "merges": ["a b", ["Ġ", "a"]]}
})";

// Llama 2's form. Ids: <unk> 0, <0x41> 1, ▁ 2, a 3, b 4, ▁a 5.
constexpr std::string_view kByteFallback = R"({
  "added_tokens": [{"id": 0, "content": "<unk>", "special": true, "normalized": false}],
  "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
    {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
  "pre_tokenizer": null,
  "post_processor": null,
  "decoder": {"type": "Sequence", "decoders": [
    {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
    {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
  "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
    "vocab": {"<unk>": 0, "<0x41>": 1, "▁": 2, "a": 3, "b": 4, "▁a": 5}, "merges": ["▁ a"]}
})";

Tokenizer load(std::string_view json, std::string_view config = {}) {
    auto tokenizer = Tokenizer::from_tokenizer_json(json, config);
    EXPECT_TRUE(tokenizer) << tokenizer.error().message;
    return *std::move(tokenizer);
}

Error error_of(const std::string& json) {
    auto tokenizer = Tokenizer::from_tokenizer_json(json);
    EXPECT_FALSE(tokenizer);
    return tokenizer ? Error{} : tokenizer.error();
}

TEST(TokenizerJson, ReadsByteLevelBpe) {
    const Tokenizer tokenizer = load(kByteLevel);
    EXPECT_EQ(tokenizer.vocab_size(), 10U);
    EXPECT_THAT(*tokenizer.encode("abc a"), ElementsAre(6, 4, 7));
    EXPECT_THAT(*tokenizer.encode("ab", {.add_special = true}), ElementsAre(0, 6, 1));
    EXPECT_EQ(tokenizer.bos(), 0U);
    const TokenId ids[] = {0, 6, 4, 7};
    EXPECT_EQ(*tokenizer.decode(ids), "<s>abc a");
}

TEST(TokenizerJson, ReadsByteFallback) {
    const Tokenizer tokenizer = load(kByteFallback);
    EXPECT_THAT(*tokenizer.encode("a bA"), ElementsAre(5, 2, 4, 1));
    EXPECT_EQ(*tokenizer.decode(*tokenizer.encode("a bA")), "a bA");
    // A run of unknown characters is one <unk>, and a byte is only itself.
    EXPECT_THAT(*tokenizer.encode("xyb"), ElementsAre(2, 0, 4));
    EXPECT_EQ(tokenizer.unknown(), 0U);
}

TEST(TokenizerJson, AddedTokensObeyTheirFlags) {
    const Tokenizer tokenizer = load(kByteLevel);
    constexpr EncodeOptions kParse{.parse_special = true};
    EXPECT_THAT(*tokenizer.encode("a  </s>  b", kParse), ElementsAre(2, 1, 3));  // strips
    EXPECT_THAT(*tokenizer.encode("a<s> b<tool>", kParse), ElementsAre(2, 0, 5, 3, 8));
    EXPECT_THAT(*tokenizer.encode("abba abbab", kParse), ElementsAre(9, 5, 6, 3, 6));
}

TEST(TokenizerJson, TK7_MarkupIsFoundOnlyInTrustedTextSpecialOrNot) {
    std::string json(kByteLevel);
    json = replaced(json, R"("Ġa": 7)", R"("Ġa": 7, "<": 10, "s": 11, ">": 12, "s>": 13)");
    json = replaced(json, R"("a b",)", R"("a b", "s >", "< s>",)");  // merges that make <s>
    json = replaced(json, R"("use_regex": true)", R"("use_regex": false)");
    const Tokenizer tokenizer = load(json);
    EXPECT_THAT(*tokenizer.encode("<s>"), ElementsAre(10, 13));
    EXPECT_THAT(*tokenizer.encode("<s>", {.parse_special = true}), ElementsAre(0));
    EXPECT_THAT(*tokenizer.encode("abba"), ElementsAre(9));  // a word steers nothing
}

TEST(TokenizerJson, TK7_NormalizedControlTokensAreFoundOnlyWhereTrusted) {
    std::string json(kByteFallback);
    json = replaced(json, R"("normalized": false}],)",
                    R"("normalized": false},
        {"id": 6, "content": "▁</s>", "special": true, "normalized": true}],)");
    json = replaced(json, R"({"type": "Prepend", "prepend": "▁"},)", "");
    const Tokenizer tokenizer = load(json);
    const Segment trusted[] = {{"b ", true}, {"</s>", true}, {"b", false}};
    EXPECT_THAT(*tokenizer.encode_segments(trusted), ElementsAre(4, 6, 4));
    for (size_t cut = 1; cut < 5; ++cut) {
        const std::string_view text = " </s>";
        const Segment split[] = {
            {"b", true}, {text.substr(0, cut), cut % 2 == 0}, {text.substr(cut), cut % 2 != 0}};
        EXPECT_THAT(*tokenizer.encode_segments(split), Not(Contains(6))) << cut;
    }
}

TEST(TokenizerJson, NfcRunsBeforeMerging) {
    std::string json = replaced(std::string(kByteLevel), R"("normalizer": null)",
                                R"("normalizer": {"type": "NFC"})");
    json = replaced(json, R"("Ġa": 7)", R"("Ġa": 7, "Ã": 10, "©": 11, "e": 12, "Ì": 13, "ģ": 14)");
    const Tokenizer tokenizer = load(json);
    EXPECT_THAT(*tokenizer.encode("e\xCC\x81"), ElementsAre(10, 11));
}

TEST(TokenizerJson, MetaspacePutsItsSignWhereItsSchemeSays) {
    std::string json = replaced(std::string(kByteFallback), R"("normalizer": {)", R"("unused": {)");
    const std::string metaspace =
        R"("pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "SCHEME",
           "split": false})";
    json = replaced(json, R"("pre_tokenizer": null)", metaspace);
    const EncodeOptions parse{.parse_special = true};
    const Tokenizer always = load(replaced(json, "SCHEME", "always"));
    EXPECT_THAT(*always.encode("a<unk>a a", parse), ElementsAre(5, 0, 5, 5));
    const Tokenizer first = load(replaced(json, "SCHEME", "first"));
    EXPECT_THAT(*first.encode("a<unk>a a", parse), ElementsAre(5, 0, 3, 5));
    const Tokenizer never = load(replaced(json, "SCHEME", "never"));
    EXPECT_THAT(*never.encode("a<unk>a a", parse), ElementsAre(3, 0, 3, 5));
}

TEST(TokenizerJson, TheConfigNamesTheSpecialTokens) {
    const Tokenizer tokenizer = load(
        kByteLevel,
        R"({"bos_token": "<s>", "eos_token": {"content": "</s>"}, "pad_token": null, "x": 1})");
    EXPECT_EQ(tokenizer.bos(), 0U);
    EXPECT_EQ(tokenizer.eos(), 1U);
    EXPECT_EQ(tokenizer.padding(), std::nullopt);
    EXPECT_THAT(tokenizer.end_of_generation(), ElementsAre(1));
}

TEST(TokenizerJson, WhatIsNotKnownIsRefusedByName) {
    const std::pair<std::string_view, std::string_view> rows[] = {
        {R"("normalizer": null)", R"("normalizer": {"type": "Nmt"})"},
        {R"("type": "BPE")", R"("type": "WordLevel")"},
        {R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": true})",
         R"({"type": "UnicodeScripts"})"},
        {R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": true})",
         R"({"type": "Split", "pattern": {"Regex": "my+pattern"}, "behavior": "Isolated",
             "invert": false})"},
        {R"("decoder": {"type": "ByteLevel"})", R"("decoder": {"type": "CTC"})"},
        {R"("dropout": null)", R"("dropout": 0.1)"},
    };
    const char* names[] = {"Nmt", "WordLevel", "UnicodeScripts", "my+pattern", "CTC", "random"};
    for (size_t i = 0; i < std::size(rows); ++i) {
        const Error error =
            error_of(replaced(std::string(kByteLevel), rows[i].first, rows[i].second));
        EXPECT_EQ(error.code, ErrorCode::Unsupported) << error.message;
        EXPECT_THAT(error.message, HasSubstr(names[i]));
    }
}

TEST(TokenizerJson, WhatContradictsItselfIsRefused) {
    const std::pair<std::string_view, std::string_view> rows[] = {
        {R"("a b")", R"("a x")"},          // no such token
        {R"("a b")", R"("ab")"},           // no pair
        {R"("a b")", R"("b c")"},          // no such result
        {R"("c": 4)", R"("c": 3)"},        // an id twice
        {R"("c": 4)", R"("c": -4)"},       //
        {R"("c": 4)", R"("c": 3000000)"},  // far above the number of tokens
        {R"("ids": [0])", R"("ids": [77])"},
        {R"("merges")", R"("verges")"},
    };
    for (const auto& [from, to] : rows) {
        const Error error = error_of(replaced(std::string(kByteLevel), from, to));
        EXPECT_EQ(error.code, ErrorCode::DataCorrupt) << to << ": " << error.message;
    }
    EXPECT_EQ(error_of("{").code, ErrorCode::DataCorrupt);
    EXPECT_EQ(error_of("[]").code, ErrorCode::DataCorrupt);
    EXPECT_EQ(error_of("{}").code, ErrorCode::DataCorrupt);
}

TEST(TokenizerJson, AddedTokensBehindAGapLeaveNothingThatAModelSays) {
    const std::string json =
        replaced(std::string(kByteLevel), R"("id": 9, "content")", R"("id": 12, "content")");
    const Tokenizer tokenizer = load(json);
    EXPECT_EQ(tokenizer.vocab_size(), 13U);
    EXPECT_TRUE(tokenizer.is_control(10));
    EXPECT_EQ(tokenizer.token_bytes(10), "");
    EXPECT_FALSE(tokenizer.is_control(12));
}

}  // namespace
}  // namespace weir::text
