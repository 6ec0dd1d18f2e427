#include "server/worker_backend.h"

#include <optional>
#include <utility>

#include "base/log.h"
#include "router/health.h"
#include "server/answer_relay.h"
#include "server/replay_sink.h"

namespace weir::server {
namespace {

// A request that kills its worker does so each time, and takes its neighbours' worker away each
// time. One that has not been answered at all may be such, and gets one worker more; one that has
// begun to be answered is more likely a neighbour, and outlives a killer's two.
constexpr uint32_t kDeathsBeforeFirstEventMax = 2;
constexpr uint32_t kDeathsMax = 3;
constexpr uint32_t kStaleMax = 4;  // kept connections that turn out to be closed, in a row

// One request, from worker to worker.
//
// Threads: callbacks of the pool's strand and of the loop, never two at once: each is the answer to
// the one before.
class Rescue final : public std::enable_shared_from_this<Rescue> {
  public:
    Rescue(WorkerPool& pool, size_t index, net::HttpClient& client, const Clock& clock,
           std::shared_ptr<const chat::ChatRequest> request, std::shared_ptr<chat::ChatSink> sink,
           std::stop_token cancel)
        : pool_(pool),
          index_(index),
          client_(client),
          clock_(clock),
          request_(std::move(request)),
          sink_(std::move(sink)),
          replay_(std::make_shared<ReplaySink>(sink_)),
          cancel_(std::move(cancel)) {}

    void ask(std::optional<uint64_t> died_generation) {
        pool_.acquire(index_, died_generation,
                      [self = shared_from_this()](Result<WorkerLease> lease) {
                          if (lease) {
                              self->on_lease(*std::move(lease));
                          } else {
                              self->end(std::move(lease).error());
                          }
                      });
    }

  private:
    void on_lease(WorkerLease lease) {
        // A worker that still ran has kept its number; a connection to another one broke because
        // that had died, with this request in its hands or not.
        if (stale_generation_ && *stale_generation_ != lease.generation() && has_died_enough()) {
            return;
        }
        stale_generation_.reset();
        send(std::move(lease));
    }

    // What fails after a death is not tried again: the request may be what the worker died of.
    void end(Error error) {
        if (deaths_ > 0 && router::is_worth_another_try(error)) {
            error.reason = router::kWorkerDied;
        }
        sink_->on_event(std::move(error));
    }

    // One more worker has died; true if that ends the answer, too.
    bool has_died_enough() {
        ++deaths_;
        if (deaths_ < (replay_->has_begun() ? kDeathsMax : kDeathsBeforeFirstEventMax)) {
            log(LogLevel::Warning, "request {}: its worker broke off; asking a new one",
                request_->id);
            return false;
        }
        log(LogLevel::Warning, "request {}: given up, {} workers broke off", request_->id, deaths_);
        end(make_error(ErrorCode::Unavailable,
                       "the model's worker ended {} times during this answer", deaths_));
        return true;
    }

    void send(WorkerLease lease) {
        const std::string socket = lease.socket();
        const auto relay = std::make_shared<AnswerRelay>(
            request_,
            providers::OpenAiOptions{.dialect = providers::OpenAiDialect::worker(),
                                     .model = request_->model},
            replay_, clock_,
            [self = shared_from_this(),
             lease = std::move(lease)](std::optional<AnswerFailure> failure) mutable {
                self->on_ended(std::move(lease), std::move(failure));
            });
        auto call = relay->encode();
        if (!call) {
            end(std::move(call).error());
            return;
        }
        // A worker's own limits end what takes too long; it says nothing while it reads a prompt.
        call->limits.first_byte_max = std::chrono::hours(1);
        call->limits.between_bytes_max = std::chrono::hours(1);
        call->limits.total_max = std::chrono::hours(24);
        client_.send_unix(socket, *std::move(call), relay, cancel_);
    }

    void on_ended(WorkerLease lease, std::optional<AnswerFailure> failure) {
        if (replay_->diverged()) {
            sink_->on_event(make_error(ErrorCode::Internal,
                                       "the answer could not be continued after a worker died"));
            return;
        }
        if (!failure) {
            lease.succeeded();
            return;
        }
        if (!failure->transport || cancel_.stop_requested() ||
            *failure->transport == net::HttpFailureKind::Cancelled ||
            *failure->transport == net::HttpFailureKind::AnswerTooLarge) {
            end(std::move(failure->error));
            return;
        }
        // A kept connection that was closed before it said anything: the worker let go of it, or it
        // died of this very request. Which of them shows in the number of the worker that is there.
        if (*failure->transport == net::HttpFailureKind::StaleConnection &&
            ++stale_connections_ <= kStaleMax) {
            stale_generation_ = lease.generation();
            ask(std::nullopt);
            return;
        }
        stale_connections_ = 0;
        if (has_died_enough()) {
            return;
        }
        replay_->rewind();
        const uint64_t generation = lease.generation();
        {
            const WorkerLease given_back = std::move(lease);
        }
        ask(generation);
    }

    WorkerPool& pool_;
    size_t index_;
    net::HttpClient& client_;
    const Clock& clock_;
    std::shared_ptr<const chat::ChatRequest> request_;
    std::shared_ptr<chat::ChatSink> sink_;
    std::shared_ptr<ReplaySink> replay_;
    std::stop_token cancel_;
    uint32_t deaths_ = 0;
    uint32_t stale_connections_ = 0;
    std::optional<uint64_t> stale_generation_;  // whose connection was found closed just now
};

}  // namespace

WorkerBackend::WorkerBackend(WorkerPool& pool, size_t index, net::HttpClient& client,
                             const Clock& clock)
    : pool_(pool), index_(index), client_(client), clock_(clock) {}

void WorkerBackend::start(std::shared_ptr<const chat::ChatRequest> request,
                          std::shared_ptr<chat::ChatSink> sink, std::stop_token cancel) {
    std::make_shared<Rescue>(pool_, index_, client_, clock_, std::move(request), std::move(sink),
                             std::move(cancel))
        ->ask(std::nullopt);
}

}  // namespace weir::server
