#include "net/http_connection.h"

#include <exception>

#include "base/log.h"

namespace weir::net {
namespace {

constexpr size_t kSendBatchBytes = size_t{256} << 10;  // one write_stall_max for each
constexpr size_t kKeptBufferBytes = size_t{64} << 10;  // capacity that an idle connection keeps
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace

ServerConnection::ServerConnection(std::shared_ptr<ServerCore> core, std::shared_ptr<Strand> strand,
                                   Listener listener, std::string peer_address)
    : core_(std::move(core)),
      strand_(std::move(strand)),
      listener_(listener),
      peer_address_(std::move(peer_address)),
      scanner_(core_->limits.header_bytes_max) {}

void ServerConnection::begin(UniqueFd fd, std::shared_ptr<TlsContext> tls) {
    strand_->dispatch(
        [self = shared_from_this(), fd = std::move(fd), tls = std::move(tls)]() mutable {
            const std::weak_ptr<ServerConnection> weak = self;
            const auto on_strand = [&](void (ServerConnection::*due)()) {
                return std::make_unique<Deadline>(*self->strand_, [weak, due] {
                    if (const auto connection = weak.lock()) {
                        (connection.get()->*due)();
                    }
                });
            };
            self->read_deadline_ = on_strand(&ServerConnection::read_due);
            self->write_deadline_ = on_strand(&ServerConnection::close);
            self->queue_deadline_ = on_strand(&ServerConnection::close);
            self->read_deadline_->set_after(self->core_->limits.header_deadline);
            self->handshake_ =
                serve_accepted(*self->strand_, std::move(fd), tls,
                               [self](Connected connected) { self->opened(std::move(connected)); });
        });
}

void ServerConnection::opened(Connected connected) {
    if (phase_ == Phase::Closed) {
        return;
    }
    if (!connected) {
        close();
        return;
    }
    transport_ = *std::move(connected);
    phase_ = Phase::Head;
    read();
}

// ------------------------------------------------------------------------------------- reading

void ServerConnection::read() {
    transport_->read_some(chunk_, [self = shared_from_this()](IoStatus status, size_t bytes) {
        self->received(status, bytes);
    });
}

void ServerConnection::received(IoStatus status, size_t bytes) {
    if (phase_ == Phase::Closed) {
        return;
    }
    if (status != IoStatus::Ok) {
        input_ended_ = true;
        // Our own error may still reach a client that only closed its half; any other answer is
        // lost on it: a half-closed client counts as gone (AP10).
        if (phase_ != Phase::Refusing || status == IoStatus::Cut) {
            close();
        }
        return;
    }
    std::string_view input(chunk_.data(), bytes);
    if (phase_ == Phase::Refusing || phase_ == Phase::Lingering) {
        drop_input(bytes);
    } else {
        if (phase_ == Phase::Body && unread().empty()) {
            input.remove_prefix(read_body(input));  // the common case copies a body's bytes once
        }
        in_ += input;
        advance();
    }
    if (phase_ == Phase::Answering && unread().size() > core_->limits.pipelined_bytes_max) {
        close();
    }
    if (phase_ != Phase::Closed) {
        read();
    }
}

void ServerConnection::drop_input(size_t bytes) {
    dropped_bytes_ += bytes;
    if (dropped_bytes_ > core_->limits.drain_bytes_max) {
        close();
    }
}

// A handler that answers within handle() comes back here: the outer call goes on then.
void ServerConnection::advance() {
    if (advancing_) {
        return;
    }
    advancing_ = true;
    while (step()) {
    }
    advancing_ = false;
    if (phase_ == Phase::Refusing) {
        in_begin_ = in_.size();
    }
    if (in_begin_ == in_.size() || in_begin_ > kKeptBufferBytes) {
        in_.erase(0, in_begin_);
        in_begin_ = 0;
    }
}

bool ServerConnection::step() {
    if (unread().empty()) {
        return false;
    }
    if (phase_ == Phase::Head) {
        return read_head();
    }
    if (phase_ == Phase::Body) {
        in_begin_ += read_body(unread());
        return true;
    }
    return false;
}

bool ServerConnection::read_head() {
    const HttpServerLimits& limits = core_->limits;
    const auto end = scanner_.scan(unread());
    if (!end) {
        refuse(end.error());
        return false;
    }
    if (!*end) {
        if (!head_begun_) {
            head_begun_ = true;
            read_deadline_->set_after(limits.header_deadline);
        }
        return false;
    }
    auto head =
        parse_request_head(unread().substr(0, **end),
                           {limits.header_bytes_max, limits.headers_max, limits.target_bytes_max});
    in_begin_ += **end;
    scanner_.reset();
    head_begun_ = false;
    read_deadline_->clear();
    if (!head) {
        refuse(head.error());
        return false;
    }
    head_ = *std::move(head);
    begin_body();
    return true;
}

void ServerConnection::begin_body() {
    const HttpServerLimits& limits = core_->limits;
    if (head_.framing.kind == BodyKind::Length && head_.framing.length > limits.body_bytes_max) {
        refuse({413, "the request body is too large"});
        return;
    }
    decoder_.emplace(head_.framing);
    if (decoder_->done()) {
        dispatch_request();
        return;
    }
    phase_ = Phase::Body;
    body_end_ = Deadline::Clock::now() + limits.body_deadline;
    window_bytes_ = 0;
    read_deadline_->set_after(std::min(limits.body_rate_window, limits.body_deadline));
    if (head_.expects_continue && unread().empty()) {
        send_continue();
    }
}

size_t ServerConnection::read_body(std::string_view input) {
    size_t used = 0;
    while (phase_ == Phase::Body && used < input.size()) {
        const auto step = decoder_->next(input.substr(used));
        if (!step) {
            refuse(step.error());
            break;
        }
        used += step->consumed;
        if (take_body(step->data) && decoder_->done()) {
            dispatch_request();
        }
    }
    return used;
}

bool ServerConnection::take_body(std::string_view data) {
    if (data.size() > core_->limits.body_bytes_max - body_.size()) {
        refuse({413, "the request body is too large"});
        return false;
    }
    if (core_->bodies_bytes.fetch_add(data.size()) + data.size() > core_->limits.bodies_bytes_max) {
        core_->bodies_bytes -= data.size();
        refuse({503, "too many large requests at once"});
        return false;
    }
    body_ += data;
    body_counted_ += data.size();
    window_bytes_ += data.size();
    return true;
}

void ServerConnection::send_continue() {
    if (!writing_) {
        out_ = kContinue;
        out_is_answer_ = false;
        send_next();
    }
}

// ----------------------------------------------------------------------------------- answering

HttpRequest ServerConnection::take_request() {
    HttpRequest request;
    request.method = std::move(head_.method);
    request.path = std::move(head_.path);
    request.query = std::move(head_.query);
    request.headers = std::move(head_.headers);
    request.body = std::exchange(body_, {});
    request.host = std::move(head_.host);
    request.origin = std::move(head_.origin);
    request.listener = listener_;
    request.peer_address = peer_address_;
    return request;
}

void ServerConnection::dispatch_request() {
    phase_ = Phase::Answering;
    read_deadline_->clear();
    ++requests_;
    ++core_->requests;
    ++core_->requests_open;
    request_open_ = true;
    cancel_ = std::stop_source();
    answer_ = std::make_shared<AnswerQueue>();
    answer_->http_1_0 = head_.http_1_0;
    answer_->to_head = head_.method == "HEAD";
    answer_->keep_alive = head_.keep_alive && requests_ < core_->limits.requests_per_connection_max;
    auto responder = make_responder(shared_from_this(), answer_);
    try {
        core_->handler->handle(take_request(), std::move(responder), cancel_.get_token());
    } catch (const std::exception& error) {
        // The responder is gone with the exception, and so the client has its 500.
        log(LogLevel::Error, "a handler threw: {}", error.what());
    }
}

void ServerConnection::refuse(HttpProblem problem) {
    ++core_->refused;
    phase_ = Phase::Refusing;
    end_request();
    answer_ = std::make_shared<AnswerQueue>();
    answer_->to_head = head_.method == "HEAD";
    {
        const MutexLock lock(answer_->mutex);
        put_reply(*answer_, core_->handler->error_reply(problem.status, problem.why),
                  core_->draining);
    }
    read_deadline_->set_after(core_->limits.write_stall_max);
    flush();
}

// Also for a request that did not become whole.
void ServerConnection::end_request() {
    core_->bodies_bytes -= std::exchange(body_counted_, 0);
    body_ = {};
    if (std::exchange(request_open_, false)) {
        --core_->requests_open;
    }
}

void ServerConnection::ask_flush() {
    strand_->dispatch([self = shared_from_this()] { self->flush(); });
}

void ServerConnection::flush() {
    if (phase_ == Phase::Closed || writing_ || !answer_) {
        return;
    }
    bool ended = false;
    {
        const MutexLock lock(answer_->mutex);
        answer_->flush_asked = false;
        out_.swap(answer_->pending);
        out_body_ = std::exchange(answer_->body, {});
        ended = answer_->stage == AnswerQueue::Stage::Ended;
    }
    watch_queue();
    if (!out_.empty()) {
        out_is_answer_ = true;
        send_next();
    } else if (ended) {
        answer_sent();
    }
}

void ServerConnection::send_next() {
    const size_t head_sent = std::min(out_sent_, out_.size());
    const std::string_view first = std::string_view(out_).substr(head_sent, kSendBatchBytes);
    std::string_view second;
    if (head_sent + first.size() == out_.size()) {
        second = std::string_view(out_body_).substr(out_sent_ - head_sent,
                                                    kSendBatchBytes - first.size());
    }
    writing_ = true;
    write_deadline_->set_after(core_->limits.write_stall_max);
    transport_->write_all(
        first, second,
        [self = shared_from_this()](IoStatus status, size_t bytes) { self->sent(status, bytes); });
}

void ServerConnection::sent(IoStatus status, size_t bytes) {
    writing_ = false;
    if (phase_ == Phase::Closed) {
        return;
    }
    if (status != IoStatus::Ok) {
        close();
        return;
    }
    write_deadline_->clear();
    out_sent_ += bytes;
    if (out_is_answer_) {
        answer_->queued_bytes -= bytes;
    }
    if (out_sent_ < out_.size() + out_body_.size()) {
        send_next();
        return;
    }
    out_.clear();
    out_body_ = {};
    out_sent_ = 0;
    flush();
}

// A queue over its soft bound may stay so for write_stall_max.
void ServerConnection::watch_queue() {
    const bool over = answer_->queued_bytes > core_->limits.send_queue_bytes_max;
    if (!over) {
        queue_deadline_->clear();
    } else if (!queue_deadline_->is_set()) {
        queue_deadline_->set_after(core_->limits.write_stall_max);
    }
}

void ServerConnection::answer_sent() {
    const std::shared_ptr<AnswerQueue> answer = std::exchange(answer_, nullptr);
    const bool refused = phase_ == Phase::Refusing;
    end_request();
    bool cut = false;
    bool closes = false;
    {
        const MutexLock lock(answer->mutex);
        cut = answer->cut_after;
        closes = answer->close_after;
    }
    if (cut) {
        // Without chunks a plain end would look like the answer's.
        answer->http_1_0 ? transport_->reset() : transport_->close();
        close();
        return;
    }
    if (refused || closes || core_->draining) {
        linger();
        return;
    }
    if (out_.capacity() > kKeptBufferBytes) {
        out_ = {};
    }
    phase_ = Phase::Head;
    read_deadline_->set_after(core_->limits.idle_max);
    advance();
}

// Closing with unread bytes would make the kernel reset the connection, and the client might lose
// the answer: read on until it closes, for a while and up to a bound (HT5).
void ServerConnection::linger() {
    phase_ = Phase::Lingering;
    transport_->shutdown_send();
    if (input_ended_) {
        close();
        return;
    }
    read_deadline_->set_after(core_->limits.drain_lingering_max);
}

// -------------------------------------------------------------------------------------- ending

void ServerConnection::read_due() {
    const auto now = Deadline::Clock::now();
    if (phase_ == Phase::Head && head_begun_) {
        refuse({408, "the request head came too slowly"});
    } else if (phase_ == Phase::Body) {
        if (now >= body_end_ || window_bytes_ < core_->limits.body_bytes_per_window_min) {
            refuse({408, "the request body came too slowly"});
            return;
        }
        window_bytes_ = 0;
        read_deadline_->set(std::min(now + core_->limits.body_rate_window, body_end_));
    } else {
        close();
    }
}

void ServerConnection::close() {
    if (phase_ == Phase::Closed) {
        return;
    }
    const std::shared_ptr<ServerConnection> self = shared_from_this();
    phase_ = Phase::Closed;
    if (const auto handshake = handshake_.lock()) {
        handshake->cancel();
    }
    if (transport_) {
        transport_->close();
    }
    read_deadline_->release();
    write_deadline_->release();
    queue_deadline_->release();
    const bool unanswered = request_open_;
    if (answer_) {
        answer_->gone = true;
    }
    end_request();
    core_->remove(this);
    if (unanswered) {
        ++core_->cancelled;
        cancel_.request_stop();
    }
}

void ServerConnection::stop() {
    strand_->post([self = shared_from_this()] { self->close(); });
}

void ServerConnection::cancel_answer() {
    strand_->post([self = shared_from_this()] {
        if (self->request_open_) {
            self->cancel_.request_stop();
        }
    });
}

void ServerConnection::finish_or_close() {
    strand_->post([self = shared_from_this()] {
        if (self->phase_ == Phase::Head && !self->head_begun_) {
            self->close();
        }
    });
}

}  // namespace weir::net
