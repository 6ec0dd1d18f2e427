#include <fmt/format.h>
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

TEST(TokenizerJson, ReadsBytesThatTheNormalizerSpells) {
    std::string json = replaced(std::string(kByteLevel), R"("normalizer": null)",
                                R"("normalizer": {"type": "ByteLevel"})");
    json = replaced(json, R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": true})",
                    R"({"type": "Split", "pattern": {"String": "Ġ"},
                        "behavior": "MergedWithNext", "invert": false})");
    const Tokenizer tokenizer = load(json);
    EXPECT_THAT(*tokenizer.encode("abc a  b"), ElementsAre(6, 4, 7, 5, 5, 3));
    const TokenId ids[] = {6, 4, 7, 5, 5, 3};
    EXPECT_EQ(*tokenizer.decode(ids), "abc a  b");
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
    // A joiner is a part of words, a fraction is none.
    std::string json = replaced(std::string(kByteLevel), R"("Ġa": 7)",
                                R"("Ġa": 7, "Â": 10, "½": 11, "â": 12, "Ģ": 13, "į": 14)");
    const Tokenizer signs = load(json);
    EXPECT_THAT(*signs.encode("abba\xC2\xBD"), ElementsAre(9, 10, 11));
    EXPECT_THAT(*signs.encode("abba\xE2\x80\x8D"), ElementsAre(6, 3, 2, 12, 13, 14));
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
    // A beginning or a padding that is not there changes nothing; without its end no answer ends.
    EXPECT_EQ(load(kByteLevel, R"({"bos_token": "<nobody>", "pad_token": "<nobody>"})").padding(),
              std::nullopt);
    const auto endless = Tokenizer::from_tokenizer_json(kByteLevel, R"({"eos_token": "<nobody>"})");
    ASSERT_FALSE(endless);
    EXPECT_THAT(endless.error().message, HasSubstr("eos_token"));
}

TEST(TokenizerJson, WhatIsNotKnownIsRefusedByName) {
    const std::pair<std::string_view, std::string_view> rows[] = {
        {R"("normalizer": null)", R"("normalizer": {"type": "Nmt2"})"},
        {R"("type": "BPE")", R"("type": "WordLattice")"},
        {R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": true})",
         R"({"type": "UnicodeScripts"})"},
        {R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": true})",
         R"({"type": "Split", "pattern": {"Regex": "(?<=my)pattern"}, "behavior": "Isolated",
             "invert": false})"},
        {R"("decoder": {"type": "ByteLevel"})", R"("decoder": {"type": "CTC"})"},
        {R"("dropout": null)", R"("dropout": 0.1)"},
    };
    const char* names[] = {"Nmt2",           "WordLattice", "UnicodeScripts",
                           "(?<=my)pattern", "CTC",         "random"};
    for (size_t i = 0; i < std::size(rows); ++i) {
        const Error error =
            error_of(replaced(std::string(kByteLevel), rows[i].first, rows[i].second));
        EXPECT_EQ(error.code, ErrorCode::Unsupported) << error.message;
        EXPECT_THAT(error.message, HasSubstr(names[i]));
    }
}

// Each step may make sixteen bytes of one, so a few of them are enough for any memory.
TEST(TokenizerJson, StepsThatBlowTextsUpAreRefused) {
    const auto sequence = [](std::string_view member, std::string_view step, size_t count) {
        std::string steps(step);
        for (size_t i = 1; i < count; ++i) {
            steps.append(", ").append(step);
        }
        return fmt::format(R"({{"type": "Sequence", "{}": [{}]}})", member, steps);
    };
    constexpr std::string_view kReplace =
        R"({"type": "Replace", "pattern": {"String": "a"}, "content": "aaaaaaaaaaaaaaaa"})";
    const std::string json(kByteLevel);
    const auto normalizer = [&](std::string_view step, size_t count) {
        return replaced(json, R"("normalizer": null)",
                        R"("normalizer": )" + sequence("normalizers", step, count));
    };
    const auto decoder = [&](std::string_view step, size_t count) {
        return replaced(json, R"("decoder": {"type": "ByteLevel"})",
                        R"("decoder": )" + sequence("decoders", step, count));
    };
    EXPECT_TRUE(Tokenizer::from_tokenizer_json(normalizer(kReplace, 2)));
    EXPECT_TRUE(Tokenizer::from_tokenizer_json(decoder(kReplace, 2)));
    const std::pair<std::string, std::string_view> rows[] = {
        {normalizer(kReplace, 9), "normalizer"},
        {normalizer(R"({"type": "Lowercase"})", 1000), "normalizer"},
        {decoder(kReplace, 9), "decoder"},
        {decoder(R"({"type": "Metaspace", "replacement": ""})", 1), "decoder.replacement"},
        {replaced(json, R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": true})",
                  sequence("pretokenizers", R"({"type": "WhitespaceSplit"})", 1000)),
         "pre_tokenizer"},
    };
    for (const auto& [text, name] : rows) {
        const Error error = error_of(text);
        EXPECT_EQ(error.code, ErrorCode::DataCorrupt) << error.message;
        EXPECT_THAT(error.message, HasSubstr(name));
    }
}

