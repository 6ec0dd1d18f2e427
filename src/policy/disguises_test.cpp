// Rows of what people and programs put around a value. The card is Visa's test number, the IBAN the
// registry's German example: neither is anybody's.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "policy/inspector.h"

namespace weir::policy {
namespace {

using chat::Label;

const std::string kCard = "4111111111111111";
const std::string kIban = "DE89370400440532013000";
const std::string kKey = "sk-proj-abcdEFGH1234567890abcdEFGH1234567890abcd";

std::string reason_of(chat::ChatRequest request) {
    Verdict verdict;
    Inspector({.scan_deadline = std::chrono::seconds(30)}).inspect(std::move(request), {}, verdict);
    return verdict.reason;
}

chat::ChatRequest asking(std::vector<chat::Message> messages) {
    chat::ChatRequest request;
    request.model = "m";
    request.input = chat::Conversation{.messages = std::move(messages)};
    return request;
}

std::string reason_of(std::string_view text) {
    return reason_of(asking({{.content = {{.text = std::string(text)}}}}));
}

bool finds(std::string_view text, std::string_view what) {
    return reason_of(text).find(what) != std::string::npos;
}

std::string in_groups(std::string_view digits, size_t size, std::string_view between) {
    std::string out;
    for (size_t at = 0; at < digits.size(); at += size) {
        out.append(at == 0 ? "" : between).append(digits.substr(at, size));
    }
    return out;
}

template <typename Write>
std::string each(std::string_view text, Write write) {
    std::string out;
    for (const char c : text) {
        out += write(static_cast<unsigned char>(c));
    }
    return out;
}

TEST(Disguise, PV3_ACardsGroupsMayHaveAnySignBetween) {
    for (const std::string_view sign :
         {" ",       "-",         ".",       "/",          "_",       "   ",    "          ",
          "\t",      "\r\n",      "\n\n",    "\n\n\n\n\n", "\n- ",    ",",      ", ",
          ";",       ":",         " : ",     "|",          " | ",     "=",      "'",
          "’",       "+",         "~",       "#",          "\\",      "*",      "**",
          "\"",      "•",         " • ",     "→",          " → ",     ") (",    "}{",
          "][",      "…",         "–",       " — ",        "−",       "·",      "\u2009",
          "\u202F",  "\u00A0",    "\u3000",  "\u1680",     "\u2028",  "\u0085", "\u200E",
          "\uFFF9",  "😀",        "\uFFFD",  "\uE000",     "\u0378",  "\u2800", "\u17B4",
          "\\n",     "\\t",       "\\u0020", "%20",        "&nbsp;",  "&#32;",  "<br>",
          "<br/>\n", "</td><td>", "</b><b>", "` `",        "\" + \"", "\", \"", "\n> ",
          "\n>> "}) {
        EXPECT_TRUE(finds("card " + in_groups(kCard, 4, sign) + " ok", "payment_card")) << sign;
        EXPECT_TRUE(finds(in_groups("378282246310005", 4, sign), "payment_card")) << sign;
    }
    for (const std::string_view sign :
         {",", "\n", "*", "_", " | ", ", ", "  ", "\u2800", "</i><i>"}) {
        EXPECT_TRUE(finds("card " + in_groups(kCard, 1, sign) + " ok", "payment_card")) << sign;
    }
}

TEST(Disguise, PV3_ACardMayBeCutOddly) {
    for (const std::string_view text :
         {"41111 11111 11111 1",
          "41 1111 1111 1111 11",
          "41-11-11-11-11-11-11-11",
          "41111111,11111111",
          "3782 822463 10005",
          "3782,822463,10005",
          "4111 1111 1111 **1111**",
          "`4111` `1111` `1111` `1111`",
          "| 4111 | 1111 | 1111 | 1111 |",
          "<tr><td>4111</td><td>1111</td><td>1111</td><td>1111</td></tr>",
          "\"4111 11\" + \"11 1111 1111\"",
          "<b>411111</b>1111111111",
          "411111<!-- -->1111111111",
          "1234 4111 1111 1111 1111",
          "4111 1111 1111 1111 1234 5678 9012",
          "2024-01-01 4111 1111 1111 1111",
          "20244111111111111111",
          "41111111111111114111111111111111",
          "4111111111111111=271210100000",
          "1111111111111114 (read it from the end)"}) {
        EXPECT_TRUE(finds(text, "payment_card")) << text;
    }
    for (const std::string_view length : {"6759649826438453", "6759411100000008",
                                          "6304000000000000", "213176828496175", "630427373398"}) {
        EXPECT_TRUE(finds(length, "payment_card")) << length;
    }
}

TEST(Disguise, ListsOfNumbersAreNoCards) {
    for (const std::string_view text :
         {"1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20", "0000 0000 0000 0000",
          "[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]", "1 000 000 000 000",
          "1,250,000 and 3,400,000", "2019, 2020, 2021, 2022, 2023, 2024",
          "5 3 4 6 7 8 9 1 2\n6 7 2 1 9 5 3 4 8\n1 9 8 3 4 2 5 6 7\n8 5 9 7 6 1 4 2 3\n4 2 6 8 5 3 "
          "7 "
          "9 1\n7 1 3 9 2 4 8 5 6\n9 6 1 5 3 7 2 8 4\n2 8 7 4 1 9 6 3 5\n3 4 5 2 8 6 1 7 9",
          "timestamp 2026-11-21T14:56:08.455Z", "1700000000000", "When: 2000-04-16 11:34:35, there",
          "pi 3.14159265358979323846", "uuid 550e8400-e29b-41d4-a716-446655440000",
          "ISBN 978-3-16-148410-0", "version 1.2.3.4 10:20:30 2024-01-02",
          "color #4111aa 192.168.0.1", "order 1234567890",
          "We sold 4500 in May, 5200 in June, 4800 in July and 5600 in August.",
          "He was born in 1961, she in 1964, they married in 1985 and moved in 1992."}) {
        EXPECT_EQ(reason_of(text), "nothing found") << text;
    }
}

TEST(Disguise, PV3_AnIbansCharactersMayHaveAnySignBetween) {
    for (const std::string_view sign : {" ", "-", ".", "/", ",", ", ", "|", "  ", "\n", "\u00A0",
                                        "\u2003", "\u2800", "\n> ", "`", "</td><td>"}) {
        EXPECT_TRUE(finds("pay " + in_groups(kIban, 4, sign) + " now", "iban")) << sign;
        EXPECT_TRUE(finds("pay " + in_groups(kIban, 1, sign) + " now", "iban")) << sign;
    }
    EXPECT_TRUE(finds("IBAN:" + kIban + "EUR", "iban"));
    EXPECT_TRUE(finds(std::string(kIban.rbegin(), kIban.rend()), "iban"));
    for (const std::string_view text :
         {"by 2024 we had sold 12 of them, and then 30 more", "is 20 or 30, and it 12",
          "In 2024 revenue grew", "at 10 12 of them came"}) {
        EXPECT_EQ(reason_of(text), "nothing found") << text;
    }
}

TEST(Disguise, PhonesAndAddressesInTheirOtherForms) {
    for (const std::string_view text :
         {"tel:4155552671", "Tel 01701234567", "call 4155552671", "my mobile is 0170 1234567",
          "Phone: (99) 645-791", "phone: 451 5986", "555|123|4567", "555/234/4567",
          "(415) 555-2671", "+49 (0) 170 / 123 45 67", "020 7946 0958"}) {
        EXPECT_TRUE(finds(text, "phone")) << text;
    }
    for (const std::string_view text :
         {"\"john doe\"@example.com", "john@[192.168.1.1]", "john dot doe at example dot com",
          "john.doe @ example.com", "john.doe&#64;example.com", "john.doe&#x40;example.com",
          "john.doe&commat;example.com", "mailto:john.doe%40example.com",
          R"({"a":"{\"b\":\"john.doe\\u0040example.com\"}"})", "john<b>.doe</b>@exam<i>ple</i>.com",
          "moc.elpmaxe@eod.nhoj"}) {
        EXPECT_TRUE(finds(text, "email")) << text;
    }
    for (const std::string_view text :
         {"git@github.com:foo/bar.git", "npm i react@18.2.0", "x@media (min-width)",
          "@decorator\ndef x.y", "meet @ noon. See you there", "look at the dot com bubble",
          "def f(x): return x@y.T"}) {
        EXPECT_EQ(reason_of(text), "nothing found") << text;
    }
}

TEST(Disguise, PV3_WordsMayBeSpelled) {
    for (const std::string_view sign :
         {" ", "  ", ".", "_", "*", ", ", " | ", "\", \"", "\n", "\u2003"}) {
        EXPECT_TRUE(finds("note: " + in_groups("john.doe@example.com", 1, sign), "email")) << sign;
        EXPECT_TRUE(finds("note: " + in_groups(kKey, 1, sign), "secret")) << sign;
        EXPECT_TRUE(finds("note: " + in_groups(kIban, 1, sign), "iban")) << sign;
    }
    for (const std::string_view text :
         {"a, b, c, d, e, f, g, h, i, j, k, l", "A B C D E F G H I J K L",
          "x = 1 + 2 - 3 * 4 / 5 + y - z + 6 * 7 + 8 - 9"}) {
        EXPECT_EQ(reason_of(text), "nothing found") << text;
    }
}

TEST(Disguise, NationalIdsByTheirCheckDigits) {
    for (const std::string_view text :
         {"111.444.777-35", "2341 2341 2346", "219,09,9999", "219 09 9999", "219|09|9999",
          "passport C01X00T47", "NHS 943 476 5919", "my BSN is 111222333"}) {
        EXPECT_TRUE(finds(text, "national_id")) << text;
    }
    for (const std::string_view text : {"111.444.777-36", "in tin cans, 12345678 of them"}) {
        EXPECT_EQ(reason_of(text), "nothing found") << text;
    }
}

TEST(Disguise, PV4_EscapesAreUndone) {
    using fmt::format;
    const std::pair<const char*, std::string> rows[] = {
        {"HTML decimal", each(kCard, [](unsigned c) { return format("&#{};", c); })},
        {"HTML hexadecimal", each(kCard, [](unsigned c) { return format("&#x{:x};", c); })},
        {"HTML without end", each(kCard, [](unsigned c) { return format("&#{}", c); })},
        {"one entity", "&#52;111 1111 1111 1111"},
        {"URL", each(kCard, [](unsigned c) { return format("%{:02x}", c); })},
        {"URL twice", each(kCard, [](unsigned c) { return format("%25{:02x}", c); })},
        {"JSON", each(kCard, [](unsigned c) { return format("\\u{:04x}", c); })},
        {"JSON twice", each(kCard, [](unsigned c) { return format("\\\\u{:04x}", c); })},
        {"C hexadecimal", each(kCard, [](unsigned c) { return format("\\x{:02x}", c); })},
        {"octal", each(kCard, [](unsigned c) { return format("\\{:03o}", c); })},
        {"braced", each(kCard, [](unsigned c) { return format("\\u{{{:x}}}", c); })},
        {"quoted-printable", each(kCard, [](unsigned c) { return format("={:02X}", c); })},
        {"code points", each(kCard, [](unsigned c) { return format("U+{:04X} ", c); })},
        {"bytes", each(kCard, [](unsigned c) { return format("{:02x} ", c); })},
        {"bytes with colons", each(kCard, [](unsigned c) { return format("{:02X}:", c); })},
        {"bytes with 0x", each(kCard, [](unsigned c) { return format("0x{:x}, ", c); })},
        {"decimal codes", each(kCard, [](unsigned c) { return format("{} ", c); })},
        {"binary", each(kCard, [](unsigned c) { return format("{:08b} ", c); })},
        {"a pair of surrogates", R"({"n":"\ud835\udff0111 1111 1111 1111"})"},
    };
    for (const auto& [how, text] : rows) {
        // Some are taken for a telephone's number before they are opened, which is as good.
        EXPECT_NE(reason_of("Please note: " + text + " thanks"), "nothing found") << how;
    }
    for (const std::string& text :
         {R"({"text":"KEY=\n)" + kKey + "\"}", R"({"a":"x\t)" + kKey + "\"}",
          R"({"a":"{\"b\":\"x\\n)" + kKey + R"(\"}"})", "_" + kKey, "X" + kKey}) {
        EXPECT_TRUE(finds(text, "secret")) << text;
    }
}

