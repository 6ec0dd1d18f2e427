#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/mutex.h"
#include "net/deadline.h"
#include "net/http_answer.h"
#include "net/http_parse.h"
#include "net/http_server.h"
#include "net/transport.h"

// One connection of the server. Only for this room.
namespace weir::net {

class ServerConnection;

// What the connections of one server share. Threads: any.
struct ServerCore {
    ServerCore(HttpServerLimits given, std::shared_ptr<HttpHandler> answers)
        : limits(given), handler(std::move(answers)) {}

    void add(const std::shared_ptr<ServerConnection>& connection);
    void remove(const ServerConnection* connection);  // runs on_empty after the last
    std::vector<std::shared_ptr<ServerConnection>> all() const;
    // Runs `task` when no connection is open: perhaps now.
    void when_empty(Task task);

    const HttpServerLimits limits;
    const std::shared_ptr<HttpHandler> handler;
    std::atomic<bool> draining = false;
    std::atomic<size_t> bodies_bytes = 0;
    std::atomic<uint64_t> open = 0;
    std::atomic<uint64_t> accepted = 0;
    std::atomic<uint64_t> requests = 0;
    std::atomic<uint64_t> requests_open = 0;
    std::atomic<uint64_t> refused = 0;
    std::atomic<uint64_t> cancelled = 0;

  private:
    mutable Mutex mutex_;
    std::unordered_map<const ServerConnection*, std::weak_ptr<ServerConnection>> connections_
        WEIR_GUARDED_BY(mutex_);
    Task on_empty_ WEIR_GUARDED_BY(mutex_);
};

// Threads: all on its strand, but for begin(), ask_flush(), stop() and finish_or_close(), which may
// be called from any. Ownership: pending reads and writes keep it alive; close() ends them.
// Invariant: from the first byte to the last a read is pending, so that a client that goes away is
// noticed at once (AP10); at most one answer is open.
class ServerConnection final : public std::enable_shared_from_this<ServerConnection> {
  public:
    ServerConnection(std::shared_ptr<ServerCore> core, std::shared_ptr<Strand> strand,
                     Listener listener, std::string peer_address);

    void begin(UniqueFd fd, std::shared_ptr<TlsContext> tls);
    void ask_flush();
    void stop();
    void cancel_answer();    // the open answer's stop token
    void finish_or_close();  // draining: an idle connection closes, a busy one after its answer

    const std::shared_ptr<ServerCore>& core() const { return core_; }

  private:
    enum class Phase : uint8_t {
        Handshake,
        Head,  // between requests, or within a head
        Body,
        Answering,
        Refusing,   // our own error is on its way out; what comes in is dropped
        Lingering,  // all is sent; waits for the client to see it before the socket closes
        Closed,
    };

    void opened(Connected connected);
    void read();
    void received(IoStatus status, size_t bytes);
    void advance();
    bool step();  // false when more bytes are needed
    bool read_head();
    void begin_body();
    size_t read_body(std::string_view input);  // how much of it was used
    bool take_body(std::string_view data);
    void dispatch_request();
    HttpRequest take_request();
    void end_request();
    void refuse(HttpProblem problem);
    void drop_input(size_t bytes);
    void send_continue();

    void flush();
    void send_next();
    void sent(IoStatus status, size_t bytes);
    void answer_sent();
    void linger();
    void watch_queue();

    void read_due();
    void close();

    std::string_view unread() const { return std::string_view(in_).substr(in_begin_); }

    const std::shared_ptr<ServerCore> core_;
    const std::shared_ptr<Strand> strand_;
    const Listener listener_;
    const std::string peer_address_;

    Phase phase_ = Phase::Handshake;
    std::weak_ptr<Connecting> handshake_;  // alive by its own pending operation
    std::unique_ptr<Transport> transport_;
    std::unique_ptr<Deadline> read_deadline_;
    std::unique_ptr<Deadline> write_deadline_;
    std::unique_ptr<Deadline> queue_deadline_;

    std::array<char, size_t{16} << 10> chunk_;  // what a read fills
    std::string in_;                            // received and not yet used, from in_begin_
    size_t in_begin_ = 0;
    bool advancing_ = false;
    bool head_begun_ = false;
    bool input_ended_ = false;
    size_t dropped_bytes_ = 0;

    HeadScanner scanner_;
    RequestHead head_;
    std::optional<BodyDecoder> decoder_;
    std::string body_;
    size_t body_counted_ = 0;  // of ServerCore::bodies_bytes, until the answer ends
    std::chrono::steady_clock::time_point body_end_;  // its deadline
    size_t window_bytes_ = 0;                         // of the body, in this rate window

    std::shared_ptr<AnswerQueue> answer_;
    bool request_open_ = false;  // `answer_` is a handler's, not our own error
    std::stop_source cancel_;
    size_t requests_ = 0;

    std::string out_;  // being sent, then out_body_
    std::string out_body_;
    size_t out_sent_ = 0;         // of both
    bool out_is_answer_ = false;  // else an interim 100
    bool writing_ = false;
};

}  // namespace weir::net
