#include "server/worker_backend.h"

#include <optional>
#include <utility>

#include "base/log.h"
#include "server/answer_relay.h"
#include "server/replay_sink.h"

namespace weir::server {
namespace {

constexpr uint32_t kDeathsMax = 2;  // the second one ends the answer

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
                          if (!lease) {
                              self->sink_->on_event(std::move(lease).error());
                              return;
                          }
                          self->send(*std::move(lease));
                      });
    }

  private:
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
            sink_->on_event(std::move(call).error());
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
            sink_->on_event(std::move(failure->error));
            return;
        }
        if (*failure->transport == net::HttpFailureKind::StaleConnection) {
            ask(std::nullopt);
            return;
        }
        if (++deaths_ >= kDeathsMax) {
            sink_->on_event(make_error(ErrorCode::Unavailable,
                                       "the model's worker ended twice during this answer"));
            return;
        }
        log(LogLevel::Warning, "request {}: its worker broke off; asking a new one", request_->id);
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
