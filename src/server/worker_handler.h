#pragma once

#include <memory>
#include <string>

#include "base/metrics.h"
#include "chat/backend.h"
#include "net/http_server.h"

namespace weir::server {

// What a worker answers: POST /v1/chat/completions and /v1/completions as the gateway does, but
// with nothing to decide, and GET /health and /metrics. Whoever reaches its socket is the gateway.
//
// Threads: any. Ownership: borrows the backend and the registry.
class WorkerHandler final : public net::HttpHandler {
  public:
    WorkerHandler(chat::ChatBackend& backend, metrics::Registry& registry, std::string model_name)
        : backend_(backend), registry_(registry), model_name_(std::move(model_name)) {}

    void handle(net::HttpRequest request, std::shared_ptr<net::HttpResponder> responder,
                std::stop_token cancelled) override;
    net::HttpReply error_reply(int status, std::string_view why) override;

  private:
    std::string metrics_text();
    Result<void> begin(const net::HttpRequest& request,
                       std::shared_ptr<net::HttpResponder> responder, std::stop_token cancelled);

    chat::ChatBackend& backend_;
    metrics::Registry& registry_;
    std::string model_name_;
};

}  // namespace weir::server
