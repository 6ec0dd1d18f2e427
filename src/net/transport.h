#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "net/loop.h"
#include "net/permit.h"
#include "net/url.h"

// Connected byte streams (TCP, TLS, Unix sockets) without Asio in sight: what http_server.cpp and
// http_client.cpp stand on. Only for this room.
namespace weir::net {

enum class IoStatus : uint8_t {
    Ok,
    Eof,  // the peer ended its side in order (over TLS: with a close_notify)
    Cut,  // reset, broken, closed by us, or ended without a close_notify
};

// Threads: every call and callback on the strand it was made with. Ownership: a callback must keep
// alive whoever owns the transport and the buffers. At most one read and one write at a time.
class Transport {
  public:
    using OnIo = std::move_only_function<void(IoStatus, size_t bytes)>;

    virtual ~Transport() = default;
    virtual void read_some(std::span<char> into, OnIo done) = 0;
    virtual void write_all(std::string_view first, std::string_view second, OnIo done) = 0;
    virtual void shutdown_send() = 0;  // says that nothing more comes from us
    virtual void close() = 0;          // what is pending ends with Cut; later calls too
    virtual void reset() = 0;          // close(), so that the peer cannot take it for an end
};

class TlsContext {
  public:
    virtual ~TlsContext() = default;
};

// Trusts `ca_file`, or the system's certificates if it is empty.
Result<std::shared_ptr<TlsContext>> make_client_tls(const std::string& ca_file);
Result<std::shared_ptr<TlsContext>> make_server_tls(const std::string& certificate_chain_file,
                                                    const std::string& private_key_file);

struct ConnectProblem {
    enum class Kind : uint8_t { Unreachable, Tls };
    Kind kind = Kind::Unreachable;
    std::string message;
};
using Connected = std::expected<std::unique_ptr<Transport>, ConnectProblem>;
using OnConnected = std::move_only_function<void(Connected)>;

// An attempt to connect. The callback comes once, on the strand, never inside the call that began
// it, and not at all after cancel().
class Connecting {
  public:
    virtual ~Connecting() = default;
    virtual void cancel() = 0;
};

// The permit is only shown here; whoever writes the request uses it up. `tls` where the origin's
// scheme says https, and only there.
std::shared_ptr<Connecting> connect_tcp(Strand& strand, const Origin& origin,
                                        const std::shared_ptr<TlsContext>& tls,
                                        const OutboundPermit& permit, OnConnected done);
std::shared_ptr<Connecting> connect_unix(Strand& strand, const std::string& path, OnConnected done);

struct Accepted {
    UniqueFd fd;
    std::string peer_address;  // numeric; empty on a Unix socket
};

// A listening socket. Threads: create anywhere, then on its strand.
class Acceptor {
  public:
    virtual ~Acceptor() = default;
    // Calls `on_accept` for each connection until close(). When descriptors run out it waits a
    // moment instead of spinning (PR4).
    virtual void run(std::move_only_function<void(Accepted)> on_accept) = 0;
    virtual void close() = 0;
};

struct Listening {
    UniqueFd fd;
    uint16_t port = 0;
};
Result<Listening> bind_tcp(const std::string& address, uint16_t port);
Result<Listening> bind_unix(const std::string& path);
std::shared_ptr<Acceptor> make_acceptor(std::shared_ptr<Strand> strand, UniqueFd listening);

// The server's side of an accepted connection: the callback comes after the handshake, if any.
std::shared_ptr<Connecting> serve_accepted(Strand& strand, UniqueFd fd,
                                           const std::shared_ptr<TlsContext>& tls,
                                           OnConnected done);

}  // namespace weir::net
