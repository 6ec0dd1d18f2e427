#include "text/pretokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <utility>

namespace weir::text {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> pieces(const PreTokenizer& pre_tokenizer, std::string_view text) {
    PreTokenized cut;
    EXPECT_TRUE(pre_tokenizer.split(text, true, cut));
    std::vector<std::string> out;
    for (const Piece& piece : cut.pieces) {
        out.emplace_back(cut.text.substr(piece.begin, piece.end - piece.begin));
    }
    return out;
}

std::vector<std::string> pieces(PreTokenizer::Step step, std::string_view text) {
    return pieces(PreTokenizer(std::vector{std::move(step)}), text);
}

std::vector<std::string> pieces(Splitter splitter, std::string_view text) {
    return pieces(CutStep{.splitter = splitter}, text);
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

TEST(PreTokenizer, MatchesBecomeWhatTheBehaviourSays) {
    const auto cut = [](SplitBehavior behavior, bool inverted) {
        return pieces(CutStep{.splitter = Splitter::Literal,
                              .behavior = behavior,
                              .inverted = inverted,
                              .literal = "-"},
                      "-a--b");
    };
    EXPECT_THAT(cut(SplitBehavior::Isolated, false), ElementsAre("-", "a", "-", "-", "b"));
    EXPECT_THAT(cut(SplitBehavior::Removed, false), ElementsAre("a", "b"));
    EXPECT_THAT(cut(SplitBehavior::Removed, true), ElementsAre("-", "-", "-"));
    EXPECT_THAT(cut(SplitBehavior::MergedWithPrevious, false), ElementsAre("-", "a-", "-", "b"));
    EXPECT_THAT(cut(SplitBehavior::MergedWithNext, false), ElementsAre("-a", "-", "-b"));
    EXPECT_THAT(cut(SplitBehavior::Contiguous, false), ElementsAre("-", "a", "--", "b"));
}

TEST(PreTokenizer, ASignStandsForEverySpaceAndBeforeThePiecesThatItShould) {
    const auto signs = [](SignStep::Before before) {
        return pieces(PreTokenizer({CutStep{.splitter = Splitter::Literal, .literal = ","},
                                    SignStep{.sign = "_", .before = before}}),
                      "a b, c,_d");
    };
    EXPECT_THAT(signs(SignStep::Before::Never), ElementsAre("a_b", ",", "_c", ",", "_d"));
    EXPECT_THAT(signs(SignStep::Before::FirstPiece), ElementsAre("_a_b", ",", "_c", ",", "_d"));
    EXPECT_THAT(signs(SignStep::Before::EveryPiece), ElementsAre("_a_b", "_,", "_c", "_,", "_d"));
}

TEST(PreTokenizer, TheByteAlphabetIsReadBackToTheSamePieces) {
    const PreTokenizer spelled({AlphabetStep{AlphabetStep::Direction::Spell},
                                CutStep{.splitter = Splitter::Digits},
                                AlphabetStep{AlphabetStep::Direction::Read}});
    // U+00B2 is spelled with the characters of C2 and B2; the latter looks like a digit.
    EXPECT_THAT(pieces(spelled, "a1 \xC2\xB2"), ElementsAre("a", "1", " \xC2", "\xB2"));
}

TEST(PreTokenizer, DigitsAreGroupedFromTheRight) {
    EXPECT_THAT(pieces(Splitter::GroupsOfThree, "a1234567b12"),
                ElementsAre("a", "1", "234", "567", "b", "12"));
    EXPECT_THAT(pieces(Splitter::GroupsOfThreeAtBoundary, "1234 1234b"),
                ElementsAre("1", "234", " 1234b"));
}

TEST(PreTokenizer, WordsAndSignsOfTheReferencesOwnSteps) {
    const CutStep words{
        .splitter = Splitter::Words, .behavior = SplitBehavior::Removed, .inverted = true};
    EXPECT_THAT(pieces(words, "a_1 ,; \xE2\x82\xAC!"), ElementsAre("a_1", ",;", "\xE2\x82\xAC!"));
    EXPECT_THAT(pieces(Splitter::ReferencePunctuation, "a$!b"), ElementsAre("a", "$", "!", "b"));
    EXPECT_THAT(pieces(Splitter::LineRuns, "a b\n\nc"), ElementsAre("a b", "\n\n", "c"));
}

std::string random_text(std::mt19937& random, size_t characters) {
    constexpr std::string_view kCharacters[] = {"a",
                                                "B",
                                                "s",
                                                "'",
                                                " ",
                                                " ",
                                                "\n",
                                                "\r",
                                                "\t",
                                                "1",
                                                "9",
                                                "!",
                                                "/",
                                                "_",
                                                "l",
                                                "e",
                                                "T",
                                                "\xC3\xA9",
                                                "\xCC\x81",
                                                "\xC5\xBF",
                                                "\xC7\x85",
                                                "\xE4\xB8\xAD",
                                                "\xE3\x81\x82",
                                                "\xE0\xA5\x80",
                                                "\xC2\xA0",
                                                "\xE2\x82\xAC",
                                                "\xD9\xA3",
                                                "\xF0\x9F\x98\x80",
                                                "\xFF"};
    std::string text;
    for (size_t i = 0; i < characters; ++i) {
        text += kCharacters[random() % std::size(kCharacters)];
    }
    return text;
}

// The patterns as the models publish them, run as automata: an implementation that shares no line
// with the scanners.
TEST(PreTokenizer, ScannersCutAsTheirPatternsDo) {
    constexpr std::pair<Splitter, std::string_view> kRows[] = {
        {Splitter::Gpt2,
         R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"},
        {Splitter::Cl100k,
         R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
        {Splitter::Qwen2,
         R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
        {Splitter::Qwen35,
         R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
        {Splitter::O200k,
         R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
        {Splitter::Tekken,
         R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
        {Splitter::DeepSeekV3,
         R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
        {Splitter::AnyWords, R"(\s?\p{L}+)"},
        {Splitter::AnyPunctuation, R"(\s?\p{P}+)"},
        {Splitter::Digits, R"(\p{N})"},
        {Splitter::DigitTriples, R"(\p{N}{1,3})"},
        {Splitter::PunctuationRuns, R"([\p{P}\$\+<=>\^~\|`]+)"},
        {Splitter::LineRuns, R"([^\n]+|[\n]+)"},
    };
    std::mt19937 random(37);
    for (const auto& [splitter, text] : kRows) {
        auto pattern = Pattern::create(text);
        ASSERT_TRUE(pattern) << text << ": " << pattern.error().message;
        const CutStep automaton{.splitter = Splitter::Pattern,
                                .pattern = std::make_shared<const Pattern>(*std::move(pattern))};
        for (size_t size = 0; size < 400; ++size) {
            const std::string sample = random_text(random, size % 40);
            ASSERT_EQ(pieces(splitter, sample), pieces(automaton, sample))
                << static_cast<int>(splitter) << ": " << ::testing::PrintToString(sample);
        }
    }
}

TEST(PreTokenizer, EverySplitterCoversEveryTextAndNeverStandsStill) {
    std::mt19937 random(29);
    for (int splitter = 0; splitter <= static_cast<int>(Splitter::LineRuns); ++splitter) {
        if (splitter == static_cast<int>(Splitter::Pattern)) {
            continue;
        }
        for (size_t size = 0; size < 100; ++size) {
            const std::string text = random_text(random, size);
            PreTokenized cut;
            const PreTokenizer pre_tokenizer(
                {CutStep{.splitter = static_cast<Splitter>(splitter), .literal = "a"}});
            ASSERT_TRUE(pre_tokenizer.split(text, true, cut));
            uint32_t before = 0;
            for (const Piece& piece : cut.pieces) {
                ASSERT_EQ(piece.begin, before);
                ASSERT_GT(piece.end, before);
                before = piece.end;
            }
            ASSERT_EQ(before, text.size());
        }
    }
}

TEST(PreTokenizer, EveryNameOfGgufIsReadable) {
    for (const char* name :
         {"bloom", "viking", "chameleon", "tiny_aya", "kimi-k2", "superbpe", "bailingmoe",
          "seed-coder", "afmoe", "exaone-moe", "gemma4", "youtu", "minicpm5", "laguna"}) {
        const auto pre_tokenizer = PreTokenizer::of_gguf_name(name);
        ASSERT_TRUE(pre_tokenizer) << name << ": " << pre_tokenizer.error().message;
        std::string whole;
        for (const std::string& piece : pieces(*pre_tokenizer,
                                               "It's \xE4\xB8\xAD"
                                               "a 1234,\n\nx")) {
            whole += piece;
        }
        EXPECT_EQ(whole,
                  "It's \xE4\xB8\xAD"
                  "a 1234,\n\nx")
            << name;
    }
    const auto kimi = *PreTokenizer::of_gguf_name("kimi-k2");
    EXPECT_THAT(pieces(kimi,
                       "ab\xE4\xB8\xAD\xE6\x96\x87"
                       "c's 1234"),
                ElementsAre("ab", "\xE4\xB8\xAD\xE6\x96\x87", "c's", " ", "123", "4"));
    const auto bloom = *PreTokenizer::of_gguf_name("bloom");
    EXPECT_THAT(pieces(bloom, "hello, (wor|ld)! x"),
                ElementsAre("hello", ", (", "wor", "|", "ld", ")!", " x"));
}

TEST(PreTokenizer, AnUnknownPatternOrNameIsRefusedByIt) {
    EXPECT_THAT(PreTokenizer::of_pattern("(?<=x)y+").error().message, HasSubstr("(?<=x)y+"));
    EXPECT_THAT(PreTokenizer::of_gguf_name("kimi-k9").error().message, HasSubstr("kimi-k9"));
    EXPECT_EQ(PreTokenizer::of_gguf_name("x").error().code, ErrorCode::Unsupported);
}

TEST(PreTokenizer, TK8_APatternThatLooksAgainAndAgainIsStopped) {
    auto pattern = Pattern::create("a+b");
    ASSERT_TRUE(pattern);
    const PreTokenizer pre_tokenizer(
        {CutStep{.splitter = Splitter::Pattern,
                 .pattern = std::make_shared<const Pattern>(*std::move(pattern))}});
    PreTokenized cut;
    const auto split = pre_tokenizer.split(std::string(size_t{1} << 20, 'a'), true, cut);
    ASSERT_FALSE(split);
    EXPECT_EQ(split.error().code, ErrorCode::TooLarge);
}

}  // namespace
}  // namespace weir::text
