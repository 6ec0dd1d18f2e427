#include "policy/inspector.h"

#include <gtest/gtest.h>

#include "base/failpoint.h"
#include "base/utf8.h"

namespace weir::policy {
namespace {

using chat::Label;

constexpr const char* kCard = "4111 1111 1111 1111";

chat::ChatRequest asking(std::string text) {
    chat::ChatRequest request;
    request.model = "m";
    request.input = chat::Conversation{
        .messages = {chat::Message{.content = {chat::ContentPart{.text = std::move(text)}}}}};
    return request;
}

chat::Conversation& conversation(chat::ChatRequest& request) {
    return std::get<chat::Conversation>(request.input);
}

Verdict verdict_on(chat::ChatRequest request, const StatedLabels& stated = {},
                   const InspectorConfig& config = {.scan_deadline = std::chrono::seconds(30)}) {
    Verdict verdict;
    const auto stamped = Inspector(config).inspect(std::move(request), stated, verdict);
    EXPECT_EQ(stamped->inspection->label(), verdict.label);
    return verdict;
}

TEST(Inspector, NothingFoundMeansInternal) {
    EXPECT_EQ(verdict_on(asking("How tall is the Eiffel Tower?")).label, Label::Internal);
}

TEST(Inspector, StatedLabelsOnlyRaise) {
    EXPECT_EQ(verdict_on(asking("hi"), {.key = Label::Public}).label, Label::Internal);
    EXPECT_EQ(verdict_on(asking("hi"), {.header = Label::Confidential}).label, Label::Confidential);
    EXPECT_EQ(verdict_on(asking("hi"), {.route = Label::Restricted}).label, Label::Restricted);
    const Verdict card = verdict_on(asking(kCard), {.header = Label::Public});
    EXPECT_EQ(card.label, Label::Restricted);
    EXPECT_EQ(card.reason, "found payment_card");
}

TEST(Inspector, PV1_FailedOrSlowScanMeansRestricted) {
    EXPECT_EQ(verdict_on(asking("hi"), {}, {.scan_deadline = std::chrono::milliseconds(0)}).label,
              Label::Restricted);
#ifdef WEIR_FAILPOINTS
    const ArmedFailpoint broken("policy.detector");
    const Verdict failed = verdict_on(asking("hi"), {.header = Label::Public});
    EXPECT_EQ(failed.label, Label::Restricted);
    EXPECT_EQ(failed.reason, "scan failed");
#endif
}

TEST(Inspector, PV1_TextThatCannotBeNormalisedWasNotLookedAt) {
#ifdef WEIR_FAILPOINTS
    const ArmedFailpoint broken("policy.normalise");
    const Verdict failed = verdict_on(asking("na\u00EFve"));
    EXPECT_EQ(failed.label, Label::Restricted);
    EXPECT_EQ(failed.reason, "scan failed");
    EXPECT_EQ(verdict_on(asking("plain")).label, Label::Internal);  // has no need of it
#else
    GTEST_SKIP() << "built without failpoints";
#endif
}

// A clock on which every look takes a while.
class SlowClock final : public Clock {
  public:
    TimePoint now() const override { return TimePoint(std::chrono::milliseconds(100 * ++looks_)); }
    WallTime wall() const override { return {}; }

