#include "server/remote_backend.h"

#include <fmt/format.h>

#include "server/answer_relay.h"

namespace weir::server {
namespace {

// A pooled connection may turn out to be closed; so may the next.
constexpr uint32_t kSendsMax = 4;

}  // namespace

struct RemoteBackend::Peer {
    policy::Destination destination;
    net::TcpPeer tcp;
    providers::OpenAiOptions options;
    Secret api_key;
    net::HttpClientLimits limits;
    net::HttpClient& client;
    const Clock& clock;
};

RemoteBackend::RemoteBackend(const BackendConfig& config, Secret api_key, net::HttpClient& client,
                             const Clock& clock) {
    const auto& source = std::get<RemoteSource>(config.source);
    net::HttpClientLimits limits;
    limits.connect_max = source.connect_max;
    limits.first_byte_max = source.first_byte_max;
    limits.between_bytes_max = source.between_bytes_max;
    limits.total_max = source.total_max;
    const bool is_openai = source.base_url.origin.host == "api.openai.com";
    peer_ = std::make_shared<const Peer>(
        Peer{.destination = {.backend = config.name,
                             .origin = source.base_url.origin.text(),
                             .clearance = config.clearance},
             .tcp = {.origin = source.base_url.origin, .ca_file = source.ca_file},
             .options = {.dialect = source.speaks_extensions ? providers::OpenAiDialect::vllm()
                                    : is_openai              ? providers::OpenAiDialect::openai()
                                                : providers::OpenAiDialect::compatible(),
                         .model = source.model,
                         .base_path = source.base_url.path},
             .api_key = std::move(api_key),
             .limits = limits,
             .client = client,
             .clock = clock});
}

Result<void> RemoteBackend::prepare() const {
    return peer_->client.prepare(peer_->tcp);
}

void RemoteBackend::start(std::shared_ptr<const chat::ChatRequest> request,
                          std::shared_ptr<chat::ChatSink> sink, std::stop_token cancel) {
    send(peer_, std::move(request), std::move(sink), std::move(cancel), kSendsMax);
}

void RemoteBackend::send(const std::shared_ptr<const Peer>& peer,
                         std::shared_ptr<const chat::ChatRequest> request,
                         std::shared_ptr<chat::ChatSink> sink, std::stop_token cancel,
                         uint32_t sends_left) {
    auto permit = policy::Gate::permit(*request, peer->destination);
    if (!permit) {
        sink->on_event(std::move(permit).error());
        return;
    }
    const auto relay = std::make_shared<AnswerRelay>(
        request, peer->options, sink, peer->clock,
        [peer, request, sink, cancel, sends_left](std::optional<AnswerFailure> failure) {
            if (!failure) {
                return;
            }
            if (failure->transport == net::HttpFailureKind::StaleConnection && sends_left > 1) {
                send(peer, request, sink, cancel, sends_left - 1);
                return;
            }
            sink->on_event(std::move(failure->error));
        });
    auto call = relay->encode();
    if (!call) {
        sink->on_event(std::move(call).error());
        return;
    }
    call->limits = peer->limits;
    if (!peer->api_key.empty()) {
        call->headers.add("Authorization", fmt::format("Bearer {}", peer->api_key.reveal()));
    }
    peer->client.send(peer->tcp, *std::move(call), *std::move(permit), relay, std::move(cancel));
}

}  // namespace weir::server
