#include "server/task_pool.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <stdexcept>

namespace weir::server {
namespace {

TEST(TaskPool, RunsWhatFitsAndRefusesTheRest) {
    TaskPool pool(1, 1);
    std::promise<void> begun;
    std::promise<void> go_on;
    ASSERT_TRUE(pool.post([&] {
        begun.set_value();
        go_on.get_future().wait();
    }));
    begun.get_future().wait();
    std::promise<void> second;
    EXPECT_TRUE(pool.post([&] { second.set_value(); }));
    EXPECT_FALSE(pool.post([] { FAIL(); }));
    go_on.set_value();
    second.get_future().wait();
}

TEST(TaskPool, AfterStopNothingRuns) {
    TaskPool pool(2, 8);
    pool.stop();
    EXPECT_FALSE(pool.post([] { FAIL(); }));
    pool.stop();
}

// The last request holds the last reference to the gateway, and the gateway owns the pool.
TEST(TaskPool, MayBeDestroyedByItsOwnTask) {
    auto pool = std::make_shared<TaskPool>(1, 8);
    std::promise<void> released;
    std::promise<void> destroyed;
    std::weak_ptr<TaskPool> watched = pool;
    TaskPool& posted_to = *pool;
    ASSERT_TRUE(posted_to.post(
        [&destroyed, watched, held = std::move(pool), may_go = released.get_future()]() mutable {
            may_go.wait();
            held.reset();
            EXPECT_TRUE(watched.expired());
            destroyed.set_value();
        }));
    released.set_value();
    destroyed.get_future().wait();
}

TEST(TaskPool, AThrowingTaskTakesNoOtherWithIt) {
    TaskPool pool(1, 8);
    std::promise<void> second;
    ASSERT_TRUE(pool.post([] { throw std::runtime_error("x"); }));
    ASSERT_TRUE(pool.post([&] { second.set_value(); }));
    second.get_future().wait();
}

}  // namespace
}  // namespace weir::server
