#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kv/state.h"

namespace weir::kv {

class BlockLease;

// Blocks of one size, cut from memory that was reserved at the start.
//
// Threads: one, the engine's. Ownership: borrows the memory; every lease must be gone before the
// pool is. Invariant: a block is free, or counted by as many leases as exist for it.
class BlockPool {
  public:
    // `memory` holds as many blocks of `block_bytes` as fit. block_bytes > 0, unless memory is
    // empty.
    BlockPool(std::span<std::byte> memory, uint64_t block_bytes);
    BlockPool(const BlockPool&) = delete;
    BlockPool& operator=(const BlockPool&) = delete;
    ~BlockPool();

    std::optional<BlockLease> acquire();

    uint32_t capacity() const { return static_cast<uint32_t>(uses_.size()); }
    uint32_t free_blocks() const { return static_cast<uint32_t>(free_.size()); }
    uint64_t block_bytes() const { return block_bytes_; }
    static constexpr uint64_t table_bytes_per_block() { return sizeof(uint32_t) + sizeof(BlockId); }

  private:
    friend class BlockLease;
    std::byte* data(BlockId id) const;
    void add_use(BlockId id);
    void drop_use(BlockId id);

    std::span<std::byte> memory_;
    uint64_t block_bytes_;
    std::vector<uint32_t> uses_;  // leases of each block
    std::vector<BlockId> free_;
};

// The right to use a block. Its destructor gives the block back when no other lease is left.
class BlockLease {
  public:
    BlockLease(BlockLease&& other) noexcept;
    BlockLease& operator=(BlockLease&& other) noexcept;
    ~BlockLease();

    BlockId id() const { return id_; }
    std::byte* data() const { return pool_->data(id_); }
    uint32_t use_count() const { return pool_->uses_[static_cast<uint32_t>(id_)]; }
    // Another lease of the same block, which then nobody may write any more.
    BlockLease share() const;

  private:
    friend class BlockPool;
    BlockLease(BlockPool& pool, BlockId id) : pool_(&pool), id_(id) {}
    BlockPool* pool_;
    BlockId id_;
};

}  // namespace weir::kv
