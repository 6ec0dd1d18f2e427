#include "kernels/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <vector>

namespace weir::kernels {
namespace {

TEST(ThreadPool, EveryItemIsDoneOnce) {
    for (const size_t threads : {0u, 1u, 2u, 3u, 5u}) {
        ThreadPool pool(threads);
        for (const size_t count : {0u, 1u, 2u, 7u, 64u, 1000u}) {
            for (const size_t grain : {0u, 1u, 3u, 64u, 2000u}) {
                std::vector<int> done(count, 0);
                pool.parallel_for(count, grain, [&](size_t begin, size_t end) {
                    for (size_t i = begin; i < end; ++i) {
                        ++done[i];
                    }
                });
                ASSERT_EQ(done, std::vector<int>(count, 1)) << threads << " " << grain;
            }
        }
    }
}

TEST(ThreadPool, CountsTheCaller) {
    EXPECT_EQ(ThreadPool(0).threads(), 1u);
    EXPECT_EQ(ThreadPool(3).threads(), 3u);
}

TEST(ThreadPool, PartsAreNoLargerThanTheGrain) {
    ThreadPool pool(3);
    std::atomic<size_t> largest{0};
    pool.parallel_for(1000, 7, [&](size_t begin, size_t end) {
        size_t seen = largest.load();
        while (seen < end - begin && !largest.compare_exchange_weak(seen, end - begin)) {
        }
    });
    EXPECT_EQ(largest.load(), 7u);
}

// Each region reads what the one before wrote: no region starts before the last one is over.
TEST(ThreadPool, ARegionSeesWhatTheOneBeforeWrote) {
    ThreadPool pool(3);
    std::vector<size_t> values(97);
    std::iota(values.begin(), values.end(), size_t{0});
    std::vector<size_t> next(values.size());
    for (size_t round = 0; round < 3000; ++round) {
        pool.parallel_for(values.size(), 5, [&](size_t begin, size_t end) {
            for (size_t i = begin; i < end; ++i) {
                next[i] = values[(i + 1) % values.size()];
            }
        });
        std::swap(values, next);
    }
    EXPECT_EQ(values[0], 3000 % values.size());
}

TEST(ThreadPool, CanBeDestroyedWithoutEverRunning) {
    ThreadPool pool(4);
}

}  // namespace
}  // namespace weir::kernels
