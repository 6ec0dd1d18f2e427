#include "net/loop.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

#include "net/test_support.h"

namespace weir::net {
namespace {

using namespace std::chrono_literals;
using test::Signal;

TEST(Loop, RunsOnTheCallingThreadUntilStopped) {
    Loop loop;
    int ran = 0;
    loop.post([&] { ++ran; });
    loop.post([&] { loop.stop(); });
    loop.run();
    EXPECT_EQ(ran, 1);
}

TEST(Loop, ATaskThatThrowsDoesNotEndIt) {
    Loop loop;
    bool ran = false;
    loop.post([] { throw std::runtime_error("from a library"); });
    loop.post([&] {
        ran = true;
        loop.stop();
    });
    loop.run();
    EXPECT_TRUE(ran);
}

TEST(Strand, RunsItsTasksInOrderAndOneAtATime) {
    constexpr int kTasks = 1000;
    Loop loop({.threads = 4});
    const auto strand = loop.make_strand();
    Signal done;
    std::vector<int> order;  // unguarded: the strand is the guard
    for (int i = 0; i < kTasks; ++i) {
        strand->post([&, i] {
            order.push_back(i);
            if (i == kTasks - 1) {
                done.raise();
            }
        });
    }
    loop.start();
    ASSERT_TRUE(done.wait());
    for (int i = 0; i < kTasks; ++i) {
        ASSERT_EQ(order[static_cast<size_t>(i)], i);
    }
}

TEST(Strand, DispatchOnItselfRunsAtOnceAndPostLater) {
    Loop loop;
    const auto strand = loop.make_strand();
    std::vector<char> order;
    strand->post([&] {
        strand->post([&] {
            order.push_back('p');
            loop.stop();
        });
        strand->dispatch([&] { order.push_back('d'); });
        order.push_back('r');
    });
    loop.run();
    EXPECT_EQ(order, (std::vector<char>{'d', 'r', 'p'}));
}

TEST(Timer, RunsItsLastTaskOnceAndNoneAfterACancel) {
    Loop loop;
    const auto strand = loop.make_strand();
    const auto timer = strand->make_timer();
    const auto other = strand->make_timer();
    const auto end = strand->make_timer();
    std::vector<char> order;
    timer->start(1ms, [&] { order.push_back('x'); });
    timer->start(1ms, [&] { order.push_back('t'); });
    other->start(0ms, [&] { order.push_back('c'); });
    other->cancel();
    end->start(20ms, [&] { loop.stop(); });
    loop.run();
    EXPECT_EQ(order, (std::vector<char>{'t'}));
}

TEST(Timer, ATaskThatWasDueBeforeTheCancelDoesNotRun) {
    Loop loop;
    const auto strand = loop.make_strand();
    auto first = strand->make_timer();
    auto second = strand->make_timer();
    bool ran = false;
    // Both are due when the loop begins; the first destroys the second.
    first->start(0ms, [&] { second.reset(); });
    second->start(0ms, [&] { ran = true; });
    const auto end = strand->make_timer();
    end->start(20ms, [&] { loop.stop(); });
    loop.run();
    EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace weir::net
