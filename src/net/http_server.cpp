#include "net/http_server.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "net/http_connection.h"
#include "net/transport.h"

namespace weir::net {
namespace {

constexpr std::string_view kNoRoom =
    "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n"
    "Content-Length: 0\r\n\r\n";

// Without a connection object, for they are what has run out.
void turn_away(const UniqueFd& fd, Listener listener) {
    if (listener != Listener::Tls) {
        (void)::send(fd.get(), kNoRoom.data(), kNoRoom.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    }
}

}  // namespace

HttpReply HttpHandler::error_reply(int status, std::string_view why) {
    return {status, {{"Content-Type", "text/plain"}}, std::string(why) + "\n"};
}

void ServerCore::add(const std::shared_ptr<ServerConnection>& connection) {
    const MutexLock lock(mutex_);
    connections_.emplace(connection.get(), connection);
    open = connections_.size();
}

void ServerCore::remove(const ServerConnection* connection) {
    Task task;
    {
        const MutexLock lock(mutex_);
        connections_.erase(connection);
        open = connections_.size();
        if (connections_.empty()) {
            task = std::exchange(on_empty_, nullptr);
        }
    }
    if (task) {
        task();
    }
}

std::vector<std::shared_ptr<ServerConnection>> ServerCore::all() const {
    std::vector<std::shared_ptr<ServerConnection>> out;
    const MutexLock lock(mutex_);
    for (const auto& [key, weak] : connections_) {
        if (auto connection = weak.lock()) {
            out.push_back(std::move(connection));
        }
    }
    return out;
}

void ServerCore::when_empty(Task task) {
    {
        const MutexLock lock(mutex_);
        if (!connections_.empty()) {
            on_empty_ = std::move(task);
            return;
        }
    }
    task();
}

struct HttpServer::Impl : std::enable_shared_from_this<HttpServer::Impl> {
    Impl(Loop& owner, HttpServerLimits limits, std::shared_ptr<HttpHandler> handler)
        : loop(owner),
          core(std::make_shared<ServerCore>(limits, std::move(handler))),
          strand(loop.make_strand()),
          drain_timer(strand->make_timer()) {}

    void accept_from(UniqueFd listening, Listener listener, std::shared_ptr<TlsContext> tls);
    void accepted(Accepted accepted, Listener listener, const std::shared_ptr<TlsContext>& tls);
    void close_acceptors();
    void drain(std::chrono::milliseconds deadline, Task done);
    void cancel_what_is_open();
    void drained();

    Loop& loop;
    const std::shared_ptr<ServerCore> core;
    const std::shared_ptr<Strand> strand;  // of acceptors and drain
    std::unique_ptr<Timer> drain_timer;
    std::vector<std::shared_ptr<Acceptor>> acceptors;
    std::vector<std::string> socket_files;  // only of the thread that listens and destroys
    Task on_drained;
    bool closed = false;  // no acceptor any more
};

void HttpServer::Impl::accept_from(UniqueFd listening, Listener listener,
                                   std::shared_ptr<TlsContext> tls) {
    auto acceptor = make_acceptor(strand, std::move(listening));
    strand->dispatch([self = shared_from_this(), acceptor, listener, tls = std::move(tls)] {
        if (self->closed) {
            acceptor->close();
            return;
        }
        self->acceptors.push_back(acceptor);
        const std::weak_ptr<Impl> weak = self;
        acceptor->run([weak, listener, tls](Accepted one) {
            if (const auto impl = weak.lock()) {
                impl->accepted(std::move(one), listener, tls);
            }
        });
    });
}

void HttpServer::Impl::accepted(Accepted one, Listener listener,
                                const std::shared_ptr<TlsContext>& tls) {
    ++core->accepted;
    if (core->open >= core->limits.connections_max) {
        ++core->refused;
        turn_away(one.fd, listener);
        return;
    }
    auto connection = std::make_shared<ServerConnection>(core, loop.make_strand(), listener,
                                                         std::move(one.peer_address));
    core->add(connection);
    connection->begin(std::move(one.fd), tls);
}

void HttpServer::Impl::close_acceptors() {
    closed = true;
    for (const auto& acceptor : acceptors) {
        acceptor->close();
    }
    acceptors.clear();
}

void HttpServer::Impl::drain(std::chrono::milliseconds deadline, Task done) {
    if (core->draining.exchange(true)) {
        return;
    }
    close_acceptors();
    on_drained = std::move(done);
    for (const auto& connection : core->all()) {
        connection->finish_or_close();
    }
    drain_timer->start(deadline, [weak = weak_from_this()] {
        if (const auto impl = weak.lock()) {
            impl->cancel_what_is_open();
        }
    });
    core->when_empty([weak = weak_from_this()] {
        if (const auto impl = weak.lock()) {
            impl->strand->post([impl] { impl->drained(); });
        }
    });
}

void HttpServer::Impl::cancel_what_is_open() {
    for (const auto& connection : core->all()) {
        connection->cancel_answer();
    }
    drain_timer->start(core->limits.drain_lingering_max, [shared = core] {
        for (const auto& connection : shared->all()) {
            connection->stop();
        }
    });
}

void HttpServer::Impl::drained() {
    drain_timer->cancel();
    if (Task done = std::exchange(on_drained, nullptr)) {
        done();
    }
}

HttpServer::HttpServer(Loop& loop, HttpServerLimits limits, std::shared_ptr<HttpHandler> handler)
    : impl_(std::make_shared<Impl>(loop, limits, std::move(handler))) {}

HttpServer::~HttpServer() {
    stop();
    for (const std::string& path : impl_->socket_files) {
        ::unlink(path.c_str());
    }
}

Result<uint16_t> HttpServer::listen_tcp(const std::string& address, uint16_t port) {
    WEIR_TRY_ASSIGN(Listening listening, bind_tcp(address, port));
    impl_->accept_from(std::move(listening.fd), Listener::Tcp, nullptr);
    return listening.port;
}

Result<uint16_t> HttpServer::listen_tls(const std::string& address, uint16_t port,
                                        const TlsServerFiles& files) {
    WEIR_TRY_ASSIGN(auto tls,
                    make_server_tls(files.certificate_chain_file, files.private_key_file));
    WEIR_TRY_ASSIGN(Listening listening, bind_tcp(address, port));
    impl_->accept_from(std::move(listening.fd), Listener::Tls, std::move(tls));
    return listening.port;
}

Result<void> HttpServer::listen_unix(const std::string& path) {
    WEIR_TRY_ASSIGN(Listening listening, bind_unix(path));
    impl_->socket_files.push_back(path);
    impl_->accept_from(std::move(listening.fd), Listener::Unix, nullptr);
    return {};
}

void HttpServer::drain(std::chrono::milliseconds deadline, Task done) {
    impl_->strand->post([impl = impl_, deadline, done = std::move(done)]() mutable {
        impl->drain(deadline, std::move(done));
    });
}

void HttpServer::stop() {
    impl_->strand->post([impl = impl_] {
        impl->close_acceptors();
        for (const auto& connection : impl->core->all()) {
            connection->stop();
        }
    });
}

HttpServerStats HttpServer::stats() const {
    const ServerCore& core = *impl_->core;
    return {core.open,          core.accepted, core.requests,
            core.requests_open, core.refused,  core.cancelled};
}

}  // namespace weir::net