TEST(TokenizerJson, WhatContradictsItselfIsRefused) {
    const std::pair<std::string_view, std::string_view> rows[] = {
        {R"("a b")", R"("a x")"},          // no such token
        {R"("a b")", R"("ab")"},           // no pair
        {R"("a b")", R"("b c")"},          // no such result
        {R"("c": 4)", R"("c": 3)"},        // an id twice
        {R"("c": 4)", R"("c": -4)"},       //
        {R"("id": 9,)", R"("id": 8,)"},    // two added tokens
        {R"("id": 9,)", R"("id": 7,)"},    // not what the vocabulary calls it
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

// ---- The other models ----

constexpr std::string_view kUnigram = R"({
  "added_tokens": [{"id": 0, "content": "<unk>", "special": true, "normalized": false}],
  "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"},
    {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]},
  "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"},
    {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"}]},
  "post_processor": null,
  "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
  "model": {"type": "Unigram", "unk_id": 0,
    "vocab": [["<unk>", 0], ["▁", -2.5], ["a", -3], ["▁a", -3.5], ["ab", -3.25], ["b", -4]]}
})";

TEST(TokenizerJson, ReadsUnigramBehindPiecesThatEachGetTheirSign) {
    const Tokenizer tokenizer = load(kUnigram);
    // ▁a b is -7.5, ▁ ab -5.75; U+FF41 is an a after NFKC.
    EXPECT_THAT(*tokenizer.encode("ab   \xEF\xBD\x81 \n"), ElementsAre(1, 4, 3));
    EXPECT_THAT(*tokenizer.encode("axy"), ElementsAre(3, 0));
    EXPECT_EQ(tokenizer.unknown(), 0U);
    const TokenId ids[] = {3, 5, 1, 4};
    EXPECT_EQ(*tokenizer.decode(ids), "ab ab");
    EXPECT_EQ(*tokenizer.decode(ids, {.continues = true}), " ab ab");
}

constexpr std::string_view kWordPiece = R"({
  "added_tokens": [{"id": 1, "content": "[CLS]", "special": true, "normalized": false},
                   {"id": 7, "content": "Lonely", "single_word": true, "normalized": true,
                    "special": false}],
  "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                 "strip_accents": null, "lowercase": true},
  "pre_tokenizer": {"type": "BertPreTokenizer"},
  "post_processor": {"type": "BertProcessing", "sep": ["b", 3], "cls": ["[CLS]", 1]},
  "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
  "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
    "max_input_chars_per_word": 5,
    "vocab": {"[UNK]": 0, "[CLS]": 1, "e": 2, "b": 3, "##b": 4, ".": 5, "中": 6}}
})";

TEST(TokenizerJson, ReadsWordPieceWithBertsNormalizer) {
    const Tokenizer tokenizer = load(kWordPiece);
    EXPECT_THAT(*tokenizer.encode("\xC3\x89"
                                  "B.b\x01中e"),
                ElementsAre(2, 4, 5, 3, 6, 2));
    EXPECT_THAT(*tokenizer.encode("bbbbb bbbbbb eX"), ElementsAre(3, 4, 4, 4, 4, 0, 0));
    EXPECT_THAT(*tokenizer.encode("LONELY lonelyb", {.parse_special = true}), ElementsAre(7, 0));
    EXPECT_THAT(*tokenizer.encode("b", {.add_special = true}), ElementsAre(1, 3, 3));
    const TokenId ids[] = {1, 2, 4, 5, 3};
    EXPECT_EQ(*tokenizer.decode(ids), "[CLS] eb. b");
    EXPECT_EQ(tokenizer.token_bytes(1), "[CLS]");  // its name, also where it is written apart
    const TokenId continued[] = {4, 2};
    EXPECT_EQ(*tokenizer.decode(continued), "##b e");
}

TEST(TokenizerJson, WhatFollowsTheByteAlphabetSeesTheTextInIt) {
    std::string json(kByteLevel);
    json = replaced(json, R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": true})",
                    R"({"type": "Sequence", "pretokenizers": [
        {"type": "ByteLevel", "add_prefix_space": true, "use_regex": false},
        {"type": "Split", "pattern": {"String": "Ġ"}, "behavior": "Isolated", "invert": false}]})");
    const Tokenizer tokenizer = load(json);
    EXPECT_THAT(*tokenizer.encode("ab a"), ElementsAre(5, 6, 5, 2));
}