TEST(Disguise, PV4_BasesAreOpened) {
    for (const std::string_view text :
         {"N D E x M S A x M T E x I D E x M T E g M T E x M Q = =",   // blanks between
          "NDExMSAx\nMTExIDEx\nMTEgMTEx\nMQ==",                        // in lines
          "Here it is\nNDExMSAxMTExIDExMTEgMTExMQ==\nthanks",          // between lines
          "//40ADEAMQAxACAAMQAxADEAMQAgADEAMQAxADEAIAAxADEAMQAxAA==",  // UTF-16
          "==QMxETMgETMxEDIxETMxASMxEDN",                              // backwards
          "GQYTCMJAGEYTCMJAGEYTCMJAGEYTCMI=",                          // base32
          "CgVKb2huIBIQNDExMTExMTExMTExMTExMRj/////Dw=="}) {           // in a record
        EXPECT_TRUE(finds(text, "payment_card")) << text;
    }
}

TEST(Disguise, PV4_DeeperThanIsOpenedIsUnreadable) {
    const auto encoded = [](std::string_view text) {
        constexpr std::string_view kDigits =
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        std::string out;
        uint32_t bits = 0;
        uint32_t count = 0;
        for (const char c : text) {
            bits = (bits << 8) | static_cast<unsigned char>(c);
            for (count += 8; count >= 6; count -= 6) {
                out.push_back(kDigits[(bits >> (count - 6)) & 63]);
            }
        }
        if (count > 0) {
            out.push_back(kDigits[(bits << (6 - count)) & 63]);
        }
        return out;
    };
    std::string text = "my card is 4111 1111 1111 1111";
    for (int depth = 1; depth <= 6; ++depth) {
        text = encoded(text);
        EXPECT_TRUE(finds(text, depth <= 3 ? "payment_card" : "unreadable")) << depth;
    }
}

