#pragma once

#include <memory>
#include <stop_token>

#include "base/clock.h"
#include "base/secret.h"
#include "chat/backend.h"
#include "net/http_client.h"
#include "policy/gate.h"
#include "providers/openai/dialect.h"
#include "server/config.h"

namespace weir::server {

// A provider, reached over TCP: every request it is sent, first or repeated, has passed the gate.
//
// Threads: any. Ownership: borrows client and clock.
class RemoteBackend final : public chat::ChatBackend {
  public:
    // `api_key` is empty where the provider needs none.
    RemoteBackend(const BackendConfig& config, Secret api_key, net::HttpClient& client,
                  const Clock& clock);

    // Reads the certificates that the provider is judged by, so that a wrong file is found at start
    // and the first request does not wait for it.
    Result<void> prepare() const;

    void start(std::shared_ptr<const chat::ChatRequest> request,
               std::shared_ptr<chat::ChatSink> sink, std::stop_token cancel) override;

  private:
    struct Peer;  // what one request needs and may outlive this object
    static void send(const std::shared_ptr<const Peer>& peer,
                     std::shared_ptr<const chat::ChatRequest> request,
                     std::shared_ptr<chat::ChatSink> sink, std::stop_token cancel,
                     uint32_t sends_left);

    std::shared_ptr<const Peer> peer_;
};

}  // namespace weir::server
