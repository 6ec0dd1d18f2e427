#include "base/clock.h"

#include <ctime>

namespace weir {
namespace {

class SystemClock final : public Clock {
  public:
    TimePoint now() const override { return std::chrono::steady_clock::now(); }
    WallTime wall() const override { return std::chrono::system_clock::now(); }
};

}  // namespace

const Clock& system_clock() {
    static const SystemClock clock;
    return clock;
}

std::chrono::local_seconds local_time(const Clock& clock) {
    const std::time_t now = Clock::WallTime::clock::to_time_t(clock.wall());
    std::tm parts{};
    ::localtime_r(&now, &parts);
    return std::chrono::local_seconds{
        std::chrono::seconds{static_cast<int64_t>(now) + parts.tm_gmtoff}};
}

}  // namespace weir
