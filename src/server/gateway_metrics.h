#pragma once

#include <chrono>

#include "base/metrics.h"
#include "ledger/ledger.h"

namespace weir::server {

// What the gateway counts. The engine's own numbers, under vLLM's names, come from the workers.
//
// Threads: any.
class GatewayMetrics {
  public:
    GatewayMetrics();

    void first_event(std::chrono::nanoseconds since_arrival);
    void ended(const ledger::Entry& entry);
    std::string text() const { return registry_.text(); }

  private:
    metrics::Registry registry_;
    metrics::Histogram& time_to_first_event_;
    metrics::Histogram& request_time_;
};

}  // namespace weir::server
