#include "server/worker_pool.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <optional>
#include <thread>

namespace weir::server {
namespace {

using std::chrono::milliseconds;

// Stands for this program: says what a worker says, and behaves as its last argument tells it.
//   worker --plan MIB BEHAVIOUR          worker --socket PATH MIB BEHAVIOUR --name NAME
constexpr std::string_view kStub = R"(#!/bin/sh
if [ "$2" = --plan ]; then
    [ "$4" = corrupt ] && { echo '{"error":"the file is cut short"}' >&3; exit 1; }
    echo "{\"memory_bytes\":$3}" >&3
    exit 0
fi
case "$5" in
    dies) exit 3 ;;
    named) [ "$6 $7" = "--name the name" ] || exit 4 ;;
    stubborn) trap '' TERM ;;
    mute) exec cat >/dev/null ;;
esac
echo '{"ready":true}' >&3
exec cat >/dev/null
)";

WorkerSpec spec(std::string name, int memory, std::string behaviour = "well") {
    return {std::move(name), {std::to_string(memory), std::move(behaviour)}};
}

class WorkerPoolTest : public ::testing::Test {
  protected:
    WorkerPoolTest() {
        folder_ = std::filesystem::path(::testing::TempDir()) /
                  ("worker_pool_" + std::to_string(::getpid()));
        std::filesystem::create_directories(folder_);
        std::ofstream(program()) << kStub;
        ::chmod(program().c_str(), 0700);
        loop_.start();
    }

    ~WorkerPoolTest() override {
        if (pool_ != nullptr) {
            std::promise<void> stopped;
            pool_->stop([&] { stopped.set_value(); });
            stopped.get_future().wait();
        }
        loop_.stop();
        loop_.join();
        pool_.reset();
        std::filesystem::remove_all(folder_);
    }

    std::string program() const { return (folder_ / "stub").string(); }

    void make_pool(std::vector<WorkerSpec> specs, WorkerPoolOptions options = {}) {
        options.program = program();
        options.socket_dir = folder_.string();
        options.memory_budget_bytes = 100;
        pool_ = std::make_unique<WorkerPool>(loop_, std::move(options), std::move(specs), clock_);
    }

    Result<WorkerLease> lease(size_t index, std::optional<uint64_t> died = std::nullopt) {
        std::promise<Result<WorkerLease>> promise;
        pool_->acquire(index, died,
                       [&](Result<WorkerLease> got) { promise.set_value(std::move(got)); });
        return promise.get_future().get();
    }

    // Takes a lease and gives it back, and sees to it that the pool has noticed: the clock may be
    // moved then.
    void touch(size_t index) {
        {
            auto got = lease(index);
            ASSERT_TRUE(got) << got.error().message;
            got->succeeded();
        }
        status();
    }

    std::vector<WorkerStatus> status() {
        std::promise<std::vector<WorkerStatus>> promise;
        pool_->status([&](std::vector<WorkerStatus> all) { promise.set_value(std::move(all)); });
        return promise.get_future().get();
    }

    // Waits for what comes by itself; a test that waits in vain is ended by its runner.
    WorkerStatus wait_for(size_t index, WorkerState state) {
        for (;;) {
            const WorkerStatus now = status()[index];
            if (now.state == state) {
                return now;
            }
            std::this_thread::sleep_for(milliseconds(1));
        }
    }

    std::filesystem::path folder_;
    ManualClock clock_;
    net::Loop loop_;
    std::unique_ptr<WorkerPool> pool_;
};

TEST_F(WorkerPoolTest, StartsAWorkerForTheFirstRequestAndKeepsItForTheNext) {
    make_pool({spec("a", 10)});
    EXPECT_EQ(status()[0].state, WorkerState::Stopped);
    touch(0);
    touch(0);
    const WorkerStatus now = status()[0];
    EXPECT_EQ(now.state, WorkerState::Ready);
    EXPECT_EQ(now.memory_bytes, 10u);
    EXPECT_EQ(now.starts, 1u);
    EXPECT_EQ(now.in_flight, 0u);
}

TEST_F(WorkerPoolTest, UnloadsTheIdleWorkerThatWasUsedLongestAgo) {
    make_pool({spec("a", 50), spec("b", 50), spec("c", 50)});
    touch(0);
    clock_.advance(milliseconds(1));
    touch(1);
    clock_.advance(milliseconds(1));
    touch(0);
    touch(2);
    const auto now = status();
    EXPECT_EQ(now[0].state, WorkerState::Ready);
    EXPECT_EQ(now[1].state, WorkerState::Stopped);
    EXPECT_EQ(now[2].state, WorkerState::Ready);
    EXPECT_EQ(now[1].deaths, 0u);
}

TEST_F(WorkerPoolTest, NeverHoldsMoreThanTheBudgetWhileAWorkerTakesItsTimeToEnd) {
    make_pool({spec("a", 60, "stubborn"), spec("b", 60)}, {.stop_max = milliseconds(60)});
    touch(0);
    const int pid = *status()[0].pid;
    const auto got = lease(1);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(::kill(pid, 0), -1);  // gone, and waited for
    EXPECT_EQ(status()[0].state, WorkerState::Stopped);
}

TEST_F(WorkerPoolTest, ABusyWorkerIsNotUnloaded) {
    make_pool({spec("a", 60), spec("b", 60)});
    const auto busy = lease(0);
    ASSERT_TRUE(busy);
    const auto got = lease(1);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, ErrorCode::Overloaded);
    EXPECT_EQ(status()[0].state, WorkerState::Ready);
}

