#include "providers/sanitize.h"

#include <gtest/gtest.h>

#include "base/utf8.h"

namespace weir::providers {
namespace {

TEST(Sanitize, SE1_KeysAreRemoved) {
    EXPECT_EQ(sanitized_text("Incorrect key: sk-proj-abc***xyz."), "Incorrect key: [removed].");
    EXPECT_EQ(sanitized_text("Authorization: Bearer secret"), "Authorization: Bearer [removed]");
    EXPECT_EQ(sanitized_text("key 'abcd1234efgh5678ijkl' bad"), "key '[removed]' bad");
    EXPECT_EQ(sanitized_text("in org-a"), "in [removed]");
}

TEST(Sanitize, SE2_AddressesAreRemoved) {
    EXPECT_EQ(sanitized_text("POST https://user:pw@up.example/v1?key=1 failed"),
              "POST [removed] failed");
    EXPECT_EQ(sanitized_text("no route to gpu-3.prod.internal."), "no route to [removed].");
    EXPECT_EQ(sanitized_text("connect 10.0.0.7:8000, [::1] and fe80::1"),
              "connect [removed], [removed] and [removed]");
    EXPECT_EQ(sanitized_text("ask ops@up.example"), "ask [removed]");
}

TEST(Sanitize, UsefulWordsStay) {
    for (const std::string_view text :
         {"This model's maximum context length is 8192 tokens.",
          "Invalid value for messages[2].content: expected a string (e.g. 'hi').",
          "tools.0.function.name must match ^[a-zA-Z0-9_-]+$", "gpt-4o-mini-2024-07-18 is busy"}) {
        EXPECT_EQ(sanitized_text(text), text);
    }
}

TEST(Sanitize, OutputIsBoundedValidAndWithoutControls) {
    EXPECT_EQ(sanitized_text("a\r\nb\0c\x7F", 300), "a  b");  // the literal ends at its NUL
    EXPECT_EQ(sanitized_text("\xFFz"), "\uFFFDz");
    std::string umlauts;
    for (int i = 0; i < 10'000; ++i) {
        umlauts += "ü";
    }
    EXPECT_LE(sanitized_text(umlauts).size(), 300u);
    EXPECT_TRUE(utf8::is_valid(sanitized_text("x" + umlauts)));
    EXPECT_EQ(sanitized_text(std::string(1196, ' ') + "sk-abcdef").find("sk"), std::string::npos);
}

TEST(Sanitize, TokensAreCodesOrNothing) {
    EXPECT_EQ(sanitized_token("context_length_exceeded"), "context_length_exceeded");
    EXPECT_EQ(sanitized_token("messages[0].content"), "messages[0].content");
    EXPECT_EQ(sanitized_token("a b"), "");
    EXPECT_EQ(sanitized_token("sk-abc"), "");
    EXPECT_EQ(sanitized_token(std::string(101, 'a')), "");
}

}  // namespace
}  // namespace weir::providers
