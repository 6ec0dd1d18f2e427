#include "ledger/ledger.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <tuple>

#include "ledger/keys.h"

namespace weir::ledger {
namespace {

Rate rate(std::string_view text) {
    return rate_from_dollars_per_million(text).value();
}

TEST(Money, PricesAreReadExactly) {
    EXPECT_EQ(rate("2.50"), Rate{2'500'000'000'000});
    EXPECT_EQ(rate("0.075"), Rate{75'000'000'000});
    EXPECT_EQ(rate("0.000000000001"), Rate{1});
    EXPECT_EQ(rate("0"), Rate{0});
    for (const std::string_view bad : {"", ".5", "5.", "-1", "1e3", "1,5", " 1", "1000001",
                                       "0.0000000000001", "99999999", "NaN"}) {
        EXPECT_FALSE(rate_from_dollars_per_million(bad)) << bad;
    }
}

TEST(Money, CostIsRoundedOnceHalfToEven) {
    const Price price{.input = Rate{500'000}, .cached = Rate{250'000}, .output = Rate{1}};
    const auto cost = [&](uint64_t in, uint64_t cached, uint64_t out) {
        return cost_of({.prompt_tokens = in, .cached_tokens = cached, .completion_tokens = out},
                       price)
            .value();
    };
    EXPECT_EQ(cost(1, 0, 0), PicoDollars{0});  // 0.5 goes to 0
    EXPECT_EQ(cost(3, 0, 0), PicoDollars{2});  // 1.5 goes to 2
    EXPECT_EQ(cost(1, 0, 1), PicoDollars{1});  // just above a half
    EXPECT_EQ(cost(4, 4, 0), PicoDollars{1});  // the cached price
    EXPECT_FALSE(cost_of({.prompt_tokens = UINT64_MAX}, Price{.input = rate("1000000")}));
}

// The founding documents' scenario: 10M calls of 500 + 500 tokens at GPT-4o's 5 and 15 dollars.
TEST(Money, TenMillionCallsCostAHundredThousandDollars) {
    const Price price{.input = rate("5"), .output = rate("15")};
    const auto one = cost_of({.prompt_tokens = 500, .completion_tokens = 500}, price).value();
    EXPECT_EQ(to_text(PicoDollars{static_cast<int64_t>(one) * 10'000'000}), "$100000.00");
    EXPECT_EQ(to_text(PicoDollars{1'234'500'000}), "$0.0012345");
    EXPECT_EQ(to_text(PicoDollars{-500'000'000'000}), "-$0.50");
}

TEST(KeyRing, FindsAKeyByItsHashOnly) {
    const KeyRing ring(
        {{.name = "a", .hash = sha256("secret-a")},
         {.name = "b", .hash = sha256("secret-b"), .label = chat::Label::Restricted}});
    EXPECT_EQ(ring.find("secret-b")->name, "b");
    EXPECT_EQ(ring.find("secret-c"), nullptr);
    EXPECT_EQ(ring.find(""), nullptr);
    // FIPS 180-2, appendix B.1.
    EXPECT_EQ(sha256_from_hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
              sha256("abc"));
    EXPECT_FALSE(sha256_from_hex("ba78"));
    EXPECT_FALSE(sha256_from_hex(std::string(64, 'g')));
}

Entry entry(std::string backend, uint64_t tokens, int64_t cost) {
    return {.request_id = "r",
            .time = std::chrono::system_clock::time_point(std::chrono::seconds(100)),
            .backend = std::move(backend),
            .model = "m",
            .outcome = "ok",
            .usage = {.prompt_tokens = tokens, .completion_tokens = 1},
            .cost = PicoDollars{cost}};
}

std::vector<SpendRow> spend(Ledger& ledger, int from_seconds) {
    std::promise<Result<std::vector<SpendRow>>> answer;
    ledger.spend(std::chrono::system_clock::time_point(std::chrono::seconds(from_seconds)),
                 [&](auto rows) { answer.set_value(std::move(rows)); });
    return answer.get_future().get().value();
}

TEST(Ledger, SumsByBackendAndModelOnceCommitted) {
    const auto ledger = Ledger::open(*store::open_memory()).value();
    std::promise<void> all;
    std::atomic<int> left = 3;
    for (const auto& [backend, tokens, cost] :
         {std::tuple{"local", 10, 0}, {"remote", 5, 700}, {"remote", 6, 800}}) {
        ledger->record(entry(backend, static_cast<uint64_t>(tokens), cost),
                       [&](const Result<void>& done) {
                           EXPECT_TRUE(done);
                           if (--left == 0) {
                               all.set_value();
                           }
                       });
    }
    all.get_future().get();
    const auto rows = spend(*ledger, 0);
    ASSERT_EQ(rows.size(), 2u);
    EXPECT_EQ(rows[0].backend, "remote");
    EXPECT_EQ(rows[0].requests, 2u);
    EXPECT_EQ(rows[0].prompt_tokens, 11u);
    EXPECT_EQ(rows[0].cost, PicoDollars{1500});
    EXPECT_EQ(rows[1].completion_tokens, 1u);
    EXPECT_TRUE(spend(*ledger, 101).empty());
}

TEST(Ledger, WritesWhatIsQueuedBeforeItEnds) {
    int committed = 0;
    {
        const auto ledger = Ledger::open(*store::open_memory()).value();
        for (int i = 0; i < 100; ++i) {
            ledger->record(entry("b", 1, 1),
                           [&](const Result<void>& done) { committed += done ? 1 : 0; });
        }
    }
    EXPECT_EQ(committed, 100);
}

}  // namespace
}  // namespace weir::ledger
