#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include "net/loop.h"

namespace weir::net {

// A deadline that moves with almost every byte, for the price of a store: the timer below runs only
// when none is running or the new deadline is earlier, and looks when it fires whether the deadline
// has moved meanwhile. Threads: its strand, the destructor as well unless release() came before.
class Deadline {
  public:
    using Clock = std::chrono::steady_clock;

    // `on_due` must not own whoever owns this.
    Deadline(Strand& strand, std::function<void()> on_due)
        : timer_(strand.make_timer()), on_due_(std::move(on_due)) {}

    void set(Clock::time_point when) {
        due_ = when;
        if (timer_ && (!armed_ || *armed_ > when)) {
            arm(when);
        }
    }
    void set_after(std::chrono::nanoseconds after) { set(Clock::now() + after); }
    void clear() { due_.reset(); }
    bool is_set() const { return due_.has_value(); }

    // Frees the timer; nothing happens any more.
    void release() {
        due_.reset();
        timer_.reset();
    }

  private:
    void arm(Clock::time_point when) {
        armed_ = when;
        timer_->start(when - Clock::now(), [this] { fired(); });
    }
    void fired() {
        armed_.reset();
        if (due_ && *due_ > Clock::now()) {
            arm(*due_);
        } else if (due_) {
            due_.reset();
            on_due_();
        }
    }

    std::unique_ptr<Timer> timer_;
    std::function<void()> on_due_;
    std::optional<Clock::time_point> due_;
    std::optional<Clock::time_point> armed_;
};

}  // namespace weir::net
