#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "net/deadline.h"
#include "net/http_client.h"
#include "net/http_parse.h"
#include "net/transport.h"

// One connection of the client, and the call that is open on it. Only for this room.
namespace weir::net {

class ClientConnection;

// Where a connection leads. Connections are shared by those with equal keys only.
struct Route {
    std::string key;
    std::optional<TcpPeer> tcp;  // else the Unix socket at `unix_path`
    std::string unix_path;
    std::shared_ptr<TlsContext> tls;
};

// One request on its way. Owned by the connection that works on it; between two of them by a task.
struct Call {
    Route route;
    HttpClientRequest request;
    std::optional<OutboundPermit> permit;  // always for TCP; gone once the request is written
    std::shared_ptr<HttpSink> sink;
    std::stop_token cancel;
    std::chrono::steady_clock::time_point total_end;
    // Only while a connection works on the call; destroyed before it leaves.
    std::optional<std::stop_callback<std::function<void()>>> on_cancel;
};

// What a connection tells its client. Threads: any.
class ClientPool {
  public:
    virtual ~ClientPool() = default;
    virtual void give_back(const std::shared_ptr<ClientConnection>& connection) = 0;
    virtual void closed(const std::shared_ptr<ClientConnection>& connection) = 0;
    virtual void forget_idle(const std::string& key) = 0;       // they are probably stale as well
    virtual void start_afresh(std::unique_ptr<Call> call) = 0;  // nothing of it was written
};

// Threads: all on its strand, but for begin() and stop(), which may be called from any. Ownership:
// pending reads and writes keep it alive, and the pool while it is idle; close() ends both.
// Invariant: while it is idle a read is pending, so that a byte or an end out of turn closes it.
class ClientConnection final : public std::enable_shared_from_this<ClientConnection> {
  public:
    ClientConnection(std::shared_ptr<ClientPool> pool, std::shared_ptr<Strand> strand,
                     const Route& route);

    // Takes the next call, over a new connection if there is none yet.
    void begin(std::unique_ptr<Call> call);
    void stop();  // the open call ends with Cancelled
    void close_if_idle();
    void expect_idle_end(std::chrono::milliseconds after);  // on its strand, from give_back()

    const std::string& key() const { return key_; }

  private:
    enum class Phase : uint8_t {
        New,
        Connecting,
        Sent,
        Answer,
        Answered,  // the answer is through before the request's write is known to be
        Idle,
        Closed,
    };

    void begin_on_strand(std::unique_ptr<Call> call);
    void watch_for_cancel();
    void connect();
    void connected(Connected result);
    void write_request();
    bool use_permit();
    void written(IoStatus status);
    void read();
    void received(IoStatus status, size_t bytes);
    void ended(IoStatus status);
    bool take_head();  // false if more bytes are needed, or the call has failed
    bool take_interim(const AnswerHead& head, size_t head_bytes);
    void take_body(std::string_view input);
    void complete();
    void become_idle();
    void fail(HttpFailureKind kind, std::string message);
    void due();
    void set_phase_deadline(std::chrono::milliseconds after);
    void close();

    const std::shared_ptr<ClientPool> pool_;
    const std::shared_ptr<Strand> strand_;
    const std::string key_;

    Phase phase_ = Phase::New;
    bool reused_ = false;                   // not the first call
    std::weak_ptr<Connecting> connecting_;  // alive by its own pending operation
    std::unique_ptr<Transport> transport_;
    std::unique_ptr<Deadline> deadline_;

    std::unique_ptr<Call> call_;
    std::string out_head_;  // and the body, if it is short
    std::string out_body_;
    bool writing_ = false;
    bool answer_began_ = false;

    std::array<char, size_t{16} << 10> chunk_;
    std::string in_;  // of a head that is not whole
    HeadScanner scanner_;
    size_t interim_answers_ = 0;
    std::optional<BodyDecoder> decoder_;  // once the head is through
    bool keep_alive_ = false;
    size_t body_bytes_ = 0;
};

}  // namespace weir::net
