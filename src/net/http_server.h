#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http_message.h"
#include "net/loop.h"

namespace weir::net {

enum class Listener : uint8_t { Tcp, Tls, Unix };

// A request that is whole, bounded and well formed.
struct HttpRequest {
    std::string method;
    std::string path;   // normalised: see normalise_path(); authorise and route by this only
    std::string query;  // after the '?', as it came; without the '?'
    Headers headers;    // X-Forwarded-* are among them, and mean nothing here (HT8)
    std::string body;   // decoded from chunks
    std::string host;   // the Host header; empty only in HTTP/1.0
    std::optional<std::string> origin;  // the Origin header of a browser
    Listener listener = Listener::Tcp;
    std::string peer_address;  // numeric, of the socket's other end; empty on a Unix socket
};

struct HttpReply {
    int status = 200;
    Headers headers;  // without Content-Length, Transfer-Encoding, Connection: those are net's
    std::string body;
};

// Where the answer of one request goes: either one reply(), or start_stream(), write()…, and
// finish() or abort(). Dropping the last reference unanswered gives the client a 500, or cuts a
// stream that has begun: never something that looks complete.
//
// Threads: any, but one call at a time. No call blocks. Calls that come out of order or after the
// end do nothing and return false.
class HttpResponder {
  public:
    virtual ~HttpResponder() = default;

    virtual void reply(HttpReply reply) = 0;

    // Each returns false once the client is gone: then stop producing.
    virtual bool start_stream(int status, Headers headers) = 0;
    virtual bool write(std::string_view bytes) = 0;  // one piece; sent at once

    virtual void finish() = 0;
    // The stream failed and its format has no way to say so: cuts the connection, so that the
    // client sees an incomplete answer.
    virtual void abort() = 0;

    // Bytes written but not yet taken by the operating system. Over send_queue_bytes_max for longer
    // than write_stall_max, or over send_queue_bytes_hard_max at all, the client counts as gone.
    virtual size_t queued_bytes() const = 0;
};

// Answers requests. Threads: handle() is called on the loop and must not block: hand work on and
// use the responder later (HT10). `cancelled` is requested when the client goes away before the
// answer is complete (it closed its side or reset, a half-closed connection counts; it does not
// read; drain() reached its deadline: then a last error event can still be written). Its callbacks
// run on the loop.
class HttpHandler {
  public:
    virtual ~HttpHandler() = default;
    virtual void handle(HttpRequest request, std::shared_ptr<HttpResponder> responder,
                        std::stop_token cancelled) = 0;
    // The body of an error that this room answers itself (malformed, too large, too slow, …), in
    // the dialect of the program's clients. `why` is safe to show. The default is plain text.
    virtual HttpReply error_reply(int status, std::string_view why);
};

// What one client may take. Every wait and every size has its bound here.
struct HttpServerLimits {
    size_t header_bytes_max = size_t{64} << 10;      // request line and fields together; else 431
    size_t headers_max = 100;                        // else 431
    size_t target_bytes_max = size_t{8} << 10;       // else 414
    size_t body_bytes_max = size_t{32} << 20;        // decoded (HT3); else 413
    size_t bodies_bytes_max = size_t{512} << 20;     // of all connections together; else 503
    size_t connections_max = 4096;                   // else 503 and close
    size_t pipelined_bytes_max = size_t{256} << 10;  // sent while an answer is open; else gone
    size_t requests_per_connection_max = 100'000;    // then Connection: close
    size_t drain_bytes_max = size_t{256} << 10;      // read and dropped after an early error (HT5)
    size_t send_queue_bytes_max = size_t{1} << 20;
    size_t send_queue_bytes_hard_max = size_t{16} << 20;

    std::chrono::milliseconds header_deadline{10'000};  // from its first byte or the accept; 408
    std::chrono::milliseconds body_deadline{300'000};   // the whole body; 408
    std::chrono::milliseconds body_rate_window{10'000};
    size_t body_bytes_per_window_min = size_t{10} << 10;  // less than that in a window: 408
    std::chrono::milliseconds idle_max{75'000};           // between requests; then close
    std::chrono::milliseconds write_stall_max{30'000};    // 256 KiB must go out in that time
    std::chrono::milliseconds drain_lingering_max{2'000};
};

struct TlsServerFiles {
    std::string certificate_chain_file;  // PEM
    std::string private_key_file;        // PEM
};

struct HttpServerStats {
    uint64_t connections_open = 0;
    uint64_t connections_accepted = 0;
    uint64_t requests = 0;
    uint64_t requests_open = 0;
    uint64_t refused = 0;    // answered with an error by this room itself
    uint64_t cancelled = 0;  // the client went away before the answer was complete
};

// An HTTP/1.1 server on any number of TCP addresses and Unix sockets. No HTTP/2 (its preface gets
// 400, ALPN offers http/1.1 only), no tunnels: `Upgrade` is ignored and the connection closed after
// the answer (HT4).
//
// Threads: any. Ownership: the handler lives until the last connection is closed; the loop must
// outlive the server, and the destructor does stop().
// Not here: routes, keys, Host and Origin checks (the room server), any model.
class HttpServer {
  public:
    HttpServer(Loop& loop, HttpServerLimits limits, std::shared_ptr<HttpHandler> handler);
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;
    ~HttpServer();

    // `address` is numeric ("127.0.0.1", "::"); port 0 takes a free one. Returns the bound port.
    Result<uint16_t> listen_tcp(const std::string& address, uint16_t port);
    Result<uint16_t> listen_tls(const std::string& address, uint16_t port,
                                const TlsServerFiles& files);
    // Mode 0600 from the first moment. Takes over a socket file that nobody listens on; the file
    // goes away with the server.
    Result<void> listen_unix(const std::string& path);

    // Stops accepting, closes idle connections, lets open requests finish, cancels what is left at
    // the deadline, and closes what is still there drain_lingering_max later. Then calls `done` on
    // the loop, once. Only the first call counts.
    void drain(std::chrono::milliseconds deadline, Task done);
    void stop();  // closes everything now

    HttpServerStats stats() const;

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace weir::net
