#include "ledger/ledger.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <future>
#include <limits>
#include <thread>
#include <tuple>

#include "ledger/keys.h"
#include "ledger/rows.h"
#include "store/database.h"

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
            .price = Price{},
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

TEST(Ledger, SumsThatLeave64BitsAreStillExact) {
    const auto ledger = Ledger::open(*store::open_memory()).value();
    const uint64_t many = std::numeric_limits<uint64_t>::max();
    std::promise<void> written;
    for (int i = 0; i < 2; ++i) {
        ledger->record(entry("dear", many, std::numeric_limits<int64_t>::max()),
                       [](const Result<void>& done) { EXPECT_TRUE(done); });
    }
    ledger->record(entry("refund", 1, -1'500'000'000'000), [&](const Result<void>& done) {
        EXPECT_TRUE(done);
        written.set_value();
    });
    written.get_future().get();
    const auto rows = spend(*ledger, 0);
    ASSERT_EQ(rows.size(), 2u);
    EXPECT_EQ(rows[0].cost, PicoDollars{std::numeric_limits<int64_t>::max()});
    EXPECT_EQ(rows[0].cost_text, "$18446744.073709551614");
    EXPECT_EQ(rows[0].prompt_tokens, uint64_t{std::numeric_limits<int64_t>::max()});
    EXPECT_EQ(rows[1].cost_text, "-$1.50");
}

