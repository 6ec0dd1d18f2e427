#include "server/gateway_metrics.h"

#include <array>

namespace weir::server {
namespace {

constexpr std::array kSeconds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,  0.25,  0.5,
                                 1.0,   2.5,    5.0,   10.0, 20.0,  40.0, 80.0, 160.0, 640.0};

double seconds(std::chrono::nanoseconds time) {
    return std::chrono::duration<double>(time).count();
}

}  // namespace

GatewayMetrics::GatewayMetrics()
    : time_to_first_event_(registry_.histogram(
          "weir_time_to_first_event_seconds",
          "From a request's arrival to the first event of its answer", kSeconds)),
      request_time_(registry_.histogram(
          "weir_request_seconds", "From a request's arrival to its answer's end", kSeconds)) {}

void GatewayMetrics::first_event(std::chrono::nanoseconds since_arrival) {
    time_to_first_event_.observe(seconds(since_arrival));
}

// Labels come from the configuration and from closed sets, never from a request.
void GatewayMetrics::ended(const ledger::Entry& entry) {
    request_time_.observe(seconds(entry.latency));
    const metrics::Labels backend = {{"backend", entry.backend}};
    registry_
        .counter("weir_requests_total", "Requests that have ended",
                 {{"backend", entry.backend}, {"outcome", entry.outcome}})
        .add();
    registry_.counter("weir_prompt_tokens_total", "Prompt tokens, as billed", backend)
        .add(entry.usage.prompt_tokens);
    registry_.counter("weir_completion_tokens_total", "Completion tokens, as billed", backend)
        .add(entry.usage.completion_tokens);
    registry_.counter("weir_cost_pico_dollars_total", "Cost in 10^-12 dollars", backend)
        .add(static_cast<uint64_t>(entry.cost));
}

}  // namespace weir::server
