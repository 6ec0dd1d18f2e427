#include "policy/inspector.h"

#include <gtest/gtest.h>

#include "base/failpoint.h"

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
    EXPECT_EQ(verdict_on(asking("hi")).label, Label::Restricted);
#endif
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

TEST(Inspector, PV3_HiddenDigitsAreSeen) {
    EXPECT_EQ(verdict_on(asking("４１１１\u200B１１１１\u2060１１１１\uFEFF１１１１")).label,
              Label::Restricted);
}

TEST(Inspector, PV4_NestedCodingsAreOpened) {
    // base64 of base64 of "card 4111111111111111"
    EXPECT_EQ(verdict_on(asking("WTJGeVpDQTBNVEV4TVRFeE1URXhNVEV4TVRFeA==")).label,
              Label::Restricted);
}

TEST(Inspector, PV5_AValueSplitOverPartsOrTurnsIsSeen) {
    chat::ChatRequest request = asking("my card starts 4111 1111");
    conversation(request).messages.push_back(
        chat::Message{.content = {chat::ContentPart{.text = " 1111 1111, and that is all"}}});
    EXPECT_EQ(verdict_on(std::move(request)).label, Label::Restricted);
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