TEST(Ledger, SaysWhatItDoesNotKnowOfACost) {
    const auto ledger = Ledger::open(*store::open_memory()).value();
    Entry unpriced = entry("half", 10, 0);
    unpriced.price = std::nullopt;
    Entry never = entry("never", 10, 0);
    never.price = std::nullopt;
    Entry estimated = entry("half", 10, 70'000'000'000);
    estimated.is_usage_estimated = true;
    std::promise<void> written;
    const auto silent = [](const Result<void>& done) {
        EXPECT_TRUE(done);
    };
    ledger->record(std::move(unpriced), silent);
    ledger->record(std::move(never), silent);
    ledger->record(std::move(estimated), [&](const Result<void>& done) {
        EXPECT_TRUE(done);
        written.set_value();
    });
    written.get_future().get();
    const auto rows = spend(*ledger, 0);
    ASSERT_EQ(rows.size(), 2u);
    EXPECT_EQ(std::tuple(rows[0].backend, rows[0].requests, rows[0].unpriced, rows[0].estimated),
              std::tuple("half", 2u, 1u, 1u));
    EXPECT_EQ(std::tuple(rows[1].backend, rows[1].requests, rows[1].unpriced, rows[1].estimated),
              std::tuple("never", 1u, 1u, 0u));
    const std::string json = spend_json(rows);
    EXPECT_NE(json.find(R"("cost":"$0.07 + 1 unpriced")"), std::string::npos) << json;
    EXPECT_NE(json.find(R"("cost":"unknown")"), std::string::npos) << json;
}

// Written by the first form of the schema: its rows had a price and the backend's own counts.
TEST(Ledger, RowsOfAnOlderDatabaseArePricedAndExact) {
    auto database = *store::open_memory();
    ASSERT_TRUE(database->migrate("ledger", std::span(kSchema).first(1)));
    ASSERT_TRUE(
        database->query("INSERT INTO requests VALUES ('r', 1, '', 'm', 'old', 'm', "
                        "'internal', 'ok', 3, 0, 4, 1, 1, 1, 7, 5)"));
    const auto ledger = Ledger::open(std::move(database)).value();
    const auto rows = spend(*ledger, 0);
    ASSERT_EQ(rows.size(), 1u);
    EXPECT_EQ(std::tuple(rows[0].requests, rows[0].unpriced, rows[0].estimated, rows[0].cost),
              std::tuple(1u, 0u, 0u, PicoDollars{7}));
}

// A real database, disturbed from outside.
struct Disturbance {
    std::atomic<bool> disk_full = false;
    std::atomic<int> commits_to_fail = 0;  // these leave their transaction open
};

class DisturbedDatabase final : public store::Database {
  public:
    DisturbedDatabase(std::unique_ptr<store::Database> real, Disturbance& disturbance)
        : real_(std::move(real)), disturbance_(disturbance) {}

    Result<std::vector<store::Row>> query(std::string_view sql,
                                          std::span<const store::Value> parameters) override {
        return real_->query(sql, parameters);
    }
    Result<void> begin() override {
        WEIR_TRY(real_->query(disturbance_.disk_full ? "PRAGMA max_page_count = 1"
                                                     : "PRAGMA max_page_count = 100000"));
        return real_->begin();
    }
    Result<void> commit() override {
        if (disturbance_.commits_to_fail > 0) {
            --disturbance_.commits_to_fail;
            return fail(ErrorCode::Unavailable, "commit failed");
        }
        return real_->commit();
    }
    Result<void> roll_back() override { return real_->roll_back(); }

  private:
    std::unique_ptr<store::Database> real_;
    Disturbance& disturbance_;
};

// Entries of about a database page each, so that a full database has no room for one more.
class DisturbedLedger : public ::testing::Test {
  protected:
    void open(LedgerOptions options) {
        ledger_ =
            Ledger::open(std::make_unique<DisturbedDatabase>(*store::open_memory(), disturbance_),
                         options)
                .value();
    }
    std::future<Result<void>> record(std::string request_id) {
        const auto told = std::make_shared<std::promise<Result<void>>>();
        Entry one = entry("b", 1, 1);
        one.request_id = std::move(request_id) + std::string(8000, '.');
        ledger_->record(std::move(one), [told](const Result<void>& how) { told->set_value(how); });
        return told->get_future();
    }
    uint64_t booked() {
        const auto rows = spend(*ledger_, 0);
        return rows.empty() ? 0 : rows[0].requests;
    }

    Disturbance disturbance_;
    std::unique_ptr<Ledger> ledger_;
};

constexpr std::chrono::milliseconds kSoon{5};
constexpr std::chrono::milliseconds kNever{3'600'000};

TEST_F(DisturbedLedger, ACommitThatFailsAndLeavesItsTransactionOpenIsTriedAgain) {
    open({.write_max = kNever, .retry_pause = kSoon});
    disturbance_.commits_to_fail = 3;
    EXPECT_TRUE(record("a").get());
    EXPECT_TRUE(record("b").get());
    EXPECT_EQ(booked(), 2u);
    EXPECT_EQ(ledger_->stats().failed, 0u);
}

TEST_F(DisturbedLedger, WaitsForSpaceAndLosesNothing) {
    open({.write_max = kNever, .retry_pause = kSoon});
    disturbance_.disk_full = true;
    std::vector<std::future<Result<void>>> told;
    for (int i = 0; i < 50; ++i) {
        told.push_back(record(std::to_string(i)));
    }
    EXPECT_EQ(booked(), 0u);
    disturbance_.disk_full = false;
    for (auto& one : told) {
        EXPECT_TRUE(one.get());
    }
    EXPECT_EQ(booked(), 50u);
    EXPECT_EQ(ledger_->stats().written, 50u);
}

TEST_F(DisturbedLedger, TellsACallerInTimeAndWritesItsEntryOnceThatWorksAgain) {
    open({.write_max = kSoon, .retry_pause = kSoon});
    disturbance_.disk_full = true;
    std::vector<std::future<Result<void>>> told;
    for (int i = 0; i < 20; ++i) {
        told.push_back(record(std::to_string(i)));
    }
    for (auto& one : told) {
        const Result<void> how = one.get();
        ASSERT_FALSE(how);
        EXPECT_EQ(how.error().code, ErrorCode::Unavailable);
        EXPECT_NE(how.error().message.find("full"), std::string::npos) << how.error().message;
    }
    EXPECT_EQ(ledger_->stats().kept, 20u);
    EXPECT_EQ(ledger_->stats().failed, 20u);
    disturbance_.disk_full = false;
    EXPECT_TRUE(record("later").get());  // behind the others, or in one transaction with them
    while (ledger_->stats().kept > 0) {
        std::this_thread::yield();
    }
    EXPECT_EQ(booked(), 21u);
    EXPECT_EQ(ledger_->stats().lost, 0u);
}

TEST_F(DisturbedLedger, KeepsNoMoreThanItMay) {
    open({.write_max = std::chrono::milliseconds(0), .retry_pause = kSoon, .kept_max = 3});
    disturbance_.disk_full = true;
    for (int i = 0; i < 5; ++i) {
        EXPECT_FALSE(record(std::to_string(i)).get());
    }
    while (ledger_->stats().lost < 2) {
        std::this_thread::yield();
    }
    EXPECT_EQ(ledger_->stats().kept, 3u);
}

TEST_F(DisturbedLedger, AFullQueueSaysSoAtOnce) {
    open({.write_max = kNever, .retry_pause = kNever, .queue_max = 2});
    disturbance_.disk_full = true;
    auto first = record("a");
    auto second = record("b");
    EXPECT_EQ(record("c").get().error().code, ErrorCode::Overloaded);
    EXPECT_EQ(ledger_->stats().lost, 1u);
    disturbance_.disk_full = false;
    ledger_.reset();  // tries once more before it ends
    EXPECT_TRUE(first.get());
    EXPECT_TRUE(second.get());
}

TEST(Ledger, ARowThatIsRefusedTakesNoOtherWithIt) {
    const std::filesystem::path path =
        std::filesystem::path(::testing::TempDir()) / ("weir_ledger_" + std::to_string(::getpid()));
    std::filesystem::remove(path);
    {
        ASSERT_TRUE(Ledger::open(*store::open_sqlite(path)));
    }  // makes the tables
    auto database = *store::open_sqlite(path);
    ASSERT_TRUE(
        database->query("CREATE TRIGGER refuse BEFORE INSERT ON requests WHEN NEW.backend = 'bad' "
                        "BEGIN SELECT RAISE(ABORT, 'refused'); END"));
    std::array<int, 2> told{};  // written, refused
    {
        const auto ledger = Ledger::open(std::move(database)).value();
        for (int i = 0; i < 100; ++i) {
            ledger->record(entry(i == 50 ? "bad" : "good", 1, 1), [&](const Result<void>& how) {
                ++told[how ? 0 : 1];
                EXPECT_TRUE(how || how.error().code == ErrorCode::Internal);
            });
        }
        EXPECT_EQ(spend(*ledger, 0).at(0).backend, "good");
    }
    EXPECT_EQ(told, (std::array<int, 2>{99, 1}));
    for (const char* suffix : {"", "-wal", "-shm"}) {
        std::filesystem::remove(path.string() + suffix);
    }
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
