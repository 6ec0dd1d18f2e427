#include "net/http_answer.h"

#include <ctime>
#include <iterator>

#include "base/log.h"
#include "net/http_connection.h"

namespace weir::net {
namespace {

constexpr size_t kJoinedBodyBytesMax = size_t{16} << 10;  // shorter than that: one buffer

using Stage = AnswerQueue::Stage;

// "Date: Sun, 06 Nov 1994 08:49:37 GMT", as RFC 9110 wants it from whoever has a clock.
void append_date(std::string& out) {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    char text[64];
    gmtime_r(&now, &parts);
    const size_t bytes = std::strftime(text, sizeof(text), "Date: %a, %d %b %Y %T GMT\r\n", &parts);
    out.append(text, bytes);
}

bool is_ours(std::string_view name) {
    for (const std::string_view own : {"content-length", "transfer-encoding", "connection", "date",
                                       "upgrade", "keep-alive", "trailer"}) {
        if (equals_ignoring_case(name, own)) {
            return true;
        }
    }
    return false;
}

// A field that could begin a line of its own is dropped: part of it may come from a client.
void append_field(std::string& out, const Header& field) {
    if (!is_token(field.name) || !is_field_value(field.value)) {
        log(LogLevel::Error, "an answer's header cannot be sent and was dropped");
        return;
    }
    out += field.name;
    out += ": ";
    out += field.value;
    out += "\r\n";
}

void append_head(AnswerQueue& queue, int status, const Headers& headers)
    WEIR_REQUIRES(queue.mutex) {
    if (status < 200 || status > 599) {
        log(LogLevel::Error, "a handler answered with status {}", status);
        status = 500;
    }
    std::string& out = queue.pending;
    fmt::format_to(std::back_inserter(out), "HTTP/1.1 {} {}\r\n", status, reason_phrase(status));
    append_date(out);
    for (const Header& field : headers) {
        if (!is_ours(field.name)) {
            append_field(out, field);
        }
    }
    if (queue.close_after) {
        out += "Connection: close\r\n";
    }
}

void append_chunk(std::string& out, std::string_view bytes) {
    fmt::format_to(std::back_inserter(out), "{:x}\r\n", bytes.size());
    out += bytes;
    out += "\r\n";
}

class Responder final : public HttpResponder {
  public:
    Responder(const std::shared_ptr<ServerConnection>& connection,
              std::shared_ptr<AnswerQueue> queue)
        : core_(connection->core()), connection_(connection), queue_(std::move(queue)) {}
    Responder(const Responder&) = delete;
    Responder& operator=(const Responder&) = delete;
    ~Responder() override;

    void reply(HttpReply reply) override;
    bool start_stream(int status, Headers headers) override;
    bool write(std::string_view bytes) override;
    void finish() override { end(Cut::No); }
    void abort() override { end(Cut::Yes); }
    size_t queued_bytes() const override { return queue_->queued_bytes; }

  private:
    enum class Cut : uint8_t { No, Yes };

    void end(Cut cut);
    bool overflows(size_t bytes);
    bool must_ask() WEIR_REQUIRES(queue_->mutex);
    void ask_flush();

