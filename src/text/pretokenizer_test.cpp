#include "text/pretokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

namespace weir::text {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> pieces(const PreTokenizer& pre_tokenizer, std::string_view text) {
    std::vector<uint32_t> ends;
    pre_tokenizer.split(text, ends);
    std::vector<std::string> out;
    uint32_t begin = 0;
    for (const uint32_t end : ends) {
        out.emplace_back(text.substr(begin, end - begin));
        begin = end;
    }
    return out;
}

std::vector<std::string> pieces(Splitter splitter, std::string_view text) {
    return pieces(PreTokenizer({splitter}), text);
}

TEST(PreTokenizer, Gpt2KeepsASpaceWithWhatFollowsIt) {
    EXPECT_THAT(pieces(Splitter::Gpt2, "I'm  here, 12345!"),
                ElementsAre("I", "'m", " ", " here", ",", " 12345", "!"));
    EXPECT_THAT(pieces(Splitter::Gpt2, "IT'S"), ElementsAre("IT", "'", "S"));
    EXPECT_THAT(pieces(Splitter::Gpt2, " \n x \t"), ElementsAre(" \n", " x", " \t"));
}

TEST(PreTokenizer, Cl100kTakesContractionsInAnyCaseAndThreeDigits) {
    EXPECT_THAT(pieces(Splitter::Cl100k, "IT'S 12345"), ElementsAre("IT", "'S", " ", "123", "45"));
    EXPECT_THAT(pieces(Splitter::Cl100k, "it'\xC5\xBF"), ElementsAre("it", "'\xC5\xBF"));
    EXPECT_THAT(pieces(Splitter::Cl100k, "'sx"), ElementsAre("'s", "x"));
    EXPECT_THAT(pieces(Splitter::Cl100k, "'x 'lx"), ElementsAre("'x", " '", "lx"));
}

TEST(PreTokenizer, Cl100kTakesOneCharacterBeforeAWord) {
    EXPECT_THAT(pieces(Splitter::Cl100k, "(a\ta\na"), ElementsAre("(a", "\ta", "\n", "a"));
    EXPECT_THAT(pieces(Splitter::Cl100k, "((a"), ElementsAre("((", "a"));
}

TEST(PreTokenizer, Cl100kEndsSpacesAtTheLastNewline) {
    EXPECT_THAT(pieces(Splitter::Cl100k, "a \n \r\n  b"), ElementsAre("a", " \n \r\n", " ", " b"));
    EXPECT_THAT(pieces(Splitter::Cl100k, "a;\n\n b"), ElementsAre("a", ";\n\n", " b"));
    EXPECT_THAT(pieces(Splitter::Cl100k, "a   1"), ElementsAre("a", "  ", " ", "1"));
    EXPECT_THAT(pieces(Splitter::Cl100k, "a   "), ElementsAre("a", "   "));
}

TEST(PreTokenizer, Qwen35KeepsMarksInsideOfWords) {
    EXPECT_THAT(pieces(Splitter::Qwen2, "e\xCC\x81z12"), ElementsAre("e", "\xCC\x81z", "1", "2"));
    EXPECT_THAT(pieces(Splitter::Qwen35, "e\xCC\x81z12"), ElementsAre("e\xCC\x81z", "1", "2"));
}

TEST(PreTokenizer, CasedWordsEndWhereTheCaseTurns) {
    EXPECT_THAT(pieces(Splitter::Tekken, "helloWorld HTTPServer"),
                ElementsAre("hello", "World", " HTTPServer"));
    EXPECT_THAT(pieces(Splitter::Tekken, "ABC"), ElementsAre("ABC"));
    // The caseless letter ends the first alternative, the capitals behind it are a word.
    EXPECT_THAT(pieces(Splitter::Tekken,
                       "A\xE4\xB8\xAD"
                       "BC!"),
                ElementsAre("A\xE4\xB8\xAD", "BC", "!"));
    EXPECT_THAT(pieces(Splitter::Tekken, "a//\n/b 12"),
                ElementsAre("a", "//\n/", "b", " ", "1", "2"));
    EXPECT_THAT(pieces(Splitter::O200k, "It's 1234'S"), ElementsAre("It's", " ", "123", "4", "'S"));
}

TEST(PreTokenizer, DeepSeekV3TakesASignWithAnAsciiWord) {
    const PreTokenizer pre_tokenizer = *PreTokenizer::of_gguf_name("deepseek-v3");
    EXPECT_THAT(pieces(pre_tokenizer, "#include 12345 \xE4\xB8\xAD\xE6\x96\x87."),
                ElementsAre("#include", " ", "123", "45", " ", "\xE4\xB8\xAD\xE6\x96\x87", "."));
}

TEST(PreTokenizer, SplittersCutWhatTheOneBeforeLeft) {
    const PreTokenizer falcon = *PreTokenizer::of_gguf_name("falcon");
    EXPECT_THAT(pieces(falcon, "a 12345, b"), ElementsAre("a", " ", "123", "45", ",", " b"));
    const PreTokenizer deepseek = *PreTokenizer::of_gguf_name("deepseek-llm");
    EXPECT_THAT(pieces(deepseek, "a b\n 12!  "),
                ElementsAre("a", " b", "\n", " ", "12", "!", "  "));
}

TEST(PreTokenizer, MetaspaceCutsBeforeItsSign) {
    EXPECT_THAT(pieces(Splitter::MetaspaceWords,
                       "\xE2\x96\x81"
                       "a\xE2\x96\x81\xE2\x96\x81"),
                ElementsAre("\xE2\x96\x81"
                            "a",
                            "\xE2\x96\x81", "\xE2\x96\x81"));
}

TEST(PreTokenizer, EverySplitterCoversEveryTextAndNeverStandsStill) {
    std::mt19937 random(29);
    for (int splitter = 0; splitter <= static_cast<int>(Splitter::MetaspaceWords); ++splitter) {
        for (size_t size = 0; size < 300; ++size) {
            std::string text(size, '\0');
            for (char& byte : text) {
                byte = "a A1'\n!\xE4\xB8\xAD\xFF"[random() % 11];
            }
            std::vector<uint32_t> ends;
            PreTokenizer({static_cast<Splitter>(splitter)}).split(text, ends);
            uint32_t before = 0;
            for (const uint32_t end : ends) {
                ASSERT_GT(end, before);
                before = end;
            }
            ASSERT_EQ(before, text.size());
        }
    }
}

TEST(PreTokenizer, AnUnknownPatternOrNameIsRefusedByIt) {
    EXPECT_THAT(PreTokenizer::of_pattern("x+").error().message, HasSubstr("x+"));
    EXPECT_THAT(PreTokenizer::of_gguf_name("kimi-k9").error().message, HasSubstr("kimi-k9"));
    EXPECT_EQ(PreTokenizer::of_gguf_name("x").error().code, ErrorCode::Unsupported);
}

}  // namespace
}  // namespace weir::text
