#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kv/state.h"

namespace weir::model::testing {

// The memory of one sequence: KV blocks, all there from the start and filled with NaN, so that
// reading what was never written shows, and recurrent state, zero at first.
class KvMemory {
  public:
    KvMemory(const kv::StateSpec& spec, size_t tokens) {
        const size_t count = (tokens + spec.block_tokens - 1) / spec.block_tokens;
        for (const kv::AttentionGroup& group : spec.groups) {
            const size_t lines = (kv::block_bytes(spec, group) + kLine - 1) / kLine;
            auto& table = tables_.emplace_back();
            for (size_t i = 0; i < count; ++i) {
                Line nan;
                nan.bytes.fill(std::byte{0xff});
                auto& block = blocks_.emplace_back(lines, nan);
                table.push_back(reinterpret_cast<std::byte*>(block.data()));
            }
        }
        recurrent_.resize((spec.recurrent_bytes + kLine - 1) / kLine);
        recurrent_view_ = std::as_writable_bytes(std::span(recurrent_));
        for (const auto& table : tables_) {
            views_.emplace_back(table.data(), table.size());
        }
    }

    kv::SequenceView view() const {
        return {.blocks = views_,
                .recurrent = recurrent_view_.empty() ? nullptr : recurrent_view_.data()};
    }
    std::span<const std::byte> recurrent() const { return recurrent_view_; }

  private:
    static constexpr size_t kLine = 64;
    struct alignas(kLine) Line {
        std::array<std::byte, kLine> bytes;
    };

    std::vector<std::vector<Line>> blocks_;
    std::vector<Line> recurrent_;
    std::span<std::byte> recurrent_view_;
    std::vector<std::vector<std::byte*>> tables_;
    std::vector<std::span<std::byte* const>> views_;
};

}  // namespace weir::model::testing
