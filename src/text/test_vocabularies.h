#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/tokenizer.h"

// Vocabularies small enough to be read, for the tests of this room.
namespace weir::text::testing {

// A VocabSpec that owns its texts.
struct OwnedSpec {
    std::vector<std::string> tokens;
    std::vector<std::string> merges;
    VocabSpec spec;

    TokenId add(std::string token, TokenType type = TokenType::Normal, float score = 0) {
        tokens.push_back(std::move(token));
        spec.types.push_back(static_cast<int32_t>(type));
        spec.scores.push_back(score);
        return static_cast<TokenId>(tokens.size() - 1);
    }
    const VocabSpec& view() {
        spec.tokens.assign(tokens.begin(), tokens.end());
        spec.merges.assign(merges.begin(), merges.end());
        return spec;
    }
    Tokenizer load() {
        auto tokenizer = Tokenizer::from_spec(view());
        EXPECT_TRUE(tokenizer) << tokenizer.error().message;
        return *std::move(tokenizer);
    }
};

inline void append_code_point(std::string& out, unsigned code_point) {  // below U+0800
    if (code_point < 0x80) {
        out.push_back(static_cast<char>(code_point));
    } else {
        out.push_back(static_cast<char>(0xC0 | code_point >> 6));
        out.push_back(static_cast<char>(0x80 | (code_point & 0x3F)));
    }
}

// GPT-2's name of a byte, spelled out here a second time on purpose.
inline std::string byte_name(unsigned byte) {
    unsigned next = 0x100;
    for (unsigned candidate = 0; candidate < 256; ++candidate) {
        const bool printable =
            (candidate > 0x20 && candidate < 0x7F) || (candidate > 0xA0 && candidate != 0xAD);
        const unsigned code_point = printable ? candidate : next++;
        if (candidate == byte) {
            std::string name;
            append_code_point(name, code_point);
            return name;
        }
    }
    return {};
}

// All bytes (token id = byte), then what merges make: "aa", "aaaa", "he", "ll", "hell", "hello",
// " w", and the control tokens.
struct ByteLevelVocabulary : OwnedSpec {
    TokenId aa, aaaa, he, ll, hell, hello, space_w;
    TokenId begin, end, spaces;

    explicit ByteLevelVocabulary(std::string_view pre = "gpt-2") {
        for (unsigned byte = 0; byte < 256; ++byte) {
            add(byte_name(byte));
        }
        aa = merged("a", "a");
        aaaa = merged("aa", "aa");
        he = merged("h", "e");
        ll = merged("l", "l");
        hell = merged("he", "ll");
        hello = merged("hell", "o");
        space_w = merged(byte_name(' '), "w");
        begin = add("<|im_start|>", TokenType::Control);
        end = add("<|im_end|>", TokenType::Control);
        spaces = add("    ", TokenType::UserDefined);
        spec.model = "gpt2";
        spec.pre = pre;
        spec.scores.clear();
    }

    TokenId add(std::string token, TokenType type = TokenType::Normal) {
        const TokenId id = OwnedSpec::add(std::move(token), type);
        spec.scores.clear();
        return id;
    }

  private:
    TokenId merged(const std::string& left, const std::string& right) {
        merges.push_back(left + " " + right);
        return add(left + right);
    }
};

// Unknown, BOS, EOS, all bytes as <0xNN>, and a few pieces.
struct SentencePieceVocabulary : OwnedSpec {
    TokenId unknown = add("<unk>", TokenType::Unknown);
    TokenId bos = add("<s>", TokenType::Control);
    TokenId eos = add("</s>", TokenType::Control);
    TokenId first_byte = 3;
    TokenId space, a, b, ab, space_ab, aa;

    SentencePieceVocabulary() {
        constexpr std::string_view kDigits = "0123456789ABCDEF";
        for (unsigned byte = 0; byte < 256; ++byte) {
            add(std::string("<0x") + kDigits[byte / 16] + kDigits[byte % 16] + ">",
                TokenType::Byte);
        }
        space = add("\xE2\x96\x81", TokenType::Normal, -10);
        a = add("a", TokenType::Normal, -11);
        b = add("b", TokenType::Normal, -12);
        ab = add("ab", TokenType::Normal, -1);
        space_ab =
            add("\xE2\x96\x81"
                "ab",
                TokenType::Normal, -2);
        aa = add("aa", TokenType::Normal, -3);
        spec.model = "llama";
        spec.unknown_token_id = unknown;
        spec.bos_token_id = bos;
        spec.eos_token_id = eos;
    }
};

}  // namespace weir::text::testing
