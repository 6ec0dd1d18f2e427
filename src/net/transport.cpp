#include "net/transport.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <chrono>

#include "base/log.h"
#include "net/loop_impl.h"

namespace weir::net {
namespace {

using StreamProtocol = asio::generic::stream_protocol;
using Socket = asio::basic_stream_socket<StreamProtocol, Executor>;
using TlsSocket = asio::ssl::stream<Socket>;
using ErrorCode2 = boost::system::error_code;

constexpr size_t kEndpointsMax = 8;  // addresses of one name that are tried
constexpr std::string_view kAlpn = "\x08http/1.1";
constexpr int kAcceptsPerTurn = 64;
constexpr std::chrono::milliseconds kAcceptPause{50};

IoStatus io_status(const ErrorCode2& error) {
    if (!error) {
        return IoStatus::Ok;
    }
    return error == asio::error::eof ? IoStatus::Eof : IoStatus::Cut;
}

// ------------------------------------------------------------------------------- byte streams

template <typename Stream>
class AsioTransport final : public Transport {
  public:
    explicit AsioTransport(Stream stream) : stream_(std::move(stream)) {}

    void read_some(std::span<char> into, OnIo done) override {
        stream_.async_read_some(
            asio::buffer(into.data(), into.size()),
            [done = std::move(done)](const ErrorCode2& error, size_t bytes) mutable {
                done(io_status(error), bytes);
            });
    }

    void write_all(std::string_view first, std::string_view second, OnIo done) override {
        const std::array<asio::const_buffer, 2> buffers{asio::buffer(first), asio::buffer(second)};
        asio::async_write(stream_, buffers,
                          [done = std::move(done)](const ErrorCode2& error, size_t bytes) mutable {
                              done(io_status(error), bytes);
                          });
    }

    void shutdown_send() override {
        ErrorCode2 ignored;  // a peer that is gone already needs no farewell
        if constexpr (std::is_same_v<Stream, TlsSocket>) {
            send_close_notify();
        }
        stream_.lowest_layer().shutdown(Socket::shutdown_send, ignored);
    }

    void reset() override {
        const linger now{1, 0};
        ::setsockopt(stream_.lowest_layer().native_handle(), SOL_SOCKET, SO_LINGER, &now,
                     sizeof(now));
        close();
    }

    void close() override {
        ErrorCode2 ignored;
        stream_.lowest_layer().close(ignored);
    }

