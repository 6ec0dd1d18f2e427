#include "kv/block_pool.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "kv/memory_region.h"

namespace weir::kv {
namespace {

TEST(BlockPool, HandsOutEveryBlockOnceAndThenNothing) {
    auto memory = MemoryRegion::reserve(4 * 128 + 100).value();
    BlockPool pool(memory.bytes(), 128);
    ASSERT_EQ(pool.capacity(), 4u);
    std::array<std::optional<BlockLease>, 4> leases;
    for (uint32_t i = 0; i < 4; ++i) {
        leases[i] = pool.acquire();
        ASSERT_TRUE(leases[i]);
        EXPECT_EQ(leases[i]->data(), memory.bytes().data() + i * 128);
    }
    EXPECT_FALSE(pool.acquire());
    leases[2].reset();
    EXPECT_EQ(pool.acquire()->data(), memory.bytes().data() + 256);
}

TEST(BlockPool, TakesABlockBackWithItsLastLease) {
    auto memory = MemoryRegion::reserve(64).value();
    BlockPool pool(memory.bytes(), 64);
    std::optional<BlockLease> first = pool.acquire();
    std::optional<BlockLease> second = first->share();
    EXPECT_EQ(first->use_count(), 2u);
    first.reset();
    EXPECT_EQ(pool.free_blocks(), 0u);
    EXPECT_EQ(second->use_count(), 1u);
    BlockLease moved = std::move(*second);
    second.reset();
    EXPECT_EQ(pool.free_blocks(), 0u);
    moved = moved.share();  // the lease that was assigned over is given back
    EXPECT_EQ(moved.use_count(), 1u);
}

TEST(BlockPool, MayBeEmpty) {
    BlockPool pool({}, 0);
    EXPECT_EQ(pool.capacity(), 0u);
    EXPECT_FALSE(pool.acquire());
}

TEST(MemoryRegion, RefusesWhatNoMachineHas) {
    const auto region = MemoryRegion::reserve(uint64_t{1} << 62);
    ASSERT_FALSE(region);
    EXPECT_EQ(region.error().code, ErrorCode::ResourceExhausted);
}

}  // namespace
}  // namespace weir::kv