TEST(Disguise, PV3_NumeralsOfOtherKinds) {
    for (const std::string_view text :
         {"❹❶❶❶❶❶❶❶❶❶❶❶❶❶❶❶", "四一一一 一一一一 一一一一 一一一一", "ⅣⅠⅠⅠⅠⅠⅠⅠⅠⅠⅠⅠⅠⅠⅠⅠ",
          "⁴¹¹¹¹¹¹¹¹¹¹¹¹¹¹¹", "④①①①①①①①①①①①①①①①",
          "4\u28001\u28001\u28001\u28001\u28001\u28001\u28001\u28001\u28001\u28001\u28001\u28001"
          "\u28001\u28001\u28001",
          "4\u03781\u03781\u037811\u037811\u037811\u037811\u037811\u037811\u03781"}) {
        EXPECT_TRUE(finds(text, "payment_card")) << text;
    }
}

TEST(Disguise, SecretsAreKnownByTheirForm) {
    const std::string hex40 = "0123456789abcdef0123456789abcdef01234567";
    for (const std::string& text :
         {std::string("Authorization: Bearer abcdef1234567890abcdef"),
          std::string("Authorization: Basic YWRtaW46aHVudGVyMg=="),
          std::string("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzzKEY"),
          std::string("AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz=="),
          std::string("gsk_abcdefghijklmnopqrstuvwxyz0123456789"),
          "dop_v1_" + hex40 + "0123456789abcdef01234567",
          std::string("SK0123456789abcdef0123456789abcdef"),
          "AGE-SECRET-KEY-1" + std::string(58, 'Q'),
          std::string("https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXX"),
          std::string("110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0"),
          std::string("5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ"),
          std::string("password=Hunter2!xyz"), std::string("Passwort: Hunter2!xyz"),
          std::string("my password is Hunter2!xyz"), std::string("{\"password\":\"Hunter2!xyz\"}"),
          std::string("API_KEY=9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c"), "https://h/?key=" + kKey}) {
        EXPECT_TRUE(finds(text, "secret")) << text;
    }
    for (const std::string_view text :
         {"password: <password>", "password = ${PASSWORD}", "api_key=YOUR_API_KEY_HERE",
          "password: str", "Passwort: ********", "password is incorrect", "secret = get_secret()",
          "Authorization: Bearer $TOKEN", "risk-adjusted-returns-in-2024",
          "the bearer of this letter", "password=self.password", "Basic mathematics",
          "a desk-mounted-monitor-arm-2000"}) {
        EXPECT_EQ(reason_of(text), "nothing found") << text;
    }
}