  private:
    // Asio's async_shutdown waits for the peer's answer and may not run beside a read. One small
    // record into an idle socket's buffer needs no waiting; if it does not fit, the peer sees a
    // cut.
    void send_close_notify() {
        SSL* ssl = stream_.native_handle();
        BIO* outgoing = BIO_new(BIO_s_mem());
        if (outgoing == nullptr) {
            return;
        }
        BIO* kept = SSL_get_wbio(ssl);
        BIO_up_ref(kept);
        SSL_set0_wbio(ssl, outgoing);
        SSL_shutdown(ssl);
        ERR_clear_error();
        char* record = nullptr;
        const long bytes = BIO_get_mem_data(outgoing, &record);
        if (bytes > 0) {
            (void)::send(stream_.lowest_layer().native_handle(), record, static_cast<size_t>(bytes),
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        }
        SSL_set0_wbio(ssl, kept);
    }

    Stream stream_;
};

void set_no_delay(int fd, int family) {
    if (family == AF_INET || family == AF_INET6) {
        const int on = 1;
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
}

// ---------------------------------------------------------------------------------------- TLS

class AsioTlsContext final : public TlsContext {
  public:
    explicit AsioTlsContext(asio::ssl::context::method method) : context(method) {
        context.set_options(asio::ssl::context::default_workarounds |
                            asio::ssl::context::no_compression);
        SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
        SSL_CTX_set_options(context.native_handle(), SSL_OP_NO_RENEGOTIATION);
    }
    asio::ssl::context context;
};

asio::ssl::context& context_of(TlsContext& tls) {
    return static_cast<AsioTlsContext&>(tls).context;
}

int select_alpn(SSL*, const unsigned char** out, unsigned char* out_bytes,
                const unsigned char* offered, unsigned offered_bytes, void*) {
    unsigned char* chosen = nullptr;
    const int found = SSL_select_next_proto(
        &chosen, out_bytes, reinterpret_cast<const unsigned char*>(kAlpn.data()),
        static_cast<unsigned>(kAlpn.size()), offered, offered_bytes);
    *out = chosen;
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

bool is_ip_address(const std::string& host) {
    in6_addr any{};
    return inet_pton(AF_INET, host.c_str(), &any) == 1 ||
           inet_pton(AF_INET6, host.c_str(), &any) == 1;
}

// Whom the certificate must name. False if OpenSSL would not take it: then there is no handshake.
bool expect_host(SSL* ssl, const std::string& host) {
    X509_VERIFY_PARAM* param = SSL_get0_param(ssl);
    if (is_ip_address(host)) {
        return X509_VERIFY_PARAM_set1_ip_asc(param, host.c_str()) == 1;
    }
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, host.c_str(), host.size()) == 1 &&
           SSL_set_tlsext_host_name(ssl, host.c_str()) == 1;
}

std::string tls_problem(SSL* ssl) {
    const long verified = SSL_get_verify_result(ssl);
    if (verified != X509_V_OK) {
        return std::string("the certificate is not accepted: ") +
               X509_verify_cert_error_string(verified);
    }
    return "the TLS handshake failed";
}

// --------------------------------------------------------------------------------- connecting

// Resolves, connects to one address after the other, and shakes hands. The deadline is the
// caller's: it cancels, and getaddrinfo, which cannot be interrupted, ends unheard.
class AsioConnecting final : public Connecting,
                             public std::enable_shared_from_this<AsioConnecting> {
  public:
    AsioConnecting(const Executor& executor, OnConnected done)
        : executor_(executor), resolver_(executor), socket_(executor), done_(std::move(done)) {}

    void start_tcp(const Origin& origin, std::shared_ptr<TlsContext> tls) {
        tls_ = std::move(tls);
        host_ = origin.host;
        ErrorCode2 no_number;
        const auto address = asio::ip::make_address(origin.host, no_number);
        if (!no_number) {
            endpoints_.emplace_back(asio::ip::tcp::endpoint(address, origin.port));
            start_trying();
            return;
        }
        resolver_.async_resolve(
            origin.host, std::to_string(origin.port), asio::ip::resolver_base::numeric_service,
            [self = shared_from_this()](const ErrorCode2& error, const auto& found) {
                if (error) {
                    self->fail(ConnectProblem::Kind::Unreachable, "the host name has no address");
                    return;
                }
                for (const auto& entry : found) {
                    if (self->endpoints_.size() < kEndpointsMax) {
                        self->endpoints_.emplace_back(entry.endpoint());
                    }
                }
                self->try_next();
            });
    }

    void start_accepted(UniqueFd fd, std::shared_ptr<TlsContext> tls) {
        tls_ = std::move(tls);
        role_ = TlsSocket::server;
        sockaddr_storage local{};
        socklen_t bytes = sizeof(local);
        ErrorCode2 error;
        if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&local), &bytes) == 0) {
            socket_.assign(StreamProtocol(local.ss_family, 0), fd.get(), error);
            if (!error) {
                (void)fd.release();
            }
        }
        asio::post(executor_, [self = shared_from_this()] {
            self->socket_.is_open() ? self->connected() : self->try_next();
        });
    }

    void start_unix(const std::string& path) {
        try {
            endpoints_.emplace_back(asio::local::stream_protocol::endpoint(path));
        } catch (const boost::system::system_error&) {
            // a path that is too long: no endpoint, and so unreachable
        }
        start_trying();
    }

    // Without an address this fails at once.
    void start_trying() {
        asio::post(executor_, [self = shared_from_this()] { self->try_next(); });
    }

    void cancel() override {
        done_ = nullptr;
        ErrorCode2 ignored;
        resolver_.cancel();
        socket_.close(ignored);
        if (tls_socket_) {
            tls_socket_->lowest_layer().close(ignored);
        }
    }

