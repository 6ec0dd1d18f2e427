#pragma once

#include <chrono>

namespace weir {

// Time as a parameter, so that tests can turn it.
class Clock {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;
    using WallTime = std::chrono::system_clock::time_point;

    virtual ~Clock() = default;
    virtual TimePoint now() const = 0;  // monotonic: deadlines, leases, latencies
    virtual WallTime wall() const = 0;  // what goes into records and templates
};

// The machine's clocks. Threads: any.
const Clock& system_clock();

// The wall clock's time as a calendar in this process's time zone shows it.
std::chrono::local_seconds local_time(const Clock& clock);

// Stands still until it is advanced. Threads: one.
class ManualClock final : public Clock {
  public:
    TimePoint now() const override { return now_; }
    WallTime wall() const override { return wall_; }
    void advance(std::chrono::nanoseconds by) {
        now_ += by;
        wall_ += std::chrono::duration_cast<WallTime::duration>(by);
    }

  private:
    TimePoint now_{};
    WallTime wall_{};
};

}  // namespace weir
