#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <set>
#include <string>

#include "text/test_vocabularies.h"
#include "text/tokenizer.h"

namespace weir::text {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Writes protocol buffers, field by field.
void put_varint(std::string& out, uint64_t value) {
    for (; value >= 0x80; value >>= 7) {
        out.push_back(static_cast<char>(value | 0x80));
    }
    out.push_back(static_cast<char>(value));
}
void put_number(std::string& out, unsigned field, uint64_t value) {
    put_varint(out, field << 3);
    put_varint(out, value);
}
void put_bytes(std::string& out, unsigned field, std::string_view bytes) {
    put_varint(out, field << 3 | 2);
    put_varint(out, bytes.size());
    out += bytes;
}

struct Model {
    std::string pieces;
    std::set<size_t> ends;  // of the pieces
    std::string trainer;
    std::string normalizer;

    // The pieces of the GGUF test vocabulary, which the same tokenizer reads.
    Model() {
        testing::SentencePieceVocabulary vocabulary;
        for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
            std::string piece;
            put_bytes(piece, 1, vocabulary.tokens[id]);
            put_varint(piece, 2 << 3 | 5);
            char score[4];
            std::memcpy(score, &vocabulary.spec.scores[id], 4);
            piece.append(score, 4);
            put_number(piece, 3, static_cast<uint64_t>(vocabulary.spec.types[id]));
            put_bytes(pieces, 1, piece);
            ends.insert(pieces.size());
        }
        put_number(trainer, 3, 2);
        put_bytes(normalizer, 1, "identity");
        put_number(normalizer, 4, 0);
    }
    std::string bytes() const {
        std::string out = pieces;
        put_bytes(out, 2, trainer);
        put_bytes(out, 3, normalizer);
        return out;
    }
};

Result<Tokenizer> load(std::string_view bytes, std::string_view config = {}) {
    return Tokenizer::from_sentencepiece(std::as_bytes(std::span(bytes)), config);
}

TEST(SentencePiece, ReadsWhatGgufSaysInItsOwnWords) {
    testing::SentencePieceVocabulary vocabulary;
    const auto tokenizer = load(Model().bytes());
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    EXPECT_THAT(*tokenizer->encode("ab ab", {.add_special = true}),
                ElementsAre(vocabulary.bos, vocabulary.space_ab, vocabulary.space_ab));
    EXPECT_EQ(tokenizer->eos(), vocabulary.eos);
    EXPECT_EQ(tokenizer->unknown(), vocabulary.unknown);
}

TEST(SentencePiece, RemovesExtraSpacesByDefault) {
    testing::SentencePieceVocabulary vocabulary;
    Model model;
    model.normalizer.clear();
    const auto tokenizer = load(model.bytes());
    ASSERT_TRUE(tokenizer);
    EXPECT_THAT(*tokenizer->encode("  ab   ab "),
                ElementsAre(vocabulary.space_ab, vocabulary.space_ab));
}

// tokenizer_config.json beside it, as fine-tunes of Llama 2 have it: more tokens than the
// SentencePiece file, and another end of text.
TEST(SentencePiece, TokenizerConfigAddsTokensAndNamesTheEnds) {
    testing::SentencePieceVocabulary vocabulary;
    const std::string first = std::to_string(vocabulary.tokens.size());
    const auto added = static_cast<TokenId>(vocabulary.tokens.size());
    const auto tokenizer = load(Model().bytes(), R"({"added_tokens_decoder": {")" + first +
                                                     R"(": {"content": "<|im_end|>",
            "special": true}}, "eos_token": {"content": "<|im_end|>"}, "pad_token": "<|im_end|>",
            "unk_token": "not there", "add_bos_token": false, "add_eos_token": true})");
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    EXPECT_EQ(tokenizer->vocab_size(), vocabulary.tokens.size() + 1);
    EXPECT_EQ(tokenizer->eos(), added);
    EXPECT_EQ(tokenizer->padding(), added);
    EXPECT_EQ(tokenizer->unknown(), vocabulary.unknown);
    EXPECT_TRUE(tokenizer->is_control(added));
    EXPECT_TRUE(tokenizer->ends_generation(added));
    EXPECT_THAT(*tokenizer->encode("ab<|im_end|>", {.parse_special = true}),
                ElementsAre(vocabulary.space_ab, added));
    EXPECT_THAT(*tokenizer->encode("ab", {.add_special = true}),
                ElementsAre(vocabulary.space_ab, added));
}

