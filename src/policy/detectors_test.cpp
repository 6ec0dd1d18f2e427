#include "policy/detectors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "policy/fold.h"
#include "policy/unwrap.h"

namespace weir::policy {
namespace {

FindingSet found_in(std::string_view text) {
    FindingSet found;
    const std::string folded = fold(text).value();
    detect_all(folded, numbers_of(folded), found);
    return found;
}

TEST(PaymentCard, IsFoundHoweverItIsWritten) {
    for (const std::string_view text :
         {"my card is 4111111111111111 thanks", "4111 1111 1111 1111", "4111-1111-1111-1111",
          "3782 822463 10005", "x4111111111111111y", "4.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1",
          "4\u200B1\u200B1\u200B1\u200B1\u200B1\u200B1\u200B1\u200B1\u200B1\u200B1\u200B1\u200B1"
          "\u200B1\u200B1\u200B1",
          "４１１１　１１１１　１１１１　１１１１", "٤١١١١١١١١١١١١١١١",
          "4111\u00AD1111\u2011"
          "1111\u20131111"}) {
        EXPECT_TRUE(found_in(text).has(Finding::PaymentCard)) << text;
    }
}

TEST(PaymentCard, NumbersWithoutItsCheckDigitArePassed) {
    for (const std::string_view text :
         {"4111111111111112", "1234567890123456", "order 9999999999999995", "pi is 3.14159265",
          "1 2 3 4 5 6 7 8 9 10 11 12 13", "in 2024 we sold 1,250,000 units", "0000000000000000"}) {
        EXPECT_FALSE(found_in(text).has(Finding::PaymentCard)) << text;
    }
}

TEST(Email, IsFoundPlainAndDisguised) {
    for (const std::string_view text :
         {"write to ann.lee+x@mail.example.com", "ann [at] example [dot] org",
          "ａｎｎ＠ｅｘ．ｃｏｍ", "аnn@exаmple.com", "ann@\u200Bexample.com",
          "müller@bücher.example"}) {
        EXPECT_TRUE(found_in(text).has(Finding::Email)) << text;
    }
    for (const std::string_view text : {"meet @ noon", "a@b", "price @ 5.00", "@handle said hi"}) {
        EXPECT_FALSE(found_in(text).has(Finding::Email)) << text;
    }
}

TEST(Iban, NeedsItsCheckDigits) {
    for (const std::string_view text :
         {"DE89370400440532013000", "pay to GB82 WEST 1234 5698 7654 32 now",
          "my IBAN is de89 3704 0044 0532 0130 00 ok",
          "ＤＥ８９３７０４００４４０５３２０１３０００"}) {
        EXPECT_TRUE(found_in(text).has(Finding::Iban)) << text;
    }
    EXPECT_FALSE(found_in("DE89370400440532013001").has(Finding::Iban));
    EXPECT_FALSE(found_in("In 2024 revenue grew").has(Finding::Iban));
}

TEST(Phone, InternationalAndNationalFormsAreFound) {
    for (const std::string_view text : {"+49 30 1234567", "call (555) 123-4567", "555-123-4567",
                                        "0049 30 123456", "030 / 123 45 67", "+1-202-555-0143"}) {
        EXPECT_TRUE(found_in(text).has(Finding::Phone)) << text;
    }
    for (const std::string_view text : {"2 + 3 = 5", "version 1.2.3", "2024-05-17", "1000000"}) {
        EXPECT_FALSE(found_in(text).has(Finding::Phone)) << text;
    }
}

TEST(NationalId, KnownFormsAreFound) {
    for (const std::string_view text :
         {"SSN 078-05-1120", "AB 12 34 56 C", "DNI 12345678Z", "X1234567L", "RSSMRA85T10A562S",
          "my passport number is 123456789", "2 55 08 14 168 025 38", "756.1234.5678.97"}) {
        EXPECT_TRUE(found_in(text).has(Finding::NationalId)) << text;
    }
    EXPECT_FALSE(found_in("12345678A").has(Finding::NationalId));
}

TEST(Secret, KeysTokensAndPasswordsAreFound) {
    for (const std::string_view text :
         {"sk-abcdefghijklmnopqrstuvwxyz", "ghp_0123456789abcdefghij0123", "AKIAIOSFODNN7EXAMPLE",
          "-----BEGIN RSA PRIVATE KEY-----", "password: hunter2hunter2",
          "postgres://user:secret@db/x", "eyJhbGciOiJI.eyJzdWIiOiIx.abc"}) {
        EXPECT_TRUE(found_in(text).has(Finding::Secret)) << text;
    }
    EXPECT_FALSE(found_in("I forgot my password again").has(Finding::Secret));
}

TEST(Detectors, OrdinaryQuestionsAreClean) {
    for (const std::string_view text :
         {"Natalia sold clips to 48 of her friends in April, and then she sold half as many clips.",
          "What is 12345 * 6789?", "Translate to French: The weather is fine.",
          "def f(x): return x ** 2  # 10_000_000 calls", "The year 1999 had 365 days."}) {
        EXPECT_TRUE(found_in(text).empty()) << text;
    }
}

TEST(Unwrap, PV4_FindsTextInsideOtherCodings) {
    const auto holds_card = [](std::string_view text) {
        const Unwrapped inside = unwrap(text);
        const auto is_card = [](const std::string& inner) {
            return found_in(inner).has(Finding::PaymentCard);
        };
        return std::ranges::any_of(inside.texts, is_card) ||
               std::ranges::any_of(inside.plain, is_card);
    };
    EXPECT_TRUE(holds_card("data: NDExMTExMTExMTExMTExMQ== end"));
    EXPECT_TRUE(holds_card("34313131313131313131313131313131"));
    EXPECT_TRUE(holds_card("%34%31%31%31%31%31%31%31%31%31%31%31%31%31%31%31"));
    EXPECT_TRUE(holds_card(R"({"n":"\u0034111111111111111"})"));
    EXPECT_FALSE(unwrap("an ordinary sentence about nothing").unreadable);
}

}  // namespace
}  // namespace weir::policy
