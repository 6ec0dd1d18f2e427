#include "net/client_connection.h"

#include <algorithm>

namespace weir::net {
namespace {

constexpr size_t kJoinedBodyBytesMax = size_t{16} << 10;  // shorter than that: one buffer
constexpr std::chrono::seconds kLateWriteMax{1};          // a request's rest after its answer

std::string request_head(const Call& call) {
    const HttpClientRequest& request = call.request;
    std::string out;
    out.reserve(512);
    out.append(request.method).append(" ").append(request.target).append(" HTTP/1.1\r\nHost: ");
    out.append(call.route.tcp ? call.route.tcp->origin.host_header() : "localhost");
    out.append("\r\nAccept-Encoding: identity\r\n");
    for (const Header& field : request.headers) {
        out.append(field.name).append(": ").append(field.value).append("\r\n");
    }
    const bool bodiless = request.method == "GET" || request.method == "HEAD";
    if (!bodiless || !request.body.empty()) {
        out.append("Content-Length: ").append(std::to_string(request.body.size())).append("\r\n");
    }
    out.append("\r\n");
    return out;
}

bool is_identity(const Headers& headers) {
    const auto encoding = headers.find("content-encoding");
    return !encoding || encoding->empty() || equals_ignoring_case(*encoding, "identity");
}

}  // namespace

ClientConnection::ClientConnection(std::shared_ptr<ClientPool> pool, std::shared_ptr<Strand> strand,
                                   const Route& route)
    : pool_(std::move(pool)), strand_(std::move(strand)), key_(route.key), scanner_(0) {}

void ClientConnection::begin(std::unique_ptr<Call> call) {
    strand_->dispatch([self = shared_from_this(), call = std::move(call)]() mutable {
        self->begin_on_strand(std::move(call));
    });
}

void ClientConnection::begin_on_strand(std::unique_ptr<Call> call) {
    if (phase_ == Phase::Closed) {
        pool_->start_afresh(std::move(call));  // closed between the pool and here
        return;
    }
    if (!deadline_) {
        deadline_ = std::make_unique<Deadline>(*strand_, [weak = weak_from_this()] {
            if (const auto connection = weak.lock()) {
                connection->due();
            }
        });
    }
    call_ = std::move(call);
    reused_ = phase_ == Phase::Idle;
    answer_began_ = false;
    in_.clear();
    scanner_ = HeadScanner(call_->request.limits.header_bytes_max);
    interim_answers_ = 0;
    decoder_.reset();
    keep_alive_ = false;
    body_bytes_ = 0;
    watch_for_cancel();
    if (reused_) {
        write_request();
    } else {
        connect();
    }
}

// The task compares the call, for by the time it runs another one may be open here.
void ClientConnection::watch_for_cancel() {
    if (!call_->cancel.stop_possible()) {
        return;
    }
    call_->on_cancel.emplace(
        call_->cancel, [weak = weak_from_this(), strand = strand_, which = call_.get()] {
            strand->post([weak, which] {
                const auto connection = weak.lock();
                if (connection && connection->call_.get() == which) {
                    connection->fail(HttpFailureKind::Cancelled, "the call was cancelled");
                }
            });
        });
}

void ClientConnection::connect() {
    phase_ = Phase::Connecting;
    set_phase_deadline(call_->request.limits.connect_max);
    auto done = [self = shared_from_this()](Connected result) {
        self->connected(std::move(result));
    };
    const Route& route = call_->route;
    connecting_ = route.tcp ? connect_tcp(*strand_, route.tcp->origin, route.tls, *call_->permit,
                                          std::move(done))
                            : connect_unix(*strand_, route.unix_path, std::move(done));
}

void ClientConnection::connected(Connected result) {
    if (!call_) {
        return;
    }
    if (!result) {
        const bool tls = result.error().kind == ConnectProblem::Kind::Tls;
        fail(tls ? HttpFailureKind::TlsFailed : HttpFailureKind::ConnectFailed,
             std::move(result.error().message));
        return;
    }
    transport_ = *std::move(result);
    write_request();
    if (call_) {
        read();
    }
}

// Promise 1: every request to a TCP peer passes here.
bool ClientConnection::use_permit() {
    if (!call_->route.tcp) {
        return true;
    }
    if (!call_->permit || !call_->permit->allows(call_->route.tcp->origin.text())) {
        return false;
    }
    const OutboundPermit used = *std::move(call_->permit);
    call_->permit.reset();
    return true;
}

void ClientConnection::write_request() {
    if (!use_permit()) {
        fail(HttpFailureKind::PermitRefused, "the request has no permit for this peer");
        return;
    }
    phase_ = Phase::Sent;
    set_phase_deadline(call_->request.limits.first_byte_max);
    out_head_ = request_head(*call_);
    out_body_ = std::move(call_->request.body);
    if (out_body_.size() <= kJoinedBodyBytesMax) {
        out_head_ += std::exchange(out_body_, {});
    }
    writing_ = true;
    transport_->write_all(
        out_head_, out_body_,
        [self = shared_from_this()](IoStatus status, size_t) { self->written(status); });
}

// A failed write says nothing yet: an early answer may lie in the receive buffer. The read, which
// is always pending, learns how it ends.
void ClientConnection::written(IoStatus status) {
    if (status != IoStatus::Ok) {
        return;
    }
    writing_ = false;
    out_body_ = {};
    if (phase_ == Phase::Answered) {
        become_idle();
    }
}

void ClientConnection::read() {
    transport_->read_some(chunk_, [self = shared_from_this()](IoStatus status, size_t bytes) {
        self->received(status, bytes);
    });
}

void ClientConnection::received(IoStatus status, size_t bytes) {
    if (phase_ == Phase::Closed) {
        return;
    }
    if (phase_ == Phase::Idle || phase_ == Phase::Answered) {
        close();  // an end, or bytes that nobody asked for
        return;
    }
    if (status != IoStatus::Ok) {
        ended(status);
        return;
    }
    answer_began_ = true;
    const std::string_view input(chunk_.data(), bytes);
    if (decoder_) {
        take_body(input);
    } else {
        in_ += input;
        if (take_head()) {
            take_body(std::exchange(in_, {}));
        }
    }
    if (phase_ == Phase::Closed) {
        return;
    }
    if (call_ && (decoder_ || !in_.empty())) {
        set_phase_deadline(call_->request.limits.between_bytes_max);
    }
    read();
}

void ClientConnection::ended(IoStatus status) {
    if (decoder_ && decoder_->ends_with_connection() && status == IoStatus::Eof) {
        complete();
    } else if (!answer_began_ && reused_) {
        pool_->forget_idle(key_);
        fail(HttpFailureKind::StaleConnection, "stale connection, nothing received");
    } else if (!answer_began_) {
        fail(HttpFailureKind::Truncated, "the connection was closed before an answer");
    } else {
        fail(HttpFailureKind::Truncated, "the connection was cut in the middle of the answer");
    }
}

bool ClientConnection::take_head() {
    const HttpClientLimits& limits = call_->request.limits;
    while (true) {
        const auto end = scanner_.scan(in_);
        if (end && !*end) {
            return false;
        }
        const auto method =
            call_->request.method == "HEAD" ? AnswerTo::Head : AnswerTo::OtherMethod;
        auto head =
            end ? parse_answer_head(std::string_view(in_).substr(0, **end),
                                    {limits.header_bytes_max, limits.headers_max, 0}, method)
                : std::unexpected(end.error());
        if (!head) {
            const bool size = head.error().status == 431;
            fail(size ? HttpFailureKind::AnswerTooLarge : HttpFailureKind::ProtocolError,
                 std::string("the answer is malformed: ") + std::string(head.error().why));
            return false;
        }
        if (head->status < 200) {
            if (!take_interim(*head, **end)) {
                return false;
            }
            continue;
        }
        if (!is_identity(head->headers)) {
            fail(HttpFailureKind::ProtocolError, "the answer has an encoding nobody asked for");
            return false;
        }
        in_.erase(0, **end);
        decoder_.emplace(head->framing);
        keep_alive_ = head->keep_alive;
        phase_ = Phase::Answer;
        if (head->framing.kind == BodyKind::Length &&
            head->framing.length > limits.body_bytes_max) {
            fail(HttpFailureKind::AnswerTooLarge, "the answer is too large");
            return false;
        }
        const std::shared_ptr<HttpSink> sink = call_->sink;
        sink->on_head({head->status, std::move(head->headers)});
        return true;
    }
}

bool ClientConnection::take_interim(const AnswerHead& head, size_t head_bytes) {
    if (head.status == 101 || ++interim_answers_ > call_->request.limits.informational_max) {
        fail(HttpFailureKind::ProtocolError, "interim answers instead of a final one");
        return false;
    }
    in_.erase(0, head_bytes);
    scanner_.reset();
    return true;
}

void ClientConnection::take_body(std::string_view input) {
    while (call_ && !decoder_->done() && !input.empty()) {
        const auto step = decoder_->next(input);
        if (!step) {
            fail(HttpFailureKind::ProtocolError,
                 std::string("the answer is malformed: ") + std::string(step.error().why));
            return;
        }
        if (step->data.size() > call_->request.limits.body_bytes_max - body_bytes_) {
            fail(HttpFailureKind::AnswerTooLarge, "the answer is too large");
            return;
        }
        body_bytes_ += step->data.size();
        input.remove_prefix(step->consumed);
        if (!step->data.empty()) {
            const std::shared_ptr<HttpSink> sink = call_->sink;
            sink->on_body(step->data);
        }
    }
    if (!call_ || !decoder_->done()) {
        return;
    }
    if (!input.empty()) {
        // More than announced: what was announced may be wrong, and the rest would be silently
        // lost.
        fail(HttpFailureKind::ProtocolError, "bytes behind the end of the answer");
        return;
    }
    complete();
}

void ClientConnection::complete() {
    const std::unique_ptr<Call> call = std::move(call_);
    call->on_cancel.reset();
    if (!keep_alive_ || !decoder_->done()) {
        close();
    } else if (writing_) {
        phase_ = Phase::Answered;
        deadline_->set_after(kLateWriteMax);
    } else {
        become_idle();
    }
    call->sink->on_end();
}

void ClientConnection::become_idle() {
    phase_ = Phase::Idle;
    pool_->give_back(shared_from_this());
}

void ClientConnection::fail(HttpFailureKind kind, std::string message) {
    if (!call_) {
        return;
    }
    const std::unique_ptr<Call> call = std::move(call_);
    call->on_cancel.reset();
    const bool sent = phase_ == Phase::Sent || phase_ == Phase::Answer;
    close();
    call->sink->on_failure({kind, std::move(message), sent, answer_began_});
}

void ClientConnection::set_phase_deadline(std::chrono::milliseconds after) {
    deadline_->set(std::min(Deadline::Clock::now() + after, call_->total_end));
}

void ClientConnection::due() {
    if (!call_) {
        close();  // idle for too long
    } else if (Deadline::Clock::now() >= call_->total_end) {
        fail(HttpFailureKind::TotalTimeout, "the answer took too long");
    } else if (phase_ == Phase::Connecting) {
        fail(HttpFailureKind::ConnectTimeout, "connecting took too long");
    } else if (decoder_ || !in_.empty()) {
        fail(HttpFailureKind::StallTimeout, "the answer stopped for too long");
    } else {
        fail(HttpFailureKind::FirstByteTimeout, "the answer did not begin in time");
    }
}

void ClientConnection::close() {
    if (phase_ == Phase::Closed) {
        return;
    }
    phase_ = Phase::Closed;
    if (const auto connecting = connecting_.lock()) {
        connecting->cancel();
    }
    if (transport_) {
        transport_->close();
    }
    if (deadline_) {
        deadline_->release();
    }
    pool_->closed(shared_from_this());
}

void ClientConnection::stop() {
    strand_->post([self = shared_from_this()] {
        self->fail(HttpFailureKind::Cancelled, "the client is shutting down");
        self->close();
    });
}

void ClientConnection::close_if_idle() {
    strand_->post([self = shared_from_this()] {
        if (self->phase_ == Phase::Idle) {
            self->close();
        }
    });
}

void ClientConnection::expect_idle_end(std::chrono::milliseconds after) {
    deadline_->set_after(after);
}

}  // namespace weir::net
