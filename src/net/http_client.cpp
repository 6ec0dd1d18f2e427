#include "net/http_client.h"

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "net/client_connection.h"

namespace weir::net {
namespace {

ErrorCode error_code(HttpFailureKind kind) {
    switch (kind) {
        case HttpFailureKind::InvalidRequest:
            return ErrorCode::Internal;
        case HttpFailureKind::PermitRefused:
            return ErrorCode::PermissionDenied;
        case HttpFailureKind::ConnectFailed:
        case HttpFailureKind::TlsFailed:
        case HttpFailureKind::StaleConnection:
            return ErrorCode::Unavailable;
        case HttpFailureKind::ConnectTimeout:
        case HttpFailureKind::FirstByteTimeout:
        case HttpFailureKind::StallTimeout:
        case HttpFailureKind::TotalTimeout:
            return ErrorCode::DeadlineExceeded;
        case HttpFailureKind::Truncated:
        case HttpFailureKind::ProtocolError:
        case HttpFailureKind::AnswerTooLarge:
            return ErrorCode::UpstreamFailed;
        case HttpFailureKind::Cancelled:
            return ErrorCode::Cancelled;
    }
    return ErrorCode::Internal;
}

bool is_ours(std::string_view name) {
    for (const std::string_view own :
         {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "expect",
          "upgrade", "te", "trailer", "keep-alive"}) {
        if (equals_ignoring_case(name, own)) {
            return true;
        }
    }
    return false;
}

// Empty if the request can be sent. Names no value: it may be a key (SE1).
std::string what_is_wrong(const HttpClientRequest& request) {
    if (!is_token(request.method) || request.method == "CONNECT") {
        return "the method cannot be sent";
    }
    const bool clean = std::ranges::all_of(request.target,
                                           [](char c) { return c > 0x20 && c < 0x7f && c != '#'; });
    if (!request.target.starts_with('/') || !clean) {
        return "the request target cannot be sent";
    }
    for (const Header& field : request.headers) {
        if (!is_token(field.name) || !is_field_value(field.value)) {
            return "a request header cannot be sent";
        }
        if (is_ours(field.name)) {
            return "a request header is not the caller's to set";
        }
    }
    return {};
}

}  // namespace

Error HttpFailure::to_error() const {
    return make_error(error_code(kind), "{}", message);
}

struct HttpClient::Impl final : ClientPool, std::enable_shared_from_this<HttpClient::Impl> {
    Impl(Loop& owner, HttpClientOptions given) : loop(owner), options(given) {}

    Result<std::shared_ptr<TlsContext>> tls_for(const TcpPeer& peer);
    void send(Route route, HttpClientRequest request, std::optional<OutboundPermit> permit,
              std::shared_ptr<HttpSink> sink, std::stop_token cancel);
    void start(std::unique_ptr<Call> call);
    std::shared_ptr<ClientConnection> take_idle(const std::string& key);
    void refuse(std::shared_ptr<HttpSink> sink, HttpFailureKind kind, std::string message);
    void shut_down();

    void give_back(const std::shared_ptr<ClientConnection>& connection) override;
    void closed(const std::shared_ptr<ClientConnection>& connection) override;
    void forget_idle(const std::string& key) override;
    void start_afresh(std::unique_ptr<Call> call) override;

    using Connections = std::vector<std::shared_ptr<ClientConnection>>;

