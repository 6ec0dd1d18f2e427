#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "net/http_server.h"
#include "server/gateway.h"

namespace weir::server {

// Things that need the whole server, asked for over HTTP.
struct ServerActions {
    // The text of GET /metrics; calls back from any thread.
    std::function<void(std::function<void(std::string)>)> collect_metrics;
    // The workers as JSON, for `weir ps`.
    std::function<void(std::function<void(std::string)>)> list_workers;
    std::function<bool()> is_ready;
    std::function<void()> stop;  // begins to drain
};

// Everything that clients can ask the gateway, by path and method:
//
//   POST /v1/chat/completions, /v1/completions     GET /v1/models, /v1/models/NAME
//   GET /health, /ready (open to all)              GET /metrics
//   on the Unix socket only: GET /admin/ps, /admin/spend?since=SECONDS; POST /admin/stop
//
// Who may: with keys configured, whoever has one ("Authorization: Bearer …"); without keys,
// everybody who reached us, which is loopback then. Browsers on other sites may not: a Host that is
// not ours (DNS rebinding) or an Origin that is not ours gets 403.
//
// Threads: any.
class GatewayHandler final : public net::HttpHandler {
  public:
    GatewayHandler(std::shared_ptr<Gateway> gateway, ServerActions actions);

    void handle(net::HttpRequest request, std::shared_ptr<net::HttpResponder> responder,
                std::stop_token cancelled) override;
    net::HttpReply error_reply(int status, std::string_view why) override;

  private:
    struct Call {
        net::HttpRequest request;
        std::shared_ptr<net::HttpResponder> responder;
        std::stop_token cancelled;
        Clock::TimePoint arrived;
        const ledger::ClientKey* key = nullptr;  // null: none configured
    };

    Result<void> check_site(const net::HttpRequest& request) const;
    Result<const ledger::ClientKey*> authorise(const net::HttpRequest& request) const;
    void dispatch(Call call);
    void dispatch_admin(Call call);
    void complete(Call call, bool chat);
    Result<void> begin(Call& call, bool chat);
    void list_models(const Call& call) const;
    void show_model(const Call& call, std::string_view name) const;
    void show_spend(const Call& call) const;

    std::shared_ptr<Gateway> gateway_;
    ServerActions actions_;
    std::atomic<size_t> queued_bytes_ = 0;  // of bodies that wait for the pool
};

}  // namespace weir::server
