#pragma once

#include <chrono>
#include <cstdint>

#include "base/clock.h"
#include "base/error.h"

namespace weir::router {

struct BreakerConfig {
    uint32_t failures_max = 5;  // in a row; then it opens
    std::chrono::milliseconds open_for{10'000};
};

// Remembers that a backend keeps failing. Open, it is tried last; after `open_for` one request may
// try it again, and its outcome decides.
//
// Threads: one.
class Breaker {
  public:
    explicit Breaker(const Clock& clock, BreakerConfig config = {})
        : clock_(clock), config_(config) {}

    bool is_open() const { return failures_ >= config_.failures_max && clock_.now() < open_until_; }
    void succeeded() { failures_ = 0; }
    void failed() {
        if (++failures_ >= config_.failures_max) {
            open_until_ = clock_.now() + config_.open_for;
        }
    }

  private:
    const Clock& clock_;
    BreakerConfig config_;
    uint32_t failures_ = 0;
    Clock::TimePoint open_until_{};
};

// Retries may be a tenth of the requests, so that a provider in trouble is not buried under them;
// a small allowance is there from the start. Each request earns a tenth of a retry.
//
// Threads: one.
class RetryBudget {
  public:
    void request_came() { tenths_ = tenths_ + 1 > kTenthsMax ? kTenthsMax : tenths_ + 1; }
    bool spend() {
        if (tenths_ < 10) {
            return false;
        }
        tenths_ -= 10;
        return true;
    }

  private:
    static constexpr uint32_t kTenthsMax = 1000;
    uint32_t tenths_ = 100;
};

// Whether another backend, or another try, could make it right: overload, timeouts, refusals of the
// connection and an upstream's own faults yes; what is wrong with the request itself no.
bool is_worth_another_try(const Error& error);

// How long to wait before try `attempt` (0 is the first repetition): what the peer asked for, or
// exponential from 250 ms with full jitter; never longer than a minute.
std::chrono::milliseconds retry_delay(const Error& error, uint32_t attempt, double jitter);

inline constexpr uint32_t kAttemptsMax = 3;

}  // namespace weir::router
