#include "text/pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace weir::text {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Every match from left to right.
std::vector<std::string> matches(std::string_view text_of_pattern, std::string_view text) {
    const auto pattern = Pattern::create(text_of_pattern);
    EXPECT_TRUE(pattern) << text_of_pattern << ": " << pattern.error().message;
    std::vector<std::string> found;
    uint64_t steps = 0;
    for (size_t at = 0; pattern && at < text.size();) {
        if (const auto end = pattern->match_at(text, at, steps)) {
            found.emplace_back(text.substr(at, *end - at));
            at = *end;
        } else {
            ++at;
        }
    }
    return found;
}

TEST(Pattern, TheFirstAlternativeThatMatchesWinsNotTheLongest) {
    EXPECT_THAT(matches("a|ab", "ab"), ElementsAre("a"));
    EXPECT_THAT(matches("ab|a", "ab"), ElementsAre("ab"));
    EXPECT_THAT(matches("(?:a|ab)(?:c|bcd)", "abcd"), ElementsAre("abcd"));
}

TEST(Pattern, RepeatsAreGreedyLazyOrPossessive) {
    EXPECT_THAT(matches("a+", "aaa"), ElementsAre("aaa"));
    EXPECT_THAT(matches("a+?", "aaa"), ElementsAre("a", "a", "a"));
    EXPECT_THAT(matches("a{2,3}", "aaaaa"), ElementsAre("aaa", "aa"));
    EXPECT_THAT(matches("a{2}", "aaaaa"), ElementsAre("aa", "aa"));
    EXPECT_THAT(matches("a++a", "aaa"), IsEmpty());
    EXPECT_THAT(matches("[ab]?+b", "bb"), ElementsAre("bb"));
    EXPECT_THAT(matches("[ab]?+b", "b"), IsEmpty());
    // In Ruby's syntax this repeats the repeat.
    EXPECT_THAT(matches(R"(\p{N}{1,3}+)", "1234567"), ElementsAre("1234567"));
}

TEST(Pattern, ClassesAreUnitedIntersectedAndNegated) {
    EXPECT_THAT(matches("[a-c&&[^b]]+", "abc"), ElementsAre("a", "c"));
    EXPECT_THAT(matches("[^a-c]+", "axyb"), ElementsAre("xy"));
    EXPECT_THAT(matches("[a[xy]]+", "axyb"), ElementsAre("axy"));
    EXPECT_THAT(matches(R"([\]\-a]+)", "]-ab"), ElementsAre("]-a"));
    EXPECT_THAT(matches(R"(\x41\u0042\x{43}+)", "ABCC"), ElementsAre("ABCC"));
    EXPECT_THAT(matches(R"([^\S\n]+)", " \n\t"), ElementsAre(" ", "\t"));
    EXPECT_THAT(matches(R"(\p{^L}+)", "a12b"), ElementsAre("12"));
    EXPECT_THAT(matches(R"(\P{L}+)", "a12b"), ElementsAre("12"));
    EXPECT_THAT(matches("\\p{Han}+",
                        "a\xE4\xB8\xAD"
                        "b"),
                ElementsAre("\xE4\xB8\xAD"));
}

TEST(Pattern, LetterCaseIsFoldedWhereAsked) {
    EXPECT_THAT(matches("(?i:'s)|x",
                        "'S'\xC5\xBF"
                        "X"),
                ElementsAre("'S", "'\xC5\xBF"));
}

TEST(Pattern, LooksAheadAtOneCharacterOrTheEnd) {
    EXPECT_THAT(matches(R"(\s+(?!\S))", "a   b  "), ElementsAre("  ", "  "));
    EXPECT_THAT(matches("a(?=[bc])", "abacad"), ElementsAre("a", "a"));
    EXPECT_THAT(matches(R"(\s+$)", "a  \n b  "), ElementsAre("  ", "  "));
    EXPECT_THAT(matches(R"(a\z)", "aa"), ElementsAre("a"));
}

TEST(Pattern, BytesThatAreNoTextAreCharactersWithoutAClass) {
    EXPECT_THAT(matches(R"([^\s\p{L}]+)", "a\xFF\xC3 b"), ElementsAre("\xFF\xC3"));
    EXPECT_THAT(matches(R"(\p{S}+)", "\xFF"), IsEmpty());
}

TEST(Pattern, WhatIsNotKnownIsRefusedByName) {
    const auto refusal = [](std::string_view text) {
        const auto pattern = Pattern::create(text);
        EXPECT_FALSE(pattern) << text;
        return pattern ? std::string() : pattern.error().message;
    };
    EXPECT_THAT(refusal(R"((a)\1)"), HasSubstr("escape"));
    EXPECT_THAT(refusal("(?<=a)b"), HasSubstr("group"));
    EXPECT_THAT(refusal("^a"), HasSubstr("sign '^'"));
    EXPECT_THAT(refusal(R"(a\b)"), HasSubstr("escape"));
    EXPECT_THAT(refusal("a(?=bc)"), HasSubstr("look-ahead"));
    EXPECT_THAT(refusal(R"(\p{Lu}+)"), HasSubstr("Lu"));
    EXPECT_THAT(refusal(R"(\p{Greek}+)"), HasSubstr("Greek"));
    EXPECT_THAT(refusal("[[:alpha:]]"), HasSubstr("bracket"));
    EXPECT_THAT(refusal("(?:ab)++"), HasSubstr("possessive"));
    EXPECT_THAT(refusal("a*"), HasSubstr("nothing at all"));
    EXPECT_THAT(refusal("[a"), HasSubstr("']'"));
    EXPECT_THAT(refusal("(a"), HasSubstr("')'"));
    EXPECT_THAT(refusal("a)"), HasSubstr("')'"));
    EXPECT_THAT(refusal("a\\"), HasSubstr("backslash"));
    EXPECT_THAT(refusal("[b-a]"), HasSubstr("range"));
    EXPECT_THAT(refusal("a{3,2}"), HasSubstr("repeat"));
    EXPECT_THAT(refusal(std::string(200, '(') + "a" + std::string(200, ')')), HasSubstr("nesting"));
    EXPECT_THAT(refusal("ba" + std::string(16'000, '*')), HasSubstr("nesting of repeats"));
    EXPECT_THAT(refusal("(){1024}{1024}{20}a"), HasSubstr("too large"));
    EXPECT_THAT(refusal("(?:a{1000}){1000}"), HasSubstr("too large"));
    EXPECT_THAT(refusal("(?:a|b)*a(?:a|b){14}"), HasSubstr("too large"));  // 2^15 states
}

}  // namespace
}  // namespace weir::text