TEST(Disguise, PV5_APartOfACardInEachOfSeveralTurns) {
    using chat::Message;
    using chat::Role;
    const auto user = [](std::string text) {
        return Message{.content = {{.text = std::move(text)}}};
    };
    const Message answer{.role = Role::Assistant, .content = {{.text = "ok, go on"}}};
    const std::vector<std::vector<Message>> rows = {
        {user("my card starts with 4111 1111"), answer, user("and ends with 1111 1111")},
        {user("my card starts with 4111 1111"), user("and ends with 1111 1111")},
        {user("part 0: 4111"), user("part 1: 1111"), answer, user("part 2: 1111"),
         user("part 3: 1111")},
        {user("first 41111111"), answer, user("then 11111111")},
        {user("NDExMSAxMTEx"), answer, user("IDExMTEgMTExMQ==")},
    };
    for (const auto& messages : rows) {
        EXPECT_EQ(reason_of(asking(messages)), "found payment_card") << messages[0].content[0].text;
    }
}

TEST(Disguise, PV2_PartsOfACardInArgumentsAndSchemas) {
    for (const char* arguments :
         {R"(["4111","1111","1111","1111"])", R"({"a":4111,"b":1111,"c":1111,"d":1111})",
          R"({"enum":[4111,1111,1111,1111]})", R"({"4111":{},"1111":{},"11 11":{},"111 1":{}})",
          R"({"a":[4,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]})"}) {
        chat::ChatRequest request = asking({{.content = {{.text = "hello"}}}});
        auto& conversation = std::get<chat::Conversation>(request.input);
        conversation.messages.push_back(
            {.role = chat::Role::Assistant, .tool_calls = {{.id = "1", .arguments = arguments}}});
        EXPECT_EQ(reason_of(request), "found payment_card") << arguments;
        conversation.messages.pop_back();
        conversation.tools = {{.name = "f", .parameters = arguments}};
        EXPECT_EQ(reason_of(request), "found payment_card") << arguments;
    }
}