TEST_F(WorkerPoolTest, AModelLargerThanTheBudgetIsRefusedWithBothNumbers) {
    make_pool({spec("a", 300 << 20)});
    const auto got = lease(0);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, ErrorCode::ResourceExhausted);
    EXPECT_NE(got.error().message.find("needs 300 MiB"), std::string::npos) << got.error().message;
    EXPECT_EQ(status()[0].starts, 0u);
}

TEST_F(WorkerPoolTest, UnloadsWhatNobodyAsksFor) {
    make_pool({spec("a", 10)}, {.idle_unload = milliseconds(5)});
    touch(0);
    const WorkerStatus now = wait_for(0, WorkerState::Stopped);
    EXPECT_EQ(now.deaths, 0u);
    touch(0);
}

TEST_F(WorkerPoolTest, SaysWhyAModelCannotBeLoaded) {
    make_pool({spec("a", 10, "corrupt")});
    const auto got = lease(0);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, ErrorCode::Unavailable);
    EXPECT_NE(got.error().message.find("the file is cut short"), std::string::npos)
        << got.error().message;
}

TEST_F(WorkerPoolTest, AWorkerThatNeverGetsReadyIsEnded) {
    make_pool({spec("a", 10, "mute")}, {.start_max = milliseconds(30)});
    const auto got = lease(0);
    ASSERT_FALSE(got);
    EXPECT_NE(got.error().message.find("too long"), std::string::npos) << got.error().message;
}

TEST_F(WorkerPoolTest, ADeadWorkerIsReplacedForThoseWhoSawItDie) {
    make_pool({spec("a", 10)});
    auto first = lease(0);
    ASSERT_TRUE(first);
    first->succeeded();
    const uint64_t generation = first->generation();
    ::kill(*status()[0].pid, SIGKILL);
    const auto second = lease(0, generation);
    ASSERT_TRUE(second) << second.error().message;
    EXPECT_GT(second->generation(), generation);
    const WorkerStatus now = status()[0];
    EXPECT_EQ(now.deaths, 1u);
    EXPECT_EQ(now.starts, 2u);
}

// The stub does not even listen: it is as silent as a process that was stopped.
TEST_F(WorkerPoolTest, ABusyWorkerThatAnswersNoProbeIsKilled) {
    make_pool({spec("a", 10)}, {.probe_every = milliseconds(5), .silent_probes_max = 2});
    const auto busy = lease(0);
    ASSERT_TRUE(busy);
    const auto next = lease(0, busy->generation());
    ASSERT_TRUE(next) << next.error().message;
    EXPECT_GT(next->generation(), busy->generation());
    EXPECT_EQ(status()[0].deaths, 1u);
}

// The request that saw nothing wrong gives its lease back meanwhile, and so the worker is idle.
TEST_F(WorkerPoolTest, AFalseAlarmIsAnsweredAlthoughTheWorkerBecomesIdle) {
    make_pool({spec("a", 10)},
              {.idle_unload = std::chrono::hours(1), .death_notice_max = milliseconds(20)});
    std::optional<WorkerLease> well = lease(0).value();
    std::promise<Result<WorkerLease>> promise;
    pool_->acquire(0, well->generation(),
                   [&](Result<WorkerLease> got) { promise.set_value(std::move(got)); });
    well.reset();
    const auto alarmed = promise.get_future().get();
    ASSERT_FALSE(alarmed);
    EXPECT_EQ(alarmed.error().code, ErrorCode::Unavailable);
    EXPECT_EQ(status()[0].state, WorkerState::Ready);
    touch(0);
}

TEST_F(WorkerPoolTest, TellsAWorkerItsName) {
    make_pool({spec("the name", 10, "named")});
    EXPECT_TRUE(lease(0));
}

TEST_F(WorkerPoolTest, AWorkerThatDiesAgainAndAgainIsLeftAloneForAWhile) {
    make_pool({spec("a", 10, "dies")});
    for (int i = 0; i < 3; ++i) {
        EXPECT_FALSE(lease(0));
    }
    const uint64_t starts = status()[0].starts;
    const auto refused = lease(0);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("keeps dying"), std::string::npos);
    EXPECT_TRUE(refused.error().retry_after.has_value());
    EXPECT_EQ(status()[0].starts, starts);
    clock_.advance(std::chrono::seconds(11));
    EXPECT_FALSE(lease(0));
    EXPECT_EQ(status()[0].starts, starts + 1);
}

TEST_F(WorkerPoolTest, HoldsNoMoreWaitingRequestsThanItMay) {
    make_pool({spec("a", 10, "mute")}, {.start_max = milliseconds(60), .waiting_max = 2});
    std::vector<std::promise<ErrorCode>> answers(3);
    for (auto& answer : answers) {
        pool_->acquire(0, std::nullopt, [&answer](Result<WorkerLease> got) {
            answer.set_value(got ? ErrorCode::Internal : got.error().code);
        });
    }
    EXPECT_EQ(answers[2].get_future().get(), ErrorCode::Overloaded);
    EXPECT_EQ(answers[0].get_future().get(), ErrorCode::Unavailable);
    EXPECT_EQ(answers[1].get_future().get(), ErrorCode::Unavailable);
}

TEST_F(WorkerPoolTest, NothingStartsAfterStop) {
    make_pool({spec("a", 10)});
    touch(0);
    std::promise<void> stopped;
    pool_->stop([&] { stopped.set_value(); });
    stopped.get_future().wait();
    const auto got = lease(0);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, ErrorCode::Unavailable);
    EXPECT_FALSE(status()[0].pid.has_value());
}

}  // namespace
}  // namespace weir::server
