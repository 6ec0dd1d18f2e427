#pragma once

#include <functional>
#include <string>
#include <vector>

#include "net/http_client.h"
#include "server/gateway.h"
#include "server/worker_pool.h"

namespace weir::server {

// Joins expositions in Prometheus' text format: the lines of a metric stand together, with one
// HELP and one TYPE.
std::string join_expositions(const std::vector<std::string>& texts);

// The gateway's numbers and those of every running worker. A worker that does not answer in a
// second is left out.
void collect_metrics(Gateway& gateway, WorkerPool& workers, net::HttpClient& client,
                     std::function<void(std::string)> done);

}  // namespace weir::server
