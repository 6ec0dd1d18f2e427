#include "base/utf8.h"

#include <gtest/gtest.h>

namespace weir::utf8 {
namespace {

TEST(Utf8, EveryCodePointComesBack) {
    for (char32_t c = 0; c <= 0x10FFFF; ++c) {
        if (c >= 0xD800 && c <= 0xDFFF) {
            continue;
        }
        std::string text;
        append(text, c);
        const Decoded decoded = decode(text, 0);
        ASSERT_TRUE(decoded.valid);
        ASSERT_EQ(decoded.code_point, c);
        ASSERT_EQ(decoded.bytes, text.size());
    }
}

TEST(Utf8, OverlongFormsAndSurrogatesAreInvalid) {
    for (const std::string_view bad : {"\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80",
                                       "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\xFF", "\x80"}) {
        EXPECT_FALSE(is_valid(bad));
        EXPECT_EQ(decode(bad, 0).bytes, 1u);
    }
}

TEST(Utf8, CutCharacterIsHeldBackAndInvalidBytesAreNot) {
    EXPECT_EQ(incomplete_tail_bytes("a\xE2\x82"), 2u);
    EXPECT_EQ(incomplete_tail_bytes("a\xF0\x9F\x98"), 3u);
    EXPECT_EQ(incomplete_tail_bytes("a\xE2\x82\xAC"), 0u);
    EXPECT_EQ(incomplete_tail_bytes("\x80"), 0u);
    EXPECT_EQ(incomplete_tail_bytes("\xED\xA0"), 0u);
    EXPECT_EQ(incomplete_tail_bytes(""), 0u);
}

TEST(Utf8, MaximalSubpartsBecomeOneReplacementEach) {
    EXPECT_EQ(to_valid("a\xF0\x9F\x98z\xC0\x80"), "a\uFFFDz\uFFFD\uFFFD");
}

}  // namespace
}  // namespace weir::utf8