TEST(Disguise, PV8_NumbersThatTheClientMayChoose) {
    chat::ChatRequest request = asking({{.content = {{.text = "hello"}}}});
    request.sampling.seed = 4111111111111111;
    EXPECT_EQ(reason_of(request), "found payment_card");
    request.sampling.seed = 1234567890123456789;
    request.sampling.logit_bias = {{50256, -100.0f}, {15, 3.5f}};
    EXPECT_EQ(reason_of(request), "nothing found");
    request.sampling.logit_bias = {{4111, 1.0f}, {1111, 1.0f}, {1111, 1.0f}, {1111, 1.0f}};
    EXPECT_EQ(reason_of(request), "found payment_card");
    request.sampling.logit_bias.assign(65, {7, 1.0f});
    EXPECT_EQ(reason_of(request), "a part cannot be inspected");
    request.sampling.logit_bias.clear();
    request.sampling.stop_token_ids.assign(65, 7);
    EXPECT_EQ(reason_of(request), "a part cannot be inspected");
}

TEST(Disguise, PV1_ALongTextIsLookedThroughInWindows) {
    std::string prose;
    while (prose.size() < 300'000) {
        prose += "The weir holds the river back, and lets over only what it chooses. ";
    }
    for (const size_t at :
         {size_t{0}, size_t{65'530}, size_t{65'536}, size_t{130'000}, prose.size()}) {
        std::string text = prose;
        text.insert(at, " 4111 1111 1111 1111 ");
        EXPECT_TRUE(finds(text, "payment_card")) << at;
    }
    EXPECT_EQ(reason_of(prose), "nothing found");
}

}  // namespace
}  // namespace weir::policy
