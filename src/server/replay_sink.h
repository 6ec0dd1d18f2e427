#pragma once

#include <cstdint>
#include <memory>

#include "chat/backend.h"

namespace weir::server {

// Passes an answer's events on, and can have it told again from the start: after rewind(), as many
// events as have already been passed on are dropped, and compared by their text.
//
// Threads: as chat::ChatSink.
class ReplaySink final : public chat::ChatSink {
  public:
    explicit ReplaySink(std::shared_ptr<chat::ChatSink> target) : target_(std::move(target)) {}

    void on_event(chat::ChatEvent event) override;

    bool has_begun() const { return passed_ > 0; }
    // The answer will now be told again.
    void rewind();
    // What was told again differs from what was passed on; nothing is passed on any more.
    bool diverged() const { return diverged_; }

  private:
    // FNV-1a over what the events say (Fowler, Noll, Vo; 64 bit).
    static constexpr uint64_t kHashStart = 0xcbf29ce484222325;

    std::shared_ptr<chat::ChatSink> target_;
    uint64_t passed_ = 0;
    uint64_t to_skip_ = 0;
    uint64_t passed_hash_ = kHashStart;
    uint64_t skipped_hash_ = kHashStart;
    bool diverged_ = false;
};

}  // namespace weir::server
