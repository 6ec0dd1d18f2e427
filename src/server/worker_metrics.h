#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "ledger/ledger.h"
#include "net/http_client.h"
#include "server/gateway.h"
#include "server/worker_pool.h"

namespace weir::server {

// Contained bugs (base/check.h) of one process, gateway or worker.
inline constexpr std::string_view kBugsMetric = "weir_bugs_total";
inline constexpr std::string_view kBugsHelp =
    "States believed impossible that were met; 0 is right";

// What has become of the ledger's entries, and the gateway's contained bugs.
std::string house_metrics(const ledger::LedgerStats& ledger, uint64_t bugs);

// Joins expositions in Prometheus' text format: the lines of a metric stand together, with one
// HELP and one TYPE.
std::string join_expositions(const std::vector<std::string>& texts);

// The gateway's numbers and those of every running worker. A worker that does not answer in a
// second is left out.
void collect_metrics(Gateway& gateway, WorkerPool& workers, net::HttpClient& client,
                     std::function<void(std::string)> done);

}  // namespace weir::server