std::string with_decoders(std::string_view file, std::string_view decoder, std::string_view steps) {
    return replaced(std::string(file), decoder,
                    fmt::format(R"("decoder": {{"type": "Sequence", "decoders": [{}]}})", steps));
}

// ByteLevel and Fuse make one text of all tokens.
TEST(TokenizerJson, DecodersThatSeeTheWholeTextAreRefused) {
    const std::pair<std::string_view, std::string_view> rows[] = {
        {R"({"type": "ByteLevel"}, {"type": "Strip", "content": "a", "start": 1, "stop": 0})",
         "strips more than one leading space"},
        {R"({"type": "ByteLevel"}, {"type": "WordPiece", "prefix": "##"})", "WordPiece"},
        {R"({"type": "Fuse"}, {"type": "ByteLevel"})", "ByteLevel"},
        {R"({"type": "Fuse"}, {"type": "ByteFallback"})", "ByteFallback"},
        {R"({"type": "Fuse"}, {"type": "Metaspace", "replacement": "▁"})", "Metaspace"},
    };
    for (const auto& [steps, name] : rows) {
        const Error error =
            error_of(with_decoders(kByteLevel, R"("decoder": {"type": "ByteLevel"})", steps));
        EXPECT_EQ(error.code, ErrorCode::Unsupported) << steps;
        EXPECT_THAT(error.message, HasSubstr(name));
    }
}

TEST(TokenizerJson, OneOfTwoDecodersIsEnoughToDropTheFirstSpace) {
    const Tokenizer tokenizer = load(with_decoders(
        kUnigram,
        R"("decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"})",
        R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first"},
           {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never"})"));
    const TokenId ids[] = {3, 5, 1, 4};
    EXPECT_EQ(*tokenizer.decode(ids), "ab ab");
}

TEST(TokenizerJson, WithoutADecoderTokensStandApart) {
    const Tokenizer tokenizer = load(replaced(
        std::string(kByteLevel), R"("decoder": {"type": "ByteLevel"})", R"("decoder": null)"));
    const TokenId ids[] = {6, 4, 7};
    EXPECT_EQ(*tokenizer.decode(ids), "ab c Ġa");
}

TEST(TokenizerJson, BrokenModelsOfTheOtherKindsAreRefusedByName) {
    const auto refusal = [](std::string_view json, std::string_view from, std::string_view to) {
        return error_of(replaced(std::string(json), from, to)).message;
    };
    EXPECT_THAT(refusal(kUnigram, R"("unk_id": 0)", R"("unk_id": 6)"), HasSubstr("unk_id"));
    EXPECT_THAT(refusal(kUnigram, R"(["a", -3])", R"(["a"])"), HasSubstr("vocab[2]"));
    EXPECT_THAT(refusal(kUnigram, R"(["a", -3])", R"([5, -3])"), HasSubstr("vocab[2]"));
    EXPECT_THAT(refusal(kUnigram, R"({"type": "NFKC"})",
                        R"({"type": "Precompiled", "precompiled_charsmap": "AAAA/w=="})"),
                HasSubstr("precompiled_charsmap"));
    EXPECT_THAT(refusal(kUnigram, R"({"type": "NFKC"})",
                        R"({"type": "Precompiled", "precompiled_charsmap": "*"})"),
                HasSubstr("base64"));
    EXPECT_THAT(refusal(kUnigram, R"({"Regex": " {2,}"})", R"({"Regex": "a+b"})"),
                HasSubstr("a+b"));
    EXPECT_THAT(refusal(kUnigram, R"("replacement": "▁", "prepend_scheme": "always"})",
                        R"("replacement": "ab", "prepend_scheme": "always"})"),
                HasSubstr("replacement"));
    EXPECT_THAT(refusal(kWordPiece, R"("e": 2)", R"("e": 1)"), HasSubstr("same id 1"));
    EXPECT_THAT(refusal(kWordPiece, R"("max_input_chars_per_word": 5)",
                        R"("max_input_chars_per_word": -5)"),
                HasSubstr("max_input_chars_per_word"));
    EXPECT_THAT(refusal(kWordPiece, R"({"type": "BertPreTokenizer"})", R"({"type": "ByteLevel"})"),
                HasSubstr("byte-level"));
}

TEST(TokenizerJson, StepsThatNestWithoutEndAreRefused) {
    std::string step = R"({"type": "NFC"})";
    for (int i = 0; i < 20; ++i) {
        step = R"({"type": "Sequence", "normalizers": [)" + step + "]}";
    }
    EXPECT_THAT(error_of(replaced(std::string(kByteLevel), R"("normalizer": null)",
                                  R"("normalizer": )" + step))
                    .message,
                HasSubstr("Sequence"));
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