    const std::shared_ptr<ServerCore> core_;
    // Its own pending read keeps it alive. A handler that holds a responder for longer than the
    // loop lives must not hold a socket of that loop.
    const std::weak_ptr<ServerConnection> connection_;
    const std::shared_ptr<AnswerQueue> queue_;
};

Responder::~Responder() {
    Stage stage;
    {
        const MutexLock lock(queue_->mutex);
        stage = queue_->stage;
    }
    if (queue_->gone || stage == Stage::Ended) {
        return;
    }
    log(LogLevel::Warning, "a handler dropped a request without an end");
    if (stage == Stage::Fresh) {
        reply(core_->handler->error_reply(500, "the request was dropped"));
    } else {
        abort();
    }
}

// After a change: whether the connection has to be asked to send, or was asked already.
bool Responder::must_ask() {
    return !std::exchange(queue_->flush_asked, true);
}

void Responder::ask_flush() {
    if (const auto connection = connection_.lock()) {
        connection->ask_flush();
    } else {
        queue_->gone = true;
    }
}

bool Responder::overflows(size_t bytes) {
    if (queue_->queued_bytes + bytes <= core_->limits.send_queue_bytes_hard_max) {
        return false;
    }
    queue_->gone = true;
    if (const auto connection = connection_.lock()) {
        connection->stop();
    }
    return true;
}

void Responder::reply(HttpReply reply) {
    bool ask = false;
    {
        const MutexLock lock(queue_->mutex);
        if (queue_->gone || queue_->stage != Stage::Fresh) {
            return;
        }
        put_reply(*queue_, std::move(reply), core_->draining);
        ask = must_ask();
    }
    if (ask) {
        ask_flush();
    }
}

bool Responder::start_stream(int status, Headers headers) {
    bool ask = false;
    {
        const MutexLock lock(queue_->mutex);
        if (queue_->gone || queue_->stage != Stage::Fresh) {
            return false;
        }
        queue_->stage = Stage::Streaming;
        queue_->close_after = !queue_->keep_alive || core_->draining;
        append_head(*queue_, status, headers);
        // HTTP/1.0 has no chunks: there the end of the connection is the end of the answer.
        queue_->pending += queue_->http_1_0 ? "\r\n" : "Transfer-Encoding: chunked\r\n\r\n";
        queue_->queued_bytes += queue_->pending.size();
        ask = must_ask();
    }
    if (ask) {
        ask_flush();
    }
    return true;
}

bool Responder::write(std::string_view bytes) {
    bool ask = false;
    {
        const MutexLock lock(queue_->mutex);
        if (queue_->gone || queue_->stage != Stage::Streaming || overflows(bytes.size())) {
            return false;
        }
        if (bytes.empty() || queue_->to_head) {
            return true;  // an empty chunk would be the end
        }
        const size_t before = queue_->pending.size();
        if (queue_->http_1_0) {
            queue_->pending += bytes;
        } else {
            append_chunk(queue_->pending, bytes);
        }
        queue_->queued_bytes += queue_->pending.size() - before;
        ask = must_ask();
    }
    if (ask) {
        ask_flush();
    }
    return true;
}

void Responder::end(Cut cut) {
    bool ask = false;
    {
        const MutexLock lock(queue_->mutex);
        const bool cut_unstarted = cut == Cut::Yes && queue_->stage == Stage::Fresh;
        if (queue_->gone || (queue_->stage != Stage::Streaming && !cut_unstarted)) {
            return;
        }
        queue_->stage = Stage::Ended;
        if (cut == Cut::Yes) {
            queue_->cut_after = true;
        } else if (!queue_->http_1_0 && !queue_->to_head) {
            queue_->pending += "0\r\n\r\n";
            queue_->queued_bytes += 5;
        }
        ask = must_ask();
    }
    if (ask) {
        ask_flush();
    }
}

}  // namespace

void put_reply(AnswerQueue& queue, HttpReply reply, bool draining) {
    queue.stage = Stage::Ended;
    queue.close_after = !queue.keep_alive || draining;
    append_head(queue, reply.status, reply.headers);
    const bool bodiless = reply.status == 204 || reply.status == 304;
    if (!bodiless) {
        fmt::format_to(std::back_inserter(queue.pending), "Content-Length: {}\r\n",
                       reply.body.size());
    }
    queue.pending += "\r\n";
    if (!bodiless && !queue.to_head) {
        if (reply.body.size() <= kJoinedBodyBytesMax) {
            queue.pending += reply.body;
        } else {
            queue.body = std::move(reply.body);
        }
    }
    queue.queued_bytes += queue.pending.size() + queue.body.size();
}

std::shared_ptr<HttpResponder> make_responder(const std::shared_ptr<ServerConnection>& connection,
                                              std::shared_ptr<AnswerQueue> queue) {
    return std::make_shared<Responder>(connection, std::move(queue));
}

}  // namespace weir::net
