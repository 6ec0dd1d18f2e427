#include "text/normalize.h"

#include <gtest/gtest.h>

#include <string>

#include "base/utf8.h"
#include "text/normalizer.h"
#include "text/unicode.h"

namespace weir::text {
namespace {

std::string utf8_of(std::u32string_view code_points) {
    std::string text;
    for (const char32_t code_point : code_points) {
        utf8::append(text, code_point);
    }
    return text;
}

// Rows of Unicode's NormalizationTest.txt and of UAX #15, one for each rule.
TEST(Normalize, NfcComposesAsUnicodeSays) {
    struct Row {
        std::u32string_view source, nfc;
    };
    const Row rows[] = {
        {U"e\x301", U"\xE9"},
        {U"\x212B", U"\xC5"},              // singleton
        {U"\x1E0A\x323", U"\x1E0C\x307"},  // reordered, then composed
        {U"a\x315\x300\x5AE\x300\x62", U"\xE0\x5AE\x300\x315\x62"},
        {U"\x958", U"\x915\x93C"},           // excluded from composition
        {U"\x1100\x1161\x11A8", U"\xAC01"},  // Hangul
        {U"\xAC00\x11A8", U"\xAC01"},
        {U"\x1100\xAC00", U"\x1100\xAC00"},
        {U"\x1D15E", U"\x1D157\x1D165"},  // beyond the first plane
        {U"\x9C7\x9BE", U"\x9CB"},        // two starters
        {U"\xA4\x301", U"\xA4\x301"},
        {U"", U""},
    };
    for (const Row& row : rows) {
        EXPECT_EQ(to_nfc(utf8_of(row.source)), utf8_of(row.nfc));
        EXPECT_EQ(to_nfc(utf8_of(row.nfc)), utf8_of(row.nfc));
    }
    EXPECT_EQ(to_nfd(utf8_of(U"\x1E69\xAC01")), utf8_of(U"s\x323\x307\x1100\x1161\x11A8"));
}

TEST(Normalize, BytesThatAreNoUtf8Stay) {
    EXPECT_EQ(to_nfc("e\xFF\xCC\x81"), "e\xFF\xCC\x81");
    EXPECT_EQ(to_nfc("\xCC\x81\xE4\xB8"), "\xCC\x81\xE4\xB8");
}

TEST(Unicode, ClassesAreThoseOfTheGeneralCategories) {
    const CharTable& table = CharTable::get();
    EXPECT_EQ(table.of(U'A'), kUpper);
    EXPECT_EQ(table.of(0x1C5), kUpper);  // title case
    EXPECT_EQ(table.of(U'z'), kLower);
    EXPECT_EQ(table.of(0x4E2D), kCaseless);
    EXPECT_EQ(table.of(0x2B0), kCaseless);  // modifier letter
    EXPECT_EQ(table.of(0x301), kMark);
    EXPECT_EQ(table.of(0xBD), kNumber);
    EXPECT_EQ(table.of(0x2028), kSpace);
    EXPECT_EQ(table.of(0x85), kSpace);
    EXPECT_EQ(table.of(0x200B), 0);  // zero width space is none
    EXPECT_EQ(table.of(U'_'), kPunctuation);
    EXPECT_EQ(table.of(U'$'), kSymbol);
    EXPECT_EQ(table.of(0), 0);
    EXPECT_EQ(table.of(0x10FFFF), 0);
    EXPECT_EQ(table.of(0x110000), 0);
}

TEST(Unicode, LowerCaseIsTheSimpleOne) {
    EXPECT_EQ(to_lower(U'Q'), U'q');
    EXPECT_EQ(to_lower(0x100), 0x101U);
    EXPECT_EQ(to_lower(0x101), 0x101U);
    EXPECT_EQ(to_lower(0x10400), 0x10428U);
    EXPECT_EQ(to_lower(0x4E2D), 0x4E2DU);
}

TEST(Normalizer, StepsRunInOrderAndPrependOnceAStretch) {
    Normalizer normalizer;
    normalizer.add({.kind = Normalizer::Kind::Squeeze});
    normalizer.add({.kind = Normalizer::Kind::Prepend, .to = " "});
    normalizer.add({.kind = Normalizer::Kind::Replace, .from = " ", .to = "_"});
    EXPECT_EQ(normalizer.apply("  a   b ", Normalizer::Place::TextStart), "_a_b");
    EXPECT_EQ(normalizer.apply("a", Normalizer::Place::StretchStart), "_a");
    EXPECT_EQ(normalizer.apply("a", Normalizer::Place::Inside), "a");
    EXPECT_EQ(normalizer.apply("", Normalizer::Place::TextStart), "");
}

TEST(Normalize, CompatibilityFormsReplaceWhatLooksTheSame) {
    EXPECT_EQ(to_nfkc("\xEF\xAC\x81"), "fi");                // the ligature
    EXPECT_EQ(to_nfkc("\xEF\xBC\xA1\xCC\x8A"), "\xC3\x85");  // fullwidth A and a ring
    EXPECT_EQ(to_nfkd("\xC3\x85"), "A\xCC\x8A");
    EXPECT_EQ(to_nfkd("\xE2\x85\xA7"), "VIII");
    EXPECT_EQ(to_nfkc("a\xC2\xA0\xFF"), "a \xFF");
}

TEST(Normalizer, BertTakesControlsAndAccentsAndSetsChineseApart) {
    Normalizer bert;
    add_bert_normalizer({}, bert);
    EXPECT_EQ(bert.apply("\xC3\x89t\x01\xC3\xA9\t\xE4\xB8\xAD!", Normalizer::Place::TextStart),
              "ete  \xE4\xB8\xAD !");
}

TEST(Normalizer, StripTakesWhiteSpaceAtTheSidesThatItSays) {
    const auto stripped = [](bool left, bool right) {
        Normalizer normalizer;
        normalizer.add({.kind = Normalizer::Kind::Strip, .left = left, .right = right});
        return normalizer.apply(" \xC2\xA0 a b\n", Normalizer::Place::TextStart);
    };
    EXPECT_EQ(stripped(true, true), "a b");
    EXPECT_EQ(stripped(true, false), "a b\n");
    EXPECT_EQ(stripped(false, true), " \xC2\xA0 a b");
}

}  // namespace
}  // namespace weir::text
