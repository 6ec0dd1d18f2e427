#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http_message.h"
#include "net/loop.h"
#include "net/permit.h"
#include "net/url.h"

namespace weir::net {

// Where one attempt may wait, and how much it may take in.
struct HttpClientLimits {
    std::chrono::milliseconds connect_max{10'000};  // DNS, TCP and TLS together
    std::chrono::milliseconds first_byte_max{
        120'000};  // from a ready connection (includes sending)
    std::chrono::milliseconds between_bytes_max{60'000};
    std::chrono::milliseconds total_max{600'000};
    size_t header_bytes_max = size_t{64} << 10;
    size_t headers_max = 100;
    size_t body_bytes_max = size_t{64} << 20;  // decoded
    size_t informational_max = 8;              // 1xx answers before the real one
};

struct HttpClientRequest {
    std::string method = "POST";
    std::string target = "/";  // path and query, already encoded
    Headers headers;           // without Host, Content-Length, Transfer-Encoding, Connection,
                               // Accept-Encoding, Expect, Upgrade, TE, Trailer: those are net's
    std::string body;
    HttpClientLimits limits;
};

struct HttpResponseHead {
    int status = 0;  // 200…599
    Headers headers;
};

enum class HttpFailureKind : uint8_t {
    InvalidRequest,  // a field that cannot be sent; the caller's bug
    PermitRefused,   // the permit is used up or for another origin; nothing was sent
    ConnectFailed,   // no such name, refused, unreachable
    TlsFailed,       // certificate, host name, protocol: never goes on in plaintext
    ConnectTimeout,
    // A pooled connection turned out to be closed before a byte of the answer came. It may be tried
    // again, on a fresh connection and with a new permit: net does not retry. The peer closed
    // before it answered, and so most likely before it worked; a caller that must not do things
    // twice treats it like Truncated.
    StaleConnection,
    FirstByteTimeout,
    StallTimeout,  // between two bytes of the answer
    TotalTimeout,
    Truncated,       // the connection ended in the middle of the answer
    ProtocolError,   // the peer's bytes are no HTTP/1.1 answer
    AnswerTooLarge,  // header_bytes_max, headers_max, body_bytes_max
    Cancelled,
};

struct HttpFailure {
    HttpFailureKind kind = HttpFailureKind::ConnectFailed;
    std::string message;        // no address, no header, no content
    bool request_sent = false;  // some byte of the request may have reached the peer
    bool answer_began = false;  // some byte of an answer came

    Error to_error() const;
};

// Receives one answer: on_head, on_body…, and then exactly one of on_end and on_failure; the last
// may also come first. Threads: called on the loop, one call at a time, never from inside send().
// Must not block.
class HttpSink {
  public:
    virtual ~HttpSink() = default;
    virtual void on_head(HttpResponseHead head) = 0;
    virtual void on_body(std::string_view bytes) = 0;  // decoded, any split; valid for the call
    virtual void on_end() = 0;                         // the whole answer, as long as announced
    virtual void on_failure(HttpFailure failure) = 0;
};

// A TCP peer. Two peers that differ in any field share no connection.
struct TcpPeer {
    Origin origin;
    std::string ca_file;  // PEM to trust instead of the system's; empty: the system's
};

struct HttpClientOptions {
    size_t idle_per_peer_max = 32;
    std::chrono::milliseconds idle_max{30'000};  // then a pooled connection is closed
    size_t connections_max = 4096;               // open ones; more fail with ConnectFailed
};

struct HttpClientStats {
    uint64_t connections_open = 0;
    uint64_t connections_made = 0;
    uint64_t connections_reused = 0;
    uint64_t connections_idle = 0;
};

// An HTTP/1.1 client with a pool of kept connections per peer.
//
// Promise 1: nothing in this class writes to a TCP peer without using up a permit for that very
// origin, one per request, new connection or pooled. Unix sockets (our workers) need none.
//
// TLS verifies the certificate and the host name, speaks 1.2 or newer, and fails closed. No
// redirects, cookies, proxies or content encodings: we ask for identity and refuse others (UP6). A
// connection goes back to the pool only after a complete answer with nothing behind it; after a
// cancel or any failure it is closed (UP11).
//
// Threads: any. Ownership: the sink is kept until its last call; the destructor cancels what is
// open (sinks are told). The loop must outlive the client.
// Not here: retries, breakers, keys, what to send (router and providers).
class HttpClient {
  public:
    explicit HttpClient(Loop& loop, HttpClientOptions options = {});
    HttpClient(const HttpClient&) = delete;
    HttpClient& operator=(const HttpClient&) = delete;
    ~HttpClient();

    // Reads the certificates that `peer` is judged by, so that a wrong file is found at start and
    // the first request does not wait for it. Optional.
    Result<void> prepare(const TcpPeer& peer);

    void send(const TcpPeer& peer, HttpClientRequest request, OutboundPermit permit,
              std::shared_ptr<HttpSink> sink, std::stop_token cancel = {});
    void send_unix(const std::string& socket_path, HttpClientRequest request,
                   std::shared_ptr<HttpSink> sink, std::stop_token cancel = {});

    HttpClientStats stats() const;

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace weir::net