    Loop& loop;
    const HttpClientOptions options;
    mutable Mutex mutex;
    bool shut WEIR_GUARDED_BY(mutex) = false;
    // By Route::key; the last is the freshest.
    std::unordered_map<std::string, Connections> idle WEIR_GUARDED_BY(mutex);
    std::unordered_map<const ClientConnection*, std::weak_ptr<ClientConnection>> open
        WEIR_GUARDED_BY(mutex);
    // By certificate file.
    std::unordered_map<std::string, std::shared_ptr<TlsContext>> tls WEIR_GUARDED_BY(mutex);
    uint64_t made WEIR_GUARDED_BY(mutex) = 0;
    uint64_t reused WEIR_GUARDED_BY(mutex) = 0;
};

Result<std::shared_ptr<TlsContext>> HttpClient::Impl::tls_for(const TcpPeer& peer) {
    if (peer.origin.scheme == Scheme::Http) {
        return nullptr;
    }
    {
        const MutexLock lock(mutex);
        if (const auto found = tls.find(peer.ca_file); found != tls.end()) {
            return found->second;
        }
    }
    WEIR_TRY_ASSIGN(auto made_now, make_client_tls(peer.ca_file));
    const MutexLock lock(mutex);
    return tls.emplace(peer.ca_file, std::move(made_now)).first->second;
}

void HttpClient::Impl::refuse(std::shared_ptr<HttpSink> sink, HttpFailureKind kind,
                              std::string message) {
    loop.post([sink = std::move(sink), kind, message = std::move(message)] {
        sink->on_failure({kind, message, false, false});
    });
}

void HttpClient::Impl::send(Route route, HttpClientRequest request,
                            std::optional<OutboundPermit> permit, std::shared_ptr<HttpSink> sink,
                            std::stop_token cancel) {
    if (std::string wrong = what_is_wrong(request); !wrong.empty()) {
        refuse(std::move(sink), HttpFailureKind::InvalidRequest, std::move(wrong));
        return;
    }
    if (cancel.stop_requested()) {
        refuse(std::move(sink), HttpFailureKind::Cancelled, "the call was cancelled");
        return;
    }
    auto call = std::make_unique<Call>();
    call->total_end = std::chrono::steady_clock::now() + request.limits.total_max;
    call->route = std::move(route);
    call->request = std::move(request);
    call->permit = std::move(permit);
    call->sink = std::move(sink);
    call->cancel = std::move(cancel);
    start(std::move(call));
}

void HttpClient::Impl::start(std::unique_ptr<Call> call) {
    if (const auto connection = take_idle(call->route.key)) {
        connection->begin(std::move(call));
    } else {
        start_afresh(std::move(call));
    }
}

std::shared_ptr<ClientConnection> HttpClient::Impl::take_idle(const std::string& key) {
    const MutexLock lock(mutex);
    const auto found = idle.find(key);
    if (found == idle.end()) {
        return nullptr;
    }
    std::shared_ptr<ClientConnection> connection = std::move(found->second.back());
    found->second.pop_back();
    if (found->second.empty()) {
        idle.erase(found);
    }
    ++reused;
    return connection;
}

void HttpClient::Impl::start_afresh(std::unique_ptr<Call> call) {
    std::shared_ptr<ClientConnection> connection;
    {
        const MutexLock lock(mutex);
        if (!shut && open.size() < options.connections_max) {
            connection = std::make_shared<ClientConnection>(shared_from_this(), loop.make_strand(),
                                                            call->route);
            open.emplace(connection.get(), connection);
            ++made;
        }
    }
    if (connection) {
        connection->begin(std::move(call));
    } else {
        refuse(std::move(call->sink), HttpFailureKind::ConnectFailed, "too many open connections");
    }
}

void HttpClient::Impl::give_back(const std::shared_ptr<ClientConnection>& connection) {
    {
        const MutexLock lock(mutex);
        Connections& waiting = idle[connection->key()];
        if (!shut && waiting.size() < options.idle_per_peer_max) {
            connection->expect_idle_end(options.idle_max);
            waiting.push_back(connection);
            return;
        }
    }
    connection->close_if_idle();
}

void HttpClient::Impl::closed(const std::shared_ptr<ClientConnection>& connection) {
    const MutexLock lock(mutex);
    open.erase(connection.get());
    const auto found = idle.find(connection->key());
    if (found != idle.end()) {
        std::erase(found->second, connection);
        if (found->second.empty()) {
            idle.erase(found);
        }
    }
}

void HttpClient::Impl::forget_idle(const std::string& key) {
    Connections waiting;
    {
        const MutexLock lock(mutex);
        if (const auto found = idle.find(key); found != idle.end()) {
            waiting = std::move(found->second);
            idle.erase(found);
        }
    }
    for (const auto& connection : waiting) {
        connection->close_if_idle();
    }
}

void HttpClient::Impl::shut_down() {
    Connections all;
    std::unordered_map<std::string, Connections> waiting;  // goes after the lock
    {
        const MutexLock lock(mutex);
        shut = true;
        waiting.swap(idle);
        for (const auto& [key, weak] : open) {
            if (auto connection = weak.lock()) {
                all.push_back(std::move(connection));
            }
        }
    }
    for (const auto& connection : all) {
        connection->stop();
    }
}

HttpClient::HttpClient(Loop& loop, HttpClientOptions options)
    : impl_(std::make_shared<Impl>(loop, options)) {}

HttpClient::~HttpClient() {
    impl_->shut_down();
}

Result<void> HttpClient::prepare(const TcpPeer& peer) {
    WEIR_TRY(impl_->tls_for(peer));
    return {};
}

void HttpClient::send(const TcpPeer& peer, HttpClientRequest request, OutboundPermit permit,
                      std::shared_ptr<HttpSink> sink, std::stop_token cancel) {
    const std::string origin = peer.origin.text();
    if (!permit.allows(origin)) {
        impl_->refuse(std::move(sink), HttpFailureKind::PermitRefused,
                      "the request has no permit for this peer");
        return;
    }
    auto tls = impl_->tls_for(peer);
    if (!tls) {
        impl_->refuse(std::move(sink), HttpFailureKind::TlsFailed, tls.error().message);
        return;
    }
    Route route{origin + '\n' + peer.ca_file, peer, {}, *std::move(tls)};
    impl_->send(std::move(route), std::move(request), std::move(permit), std::move(sink),
                std::move(cancel));
}

void HttpClient::send_unix(const std::string& socket_path, HttpClientRequest request,
                           std::shared_ptr<HttpSink> sink, std::stop_token cancel) {
    Route route{"unix\n" + socket_path, std::nullopt, socket_path, nullptr};
    impl_->send(std::move(route), std::move(request), std::nullopt, std::move(sink),
                std::move(cancel));
}

HttpClientStats HttpClient::stats() const {
    const MutexLock lock(impl_->mutex);
    HttpClientStats stats{impl_->open.size(), impl_->made, impl_->reused, 0};
    for (const auto& [key, waiting] : impl_->idle) {
        stats.connections_idle += waiting.size();
    }
    return stats;
}

}  // namespace weir::net
