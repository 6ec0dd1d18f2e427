#include "policy/gate.h"

#include <gtest/gtest.h>

#include <type_traits>

#include "policy/inspector.h"

namespace weir::policy {
namespace {

// Promise 1 as types: nobody else can make a permit or a stamp, and a permit cannot be copied.
static_assert(!std::is_copy_constructible_v<net::OutboundPermit>);
static_assert(!std::is_copy_assignable_v<net::OutboundPermit>);
static_assert(!std::is_constructible_v<net::OutboundPermit, std::string>);
static_assert(!std::is_default_constructible_v<net::OutboundPermit>);
static_assert(!std::is_constructible_v<chat::InspectionStamp, chat::Label>);
static_assert(!std::is_default_constructible_v<chat::InspectionStamp>);

std::shared_ptr<const chat::ChatRequest> inspected(chat::Label stated) {
    chat::ChatRequest request;
    request.input = chat::Conversation{};
    Verdict verdict;
    return Inspector({.scan_deadline = std::chrono::seconds(30)})
        .inspect(std::move(request), {.header = stated}, verdict);
}

TEST(Gate, PermitsUpToTheClearanceAndNamesTheOrigin) {
    const Destination destination{"d", "https://a:443", chat::Label::Confidential};
    const auto permit = Gate::permit(*inspected(chat::Label::Confidential), destination);
    ASSERT_TRUE(permit);
    EXPECT_TRUE(permit->allows("https://a:443"));
    EXPECT_FALSE(permit->allows("https://b:443"));
    const auto refused = Gate::permit(*inspected(chat::Label::Restricted), destination);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().reason, "no_cleared_backend");
}

TEST(Gate, PV10_WhatWasChangedAfterItsInspectionIsRefused) {
    using Change = void (*)(chat::ChatRequest&);
    const auto text_of = [](chat::ChatRequest& request) -> std::string& {
        return std::get<chat::Conversation>(request.input).messages[0].content[0].text;
    };
    const std::pair<const char*, Change> rows[] = {
        {"a byte",
         [](chat::ChatRequest& r) {
             std::get<chat::Conversation>(r.input).messages[0].content[0].text[70'000] = 'b';
         }},
        {"its last byte",
         [](chat::ChatRequest& r) {
             std::get<chat::Conversation>(r.input).messages[0].content[0].text.back() = 'b';
         }},
        {"more",
         [](chat::ChatRequest& r) {
             r.passed_on.emplace_back("user", "\"x\"");
         }},
        {"the model",
         [](chat::ChatRequest& r) {
             r.model = "n";
         }},
        {"a border between two texts",
         [](chat::ChatRequest& r) {
             auto& content = std::get<chat::Conversation>(r.input).messages[0].content;
             content[0].text.pop_back();
             content[1].text.insert(0, "a");
         }},
        {"the seed",
         [](chat::ChatRequest& r) {
             r.sampling.seed = 4111111111111111;
         }},
        {"token ids",
         [](chat::ChatRequest& r) {
             r.sampling.logit_bias = {{4111, 1.0f}};
         }},
    };
    chat::ChatRequest request;
    request.model = "m";
    request.input = chat::Conversation{
        .messages = {{.content = {{.text = std::string(100'003, 'a')}, {.text = "c"}}}}};
    Verdict verdict;
    const Destination destination{"d", "https://a:443", chat::Label::Restricted};
    const auto inspected =
        Inspector({.scan_deadline = std::chrono::seconds(30)}).inspect(request, {}, verdict);
    chat::ChatRequest copy = *inspected;
    EXPECT_TRUE(Gate::permit(copy, destination));
    for (const auto& [what, change] : rows) {
        chat::ChatRequest changed = *inspected;
        change(changed);
        const auto refused = Gate::permit(changed, destination);
        ASSERT_FALSE(refused) << what;
        EXPECT_EQ(refused.error().reason, "no_cleared_backend") << what;
    }
    text_of(copy)[0] = 'b';
    text_of(copy)[0] = 'a';
    EXPECT_TRUE(Gate::permit(copy, destination));  // the same text again
}

TEST(Gate, NothingPassesWithoutAnInspection) {
    const chat::ChatRequest request;
    EXPECT_FALSE(Gate::permit(request, {"d", "https://a:443", chat::Label::Restricted}));
}

}  // namespace
}  // namespace weir::policy