  private:
    void try_next() {
        if (!done_) {
            return;
        }
        ErrorCode2 ignored;
        socket_.close(ignored);
        if (next_ == endpoints_.size()) {
            fail(ConnectProblem::Kind::Unreachable, "cannot connect");
            return;
        }
        const StreamProtocol::endpoint endpoint = endpoints_[next_++];
        const int family = endpoint.protocol().family();
        const int fd = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        ErrorCode2 error;
        if (fd >= 0) {
            set_no_delay(fd, family);
            socket_.assign(endpoint.protocol(), fd, error);
        }
        if (fd < 0 || error) {
            fail(ConnectProblem::Kind::Unreachable, "cannot open a socket");
            return;
        }
        socket_.async_connect(endpoint, [self = shared_from_this()](const ErrorCode2& failed) {
            failed ? self->try_next() : self->connected();
        });
    }

    void connected() {
        if (!done_) {
            return;
        }
        if (!tls_) {
            finish(std::make_unique<AsioTransport<Socket>>(std::move(socket_)));
            return;
        }
        tls_socket_ = std::make_unique<TlsSocket>(std::move(socket_), context_of(*tls_));
        if (role_ == TlsSocket::client && !expect_host(tls_socket_->native_handle(), host_)) {
            fail(ConnectProblem::Kind::Tls, "the host name cannot be verified");
            return;
        }
        tls_socket_->async_handshake(role_, [self = shared_from_this()](const ErrorCode2& error) {
            if (error && self->done_) {
                self->fail(ConnectProblem::Kind::Tls,
                           tls_problem(self->tls_socket_->native_handle()));
            } else if (self->done_) {
                self->finish(
                    std::make_unique<AsioTransport<TlsSocket>>(std::move(*self->tls_socket_)));
            }
        });
    }

    void finish(std::unique_ptr<Transport> transport) {
        OnConnected done = std::exchange(done_, nullptr);
        done(std::move(transport));
    }

    void fail(ConnectProblem::Kind kind, std::string message) {
        if (OnConnected done = std::exchange(done_, nullptr)) {
            done(std::unexpected(ConnectProblem{kind, std::move(message)}));
        }
    }

    Executor executor_;
    asio::ip::basic_resolver<asio::ip::tcp, Executor> resolver_;
    Socket socket_;
    OnConnected done_;
    std::string host_;
    std::shared_ptr<TlsContext> tls_;
    TlsSocket::handshake_type role_ = TlsSocket::client;
    std::unique_ptr<TlsSocket> tls_socket_;
    std::vector<StreamProtocol::endpoint> endpoints_;
    size_t next_ = 0;
};

// ---------------------------------------------------------------------------------- accepting

std::string numeric_address(const sockaddr_storage& peer) {
    char text[INET6_ADDRSTRLEN] = "";
    if (peer.ss_family == AF_INET) {
        const auto* v4 = reinterpret_cast<const sockaddr_in*>(&peer);
        inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
    } else if (peer.ss_family == AF_INET6) {
        const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&peer);
        inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
    }
    return text;
}

class AsioAcceptor final : public Acceptor, public std::enable_shared_from_this<AsioAcceptor> {
  public:
    AsioAcceptor(std::shared_ptr<Strand> strand, UniqueFd listening)
        : strand_(std::move(strand)),
          descriptor_(executor_of(*strand_), listening.release()),
          pause_(strand_->make_timer()) {}

    void run(std::move_only_function<void(Accepted)> on_accept) override {
        on_accept_ = std::move(on_accept);
        wait();
    }

    void close() override {
        ErrorCode2 ignored;
        descriptor_.close(ignored);
        pause_->cancel();
        on_accept_ = nullptr;
    }

  private:
    void wait() {
        descriptor_.async_wait(asio::posix::descriptor_base::wait_read,
                               [self = shared_from_this()](const ErrorCode2& error) {
                                   if (!error && self->descriptor_.is_open()) {
                                       self->accept_some();
                                   }
                               });
    }