TEST(SentencePiece, TokenizerConfigIsRefusedWhereItCannotBeFollowed) {
    const auto refusal = [](std::string_view config) {
        const auto tokenizer = load(Model().bytes(), config);
        EXPECT_FALSE(tokenizer) << config;
        return tokenizer ? std::string() : tokenizer.error().message;
    };
    EXPECT_THAT(refusal(R"({"added_tokens_decoder": {"1": {"content": "<s>", "lstrip": true}}})"),
                HasSubstr("added_tokens_decoder.1.lstrip"));
    EXPECT_THAT(refusal(R"({"added_tokens_decoder": {"9999": {"content": "x"}}})"),
                HasSubstr("token 9999"));
    EXPECT_THAT(refusal(R"({"added_tokens_decoder": {"-1": {"content": "x"}}})"),
                HasSubstr("no id"));
    EXPECT_THAT(refusal(R"({"added_tokens_decoder": {"1": {"content": ""}}})"),
                HasSubstr("content"));
    EXPECT_THAT(refusal(R"({"eos_token": "<|im_end|>"})"), HasSubstr("eos_token"));
    EXPECT_THAT(refusal("["), HasSubstr("tokenizer_config.json"));
    EXPECT_THAT(refusal("[]"), HasSubstr("tokenizer_config.json"));
}

TEST(SentencePiece, ReadsUnigramWhichIsTheDefaultKind) {
    testing::SentencePieceVocabulary vocabulary;
    Model model;
    model.trainer.clear();
    const auto tokenizer = load(model.bytes());
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    // One piece of -2 beats two of -10 and -1.
    EXPECT_THAT(*tokenizer->encode("ab"), ElementsAre(vocabulary.space_ab));
    // a and ab (-12) beat aa and b (-15).
    EXPECT_THAT(*tokenizer->encode("aab"),
                ElementsAre(vocabulary.space, vocabulary.a, vocabulary.ab));
    EXPECT_THAT(
        *tokenizer->encode("\xC3\xA9"),
        ElementsAre(vocabulary.space, vocabulary.first_byte + 0xC3, vocabulary.first_byte + 0xA9));
}

TEST(SentencePiece, OtherKindsAndBrokenCharacterMapsAreRefusedByName) {
    Model words;
    words.trainer.clear();
    put_number(words.trainer, 3, 3);
    EXPECT_THAT(load(words.bytes()).error().message, HasSubstr("word or char"));
    Model charsmap;
    put_bytes(charsmap.normalizer, 2, "xxxx");
    EXPECT_THAT(load(charsmap.bytes()).error().message, HasSubstr("precompiled_charsmap"));
}

TEST(SentencePiece, MF7_ByteTokensNeedTwoHexadecimalDigits) {
    for (const char* name : {"<0x-1>", "<0xZZ>", "<0x1>", "<0x123>"}) {
        Model model;
        std::string piece;
        put_bytes(piece, 1, name);
        put_number(piece, 3, 6);  // a byte
        put_bytes(model.pieces, 1, piece);
        EXPECT_THAT(load(model.bytes()).error().message, HasSubstr("hexadecimal")) << name;
    }
}

TEST(SentencePiece, AFileCutWithinItsPiecesIsAnError) {
    const Model model;
    const std::string whole = model.bytes();
    for (size_t size = 0; size < model.pieces.size(); ++size) {
        if (!model.ends.contains(size)) {  // there it would be a shorter vocabulary
            EXPECT_FALSE(load(whole.substr(0, size))) << size;
        }
    }
}

TEST(SentencePiece, BrokenWireDataIsRefused) {
    const std::string whole = Model().bytes();
    std::mt19937 random(31);
    for (int round = 0; round < 500; ++round) {
        std::string broken = whole;
        broken[random() % broken.size()] = static_cast<char>(random());
        const auto tokenizer = load(broken);
        if (tokenizer) {
            (void)tokenizer->encode("ab \xC3\xA9");
        }
    }
    EXPECT_THAT(load(std::string(11, '\xFF')).error().message, HasSubstr("ten bytes"));
    EXPECT_THAT(load("\x0B").error().message, HasSubstr("wire type"));
    EXPECT_FALSE(load(std::string("\x0A\xFF\xFF\xFF\xFF\x0F", 6)));
}

}  // namespace
}  // namespace weir::text
