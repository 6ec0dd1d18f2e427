#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"

namespace weir::router {

struct BreakerConfig {
    uint32_t failures_max = 5;  // in a row; then it opens
    std::chrono::milliseconds open_for{10'000};
};

// Remembers that a backend keeps failing. Open, it is tried last; after `open_for` one request may
// try it again, and its outcome decides: until it is known, or `open_for` has passed once more
// without one, it stays open for everybody else.
//
// Threads: one.
class Breaker {
  public:
    explicit Breaker(const Clock& clock, BreakerConfig config = {})
        : clock_(clock), config_(config) {}

    bool is_open() const { return failures_ >= config_.failures_max && clock_.now() < open_until_; }
    // A request is about to be sent: where this is the one that tries again, nobody else does.
    void tried() { open_until_ = clock_.now() + config_.open_for; }
    void succeeded() { failures_ = 0; }
    void failed() {
        failures_ = failures_ < config_.failures_max ? failures_ + 1 : failures_;
        open_until_ = clock_.now() + config_.open_for;
    }

  private:
    const Clock& clock_;
    BreakerConfig config_;
    uint32_t failures_ = 0;  // in a row; failures_max: open until open_until_
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
// connection and an upstream's own faults yes; what is wrong with the request itself no. Nor what
// local workers died of (kWorkerDied): the request may be the reason, and each try costs everybody
// else their worker.
bool is_worth_another_try(const Error& error);

inline constexpr std::string_view kWorkerDied = "worker_died";  // an Error's reason

// How long to wait before try `attempt` (0 is the first repetition): what the peer asked for, or
// exponential from 250 ms with full jitter; never longer than a minute.
std::chrono::milliseconds retry_delay(const Error& error, uint32_t attempt, double jitter);

inline constexpr uint32_t kAttemptsMax = 3;

}  // namespace weir::router