    void accept_some() {
        for (int i = 0; i < kAcceptsPerTurn && on_accept_; ++i) {
            sockaddr_storage peer{};
            socklen_t bytes = sizeof(peer);
            const int fd =
                ::accept4(descriptor_.native_handle(), reinterpret_cast<sockaddr*>(&peer), &bytes,
                          SOCK_CLOEXEC | SOCK_NONBLOCK);
            if (fd >= 0) {
                set_no_delay(fd, peer.ss_family);
                on_accept_(Accepted{UniqueFd(fd), numeric_address(peer)});
            } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
                break;
            } else if (errno != EINTR && errno != ECONNABORTED) {
                log(LogLevel::Warning, "cannot accept a connection: {}", std::strerror(errno));
                pause_->start(kAcceptPause, [weak = weak_from_this()] {
                    if (const auto self = weak.lock()) {
                        self->wait();
                    }
                });
                return;
            }
        }
        if (on_accept_) {
            wait();
        }
    }

    std::shared_ptr<Strand> strand_;
    asio::posix::basic_stream_descriptor<Executor> descriptor_;
    std::unique_ptr<Timer> pause_;
    std::move_only_function<void(Accepted)> on_accept_;
};

}  // namespace

Result<std::shared_ptr<TlsContext>> make_client_tls(const std::string& ca_file) {
    auto tls = std::make_shared<AsioTlsContext>(asio::ssl::context::tls_client);
    ErrorCode2 error;
    if (ca_file.empty()) {
        tls->context.set_default_verify_paths(error);
    } else {
        tls->context.load_verify_file(ca_file, error);
    }
    if (error) {
        return fail(ErrorCode::InvalidArgument, "the trusted certificates cannot be read");
    }
    tls->context.set_verify_mode(asio::ssl::verify_peer, error);
    SSL_CTX_set_alpn_protos(tls->context.native_handle(),
                            reinterpret_cast<const unsigned char*>(kAlpn.data()),
                            static_cast<unsigned>(kAlpn.size()));
    return tls;
}

Result<std::shared_ptr<TlsContext>> make_server_tls(const std::string& certificate_chain_file,
                                                    const std::string& private_key_file) {
    auto tls = std::make_shared<AsioTlsContext>(asio::ssl::context::tls_server);
    ErrorCode2 error;
    tls->context.use_certificate_chain_file(certificate_chain_file, error);
    if (error) {
        return fail(ErrorCode::InvalidArgument, "the TLS certificate chain cannot be read");
    }
    tls->context.use_private_key_file(private_key_file, asio::ssl::context::pem, error);
    if (error) {
        return fail(ErrorCode::InvalidArgument,
                    "the TLS private key cannot be read, or is not the certificate's");
    }
    SSL_CTX_set_alpn_select_cb(tls->context.native_handle(), select_alpn, nullptr);
    return tls;
}

std::shared_ptr<Connecting> connect_tcp(Strand& strand, const Origin& origin,
                                        const std::shared_ptr<TlsContext>& tls,
                                        const OutboundPermit& permit, OnConnected done) {
    auto connecting = std::make_shared<AsioConnecting>(executor_of(strand), std::move(done));
    const bool agrees = (origin.scheme == Scheme::Https) == (tls != nullptr);
    if (!agrees || !permit.allows(origin.text())) {
        connecting->start_trying();
        return connecting;
    }
    connecting->start_tcp(origin, tls);
    return connecting;
}

std::shared_ptr<Connecting> connect_unix(Strand& strand, const std::string& path,
                                         OnConnected done) {
    auto connecting = std::make_shared<AsioConnecting>(executor_of(strand), std::move(done));
    connecting->start_unix(path);
    return connecting;
}

std::shared_ptr<Acceptor> make_acceptor(std::shared_ptr<Strand> strand, UniqueFd listening) {
    return std::make_shared<AsioAcceptor>(std::move(strand), std::move(listening));
}

std::shared_ptr<Connecting> serve_accepted(Strand& strand, UniqueFd fd,
                                           const std::shared_ptr<TlsContext>& tls,
                                           OnConnected done) {
    auto connecting = std::make_shared<AsioConnecting>(executor_of(strand), std::move(done));
    connecting->start_accepted(std::move(fd), tls);
    return connecting;
}

}  // namespace weir::net
