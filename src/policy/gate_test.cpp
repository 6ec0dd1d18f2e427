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

TEST(Gate, NothingPassesWithoutAnInspection) {
    const chat::ChatRequest request;
    EXPECT_FALSE(Gate::permit(request, {"d", "https://a:443", chat::Label::Restricted}));
}

}  // namespace
}  // namespace weir::policy
