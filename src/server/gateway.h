#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "chat/backend.h"
#include "ledger/ledger.h"
#include "net/loop.h"
#include "policy/inspector.h"
#include "router/health.h"
#include "router/router.h"
#include "server/config.h"
#include "server/gateway_metrics.h"
#include "server/task_pool.h"

namespace weir::server {

// A backend that routes can name, with what we remember of its health.
struct Backend {
    const BackendConfig& config;
    std::unique_ptr<chat::ChatBackend> chat;
    router::Breaker breaker;
};

// What every request needs, wired once at start.
//
// Threads: `backends` (their breakers) and `retries` are used on `strand`; the rest is immutable or
// safe by itself.
struct Gateway {
    const Config& config;
    const Clock& clock;
    net::Loop& loop;
    std::shared_ptr<net::Strand> strand;
    policy::Inspector inspector;
    ledger::KeyRing keys;
    std::unique_ptr<ledger::Ledger> ledger;
    std::vector<Backend> backends;  // as in config.backends
    std::unordered_map<std::string, const RouteConfig*> routes;
    router::RetryBudget retries;
    GatewayMetrics metrics;
    TaskPool pool;
    int64_t started = 0;  // Unix seconds
};

}  // namespace weir::server