  private:
    mutable int looks_ = 0;
};

TEST(Inspector, PV1_AScanThatRunsOutOfTimeHalfWayMeansRestricted) {
    const SlowClock clock;
    Verdict verdict;
    Inspector({.scan_deadline = std::chrono::milliseconds(250)}, clock)
        .inspect(asking("How tall is the Eiffel Tower?"), {}, verdict);
    EXPECT_EQ(verdict.label, Label::Restricted);
    EXPECT_EQ(verdict.reason, "scan timed out");
}

// PV2 and PV8: the same card in every string that a request can carry.
TEST(Inspector, PV2_PV8_EveryStringIsLookedAt) {
    using Plant = void (*)(chat::ChatRequest&);
    const std::vector<std::pair<const char*, Plant>> plants = {
        {"model",
         [](chat::ChatRequest& r) {
             r.model = kCard;
         }},
        {"system",
         [](chat::ChatRequest& r) {
             conversation(r).messages[0].role = chat::Role::System;
             conversation(r).messages[0].content[0].text = kCard;
         }},
        {"developer",
         [](chat::ChatRequest& r) {
             conversation(r).messages[0].role = chat::Role::Developer;
             conversation(r).messages[0].content[0].text = kCard;
         }},
        {"tool's answer",
         [](chat::ChatRequest& r) {
             conversation(r).messages.push_back(
                 {.role = chat::Role::Tool, .content = {{.text = kCard}}, .tool_call_id = "1"});
         }},
        {"arguments' member name",
         [](chat::ChatRequest& r) {
             conversation(r).messages[0].tool_calls = {
                 {.arguments = R"({"4111 1111 1111 1111": true})"}};
         }},
        {"arguments in JSON's escapes",
         [](chat::ChatRequest& r) {
             conversation(r).messages[0].tool_calls = {
                 {.arguments = R"({"n": "\u0034111 1111 \u0031111 1111"})"}};
         }},
        {"refusal",
         [](chat::ChatRequest& r) {
             conversation(r).messages[0].content.push_back(
                 {.kind = chat::ContentPart::Kind::Refusal, .text = kCard});
         }},
        {"name",
         [](chat::ChatRequest& r) {
             conversation(r).messages[0].name = kCard;
         }},
        {"reasoning",
         [](chat::ChatRequest& r) {
             conversation(r).messages[0].reasoning = kCard;
         }},
        {"call id",
         [](chat::ChatRequest& r) {
             conversation(r).messages[0].tool_calls = {{.id = kCard}};
         }},
        {"call name",
         [](chat::ChatRequest& r) {
             conversation(r).messages[0].tool_calls = {{.name = kCard}};
         }},
        {"call arguments",
         [](chat::ChatRequest& r) {
             conversation(r).messages[0].tool_calls = {{.arguments = kCard}};
         }},
        {"tool call id",
         [](chat::ChatRequest& r) {
             conversation(r).messages[0].tool_call_id = kCard;
         }},
        {"tool name",
         [](chat::ChatRequest& r) {
             conversation(r).tools = {{.name = kCard}};
         }},
        {"tool description",
         [](chat::ChatRequest& r) {
             conversation(r).tools = {{.description = kCard}};
         }},
        {"tool parameters",
         [](chat::ChatRequest& r) {
             conversation(r).tools = {{.parameters = kCard}};
         }},
        {"tool choice",
         [](chat::ChatRequest& r) {
             conversation(r).tool_choice = chat::ToolChoice{.name = kCard};
         }},
        {"effort",
         [](chat::ChatRequest& r) {
             conversation(r).reasoning_effort = kCard;
         }},
        {"template variable",
         [](chat::ChatRequest& r) {
             conversation(r).template_variables = {{"x", kCard}};
         }},
        {"stop",
         [](chat::ChatRequest& r) {
             r.sampling.stop = {kCard};
         }},
        {"schema name",
         [](chat::ChatRequest& r) {
             r.response_format = chat::ResponseFormat{.name = kCard};
         }},
        {"schema description",
         [](chat::ChatRequest& r) {
             r.response_format = chat::ResponseFormat{.description = kCard};
         }},
        {"schema",
         [](chat::ChatRequest& r) {
             r.response_format = chat::ResponseFormat{.schema = kCard};
         }},
        {"template variable's name",
         [](chat::ChatRequest& r) {
             conversation(r).template_variables = {{kCard, "1"}};
         }},
        {"second prompt",
         [](chat::ChatRequest& r) {
             r.input = chat::RawPrompts{.prompts = {"hello", kCard}};
         }},
        {"metadata value",
         [](chat::ChatRequest& r) {
             r.passed_on = {{"user", kCard}};
         }},
        {"metadata key",
         [](chat::ChatRequest& r) {
             r.passed_on = {{kCard, "1"}};
         }},
        {"prompt",
         [](chat::ChatRequest& r) {
             r.input = chat::RawPrompts{.prompts = {kCard}};
         }},
    };
    for (const auto& [where, plant] : plants) {
        chat::ChatRequest request = asking("hello");
        plant(request);
        EXPECT_EQ(verdict_on(std::move(request)).label, Label::Restricted) << where;
    }
}

// The card in characters that draw nothing.
std::string in_tags(std::string_view text) {
    std::string out;
    for (const char c : text) {
        utf8::append(out, 0xE0000 + static_cast<char32_t>(c));
    }
    return out;
}

std::string in_selectors(std::string_view text) {
    std::string out;
    for (const char c : text) {
        utf8::append(out, 0xE0100 + static_cast<char32_t>(c) - 16);
    }
    return out;
}

TEST(Inspector, PV3_DisguisedDigitsAreSeen) {
    const std::pair<const char*, std::string> rows[] = {
        {"zero width",
         "4\u200B1\u200B1\u200B1\u200D1\u200C1\u200B1\u20601\u200B1\u200B1\u200B1111\uFEFF11"},
        {"full width", "４１１１\u200B１１１１\u2060１１１１\uFEFF１１１１"},
        {"another script", "٤١١١ ١١١١ ١١١١ ١١١١"},
        {"mathematical", "𝟒𝟏𝟏𝟏 𝟏𝟏𝟏𝟏 𝟏𝟏𝟏𝟏 𝟏𝟏𝟏𝟏"},
        {"circled", "④①①①①①①①①①①①①①①①"},
        {"key caps", "4\uFE0F\u20E31\uFE0F\u20E31\uFE0F\u20E31\uFE0F\u20E3 1111 1111 1111"},
        {"combining marks", "4\u03361\u03361\u03361\u0336 1111 1111 1111"},
        {"isolates and embeddings", "\u20664111\u2069\u202A1111\u202C\u200E1111\u200F1111"},
        {"turned round", "my card: \u202E1111 1111 1111 1114\u202C, thanks"},
        {"turned round to the end", "\u202E1111111111111114"},
        {"tags", "hello" + in_tags("4111111111111111") + " there"},
        {"tags one by one", "a" + in_tags("41111111") + "b" + in_tags("11111111")},
        {"behind an emoji", "\U0001F600" + in_selectors("4111111111111111")},
    };
    for (const auto& [how, text] : rows) {
        EXPECT_EQ(verdict_on(asking(text)).reason.substr(0, 18), "found payment_card") << how;
    }
    EXPECT_EQ(verdict_on(asking("ａnn@\u0435xample.c\u043Em")).reason,
              "found email");  // look-alikes
}

TEST(Inspector, PV3_ALongRunOfWhatShowsNothingIsUnreadable) {
    std::string bits = "hello";
    for (int i = 0; i < 128; ++i) {
        bits += i % 3 == 0 ? "\u200B" : "\u200C";  // a code of the writer's own
    }
    EXPECT_EQ(verdict_on(asking(bits)).reason, "found unreadable");
}

TEST(Inspector, PV3_OrdinaryTypographyIsClean) {
    for (const char* text :
         {"Family 👨‍👩‍👧‍👦 and ❤️ and 🏳️‍🌈 and "
          "🏴󠁧󠁢󠁥󠁮󠁧󠁿!",
          "naïve café, Zürich, ‘quoted’ – dashed — …", "שָׁלוֹם עוֹלָם", "नमस्ते दुनिया",
          "می‌خواهم", "a\u00ADb soft hy\u00ADphens", "葛\U000E0100城市"}) {
        EXPECT_EQ(verdict_on(asking(text)).label, Label::Internal) << text;
    }
}

TEST(Inspector, PV4_NestedCodingsAreOpened) {
    for (const char* text :
         {"see NDExMTExMTExMTExMTExMQ== there",                        // base64
          "WTJGeVpDQTBNVEV4TVRFeE1URXhNVEV4TVRFeA==",                  // base64 of base64
          "V1RKR2VWcERRVEJOVkVWNFRWUkZlRTFVUlhoTlZFVjRUVlJGZUE9PQ==",  // and once more
          "34313131313131313131313131313131",                          // hexadecimal
          "%34%31%31%31%31%31%31%31%31%31%31%31%31%31%31%31",          // of a URL
          "MjUzMzM0MjUzMzMxMjUzMzMxMjUzMzMxMjUzMzMxMjUzMzMxMjUzMzMxMjUzMzMxMjUzMzMxMjUzMzMxMjUz"
          "MzMxMjUzMzMxMjUzMzMxMjUzMzMxMjUzMzMxMjUzMzMx",  // of a URL in hexadecimal in base64
          "oKxtL2SlMPOcplN0ZGRkZGRkZGRkZGRkZGRk"}) {       // rot13 of base64
        const Verdict verdict = verdict_on(asking(text));
        EXPECT_EQ(verdict.label, Label::Restricted) << text;
        EXPECT_EQ(verdict.reason.find("unreadable"), std::string::npos) << text;
    }
}

TEST(Inspector, PV4_Rot13HidesNoLetters) {
    EXPECT_EQ(verdict_on(asking("QR89370400440532013000")).reason, "found iban");
    EXPECT_EQ(verdict_on(asking("tuc_0123456789nopqrstuvw0123")).reason, "found secret");
    EXPECT_EQ(verdict_on(asking("naa@rknzcyr.pbz")).reason, "found email");
}

TEST(Inspector, PV4_WhatCannotBeOpenedStaysHere) {
    for (const char* text : {"H4sIAAAAAAACA8utVEhOLEpRyCxWMDFEBQCs/lGqGwAAAA==",  // gzip
                             "eJzLrVRITixKUcgsVjAxRAUAbbwG0A==",                  // zlib
                             "1f8b08000000000002033331343454304421000ee890bc13000000"}) {
        EXPECT_EQ(verdict_on(asking(text)).reason, "found unreadable") << text;
    }
    std::string noise;  // of high entropy: an attachment, or something encrypted
    uint32_t state = 1;
    for (int i = 0; i < 400; ++i) {
        state = state * 1664525 + 1013904223;
        noise += "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[state >> 26];
    }
    EXPECT_NE(verdict_on(asking(noise)).reason.find("unreadable"), std::string::npos);
    for (const char* id :
         {"commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
          "id 3fa85f64-5717-4562-b3fc-2c963f66afa6", "etag W/\"dGhlIHNhbXBsZQ\""}) {
        EXPECT_EQ(verdict_on(asking(id)).label, Label::Internal) << id;
    }
}

TEST(Inspector, PV5_AValueSplitOverPartsOrTurnsIsSeen) {
    using chat::Message;
    using chat::Role;
    const Message answer{.role = Role::Assistant, .content = {{.text = "Go on, please."}}};
    const Message first{.content = {{.text = "my card starts 4111 1111"}}};
    const Message second{.content = {{.text = " 1111 1111, and that is all"}}};
    Message parts = first;
    parts.content.push_back(second.content[0]);
    Message named = first;
    named.name = "ann";
    std::vector<Message> digit_by_digit;
    for (const char digit : std::string_view("4111111111111111")) {
        digit_by_digit.push_back({.content = {{.text = std::string(1, digit)}}});
        digit_by_digit.push_back(answer);
    }
    Message much = first;
    much.content[0].text.insert(0, std::string(10'000, '-'));
    Message more = second;
    more.content[0].text += std::string(10'000, '-');
    const std::pair<const char*, std::vector<Message>> rows[] = {
        {"parts", {parts}},
        {"messages", {first, second}},
        {"turns", {first, answer, second}},
        {"names between", {named, second}},
        {"digit by digit", digit_by_digit},
        {"long turns", {much, answer, more}}};
    for (const auto& [how, messages] : rows) {
        chat::ChatRequest request = asking("");
        conversation(request).messages = messages;
        EXPECT_EQ(verdict_on(std::move(request)).reason, "found payment_card") << how;
    }
}

TEST(Inspector, PV5_NumbersOfDifferentSpeakersAreNotPutTogether) {
    chat::ChatRequest request = asking("Is it 4111 1111?");
    conversation(request).messages.push_back(
        {.role = chat::Role::Assistant, .content = {{.text = "No, it is 1111 1111."}}});
    conversation(request).messages.push_back({.content = {{.text = "Not 17?"}}});
    EXPECT_EQ(verdict_on(std::move(request)).label, Label::Internal);
}

TEST(Inspector, PV6_WhatCannotBeInspectedIsRestricted) {
    chat::ChatRequest image = asking("what is this?");
    conversation(image).messages[0].content.push_back(
        {.kind = chat::ContentPart::Kind::Image, .text = "{}"});
    EXPECT_EQ(verdict_on(std::move(image)).label, Label::Restricted);
    chat::ChatRequest tokens = asking("");
    tokens.input = chat::RawPrompts{.prompts = {std::vector<TokenId>{1, 2}}};
    EXPECT_EQ(verdict_on(std::move(tokens)).label, Label::Restricted);
}

}  // namespace
}  // namespace weir::policy
