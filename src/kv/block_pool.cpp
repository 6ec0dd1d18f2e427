#include "kv/block_pool.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"

namespace weir::kv {
namespace {

uint32_t count_blocks(size_t memory_bytes, uint64_t block_bytes) {
    if (memory_bytes == 0) {
        return 0;
    }
    WEIR_ASSERT(block_bytes > 0);
    constexpr uint64_t kBlocksMax = std::numeric_limits<uint32_t>::max();
    return static_cast<uint32_t>(std::min(memory_bytes / block_bytes, kBlocksMax));
}

}  // namespace

BlockPool::BlockPool(std::span<std::byte> memory, uint64_t block_bytes)
    : memory_(memory), block_bytes_(block_bytes), uses_(count_blocks(memory.size(), block_bytes)) {
    free_.reserve(uses_.size());
    for (uint32_t id = capacity(); id > 0; --id) {
        free_.push_back(BlockId{id - 1});  // the first block is handed out first
    }
}

BlockPool::~BlockPool() {
    WEIR_ASSERT(free_.size() == uses_.size());
}

std::optional<BlockLease> BlockPool::acquire() {
    if (free_.empty()) {
        return std::nullopt;
    }
    const BlockId id = free_.back();
    free_.pop_back();
    add_use(id);
    return BlockLease(*this, id);
}

std::byte* BlockPool::data(BlockId id) const {
    return memory_.data() + static_cast<uint32_t>(id) * block_bytes_;
}

void BlockPool::add_use(BlockId id) {
    ++uses_[static_cast<uint32_t>(id)];
}

void BlockPool::drop_use(BlockId id) {
    uint32_t& uses = uses_[static_cast<uint32_t>(id)];
    WEIR_ASSERT(uses > 0);
    if (--uses == 0) {
        free_.push_back(id);
    }
}

BlockLease::BlockLease(BlockLease&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)), id_(other.id_) {}

BlockLease& BlockLease::operator=(BlockLease&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(id_, other.id_);
    return *this;
}

BlockLease::~BlockLease() {
    if (pool_ != nullptr) {
        pool_->drop_use(id_);
    }
}

BlockLease BlockLease::share() const {
    pool_->add_use(id_);
    return BlockLease(*pool_, id_);
}

}  // namespace weir::kv
