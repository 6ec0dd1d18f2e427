#include "server/exchange.h"

#include <chrono>
#include <utility>

#include "base/log.h"
#include "base/random.h"
#include "server/http_reply.h"

namespace weir::server {
namespace {

double jitter() {
    return static_cast<double>(random_u64() >> 11) * 0x1.0p-53;
}

}  // namespace

// Brings a backend's events onto the exchange's strand, marked with the attempt they belong to.
class Exchange::AttemptSink final : public chat::ChatSink {
  public:
    AttemptSink(std::shared_ptr<Exchange> exchange, uint32_t attempt)
        : exchange_(std::move(exchange)), attempt_(attempt) {}

    void on_event(chat::ChatEvent event) override {
        exchange_->strand_->dispatch(
            [exchange = exchange_, attempt = attempt_, event = std::move(event)]() mutable {
                exchange->on_event(attempt, std::move(event));
            });
    }

  private:
    std::shared_ptr<Exchange> exchange_;
    uint32_t attempt_;
};

Exchange::Exchange(Gateway& gateway, const RouteConfig& route, Origin origin,
                   std::shared_ptr<net::HttpResponder> responder, std::stop_token cancelled)
    : gateway_(gateway),
      route_(route),
      origin_(std::move(origin)),
      responder_(std::move(responder)),
      cancelled_(std::move(cancelled)),
      strand_(gateway.strand),
      timer_(strand_->make_timer()) {}

void Exchange::start(chat::ChatRequest request) {
    created_ =
        std::chrono::duration_cast<std::chrono::seconds>(gateway_.clock.wall().time_since_epoch())
            .count();
    policy::StatedLabels labels = origin_.labels;
    labels.route = route_.label;
    request_ = gateway_.inspector.inspect(std::move(request), labels, verdict_);
    strand_->dispatch([self = shared_from_this()] { self->route(); });
}

void Exchange::route() {
    gateway_.retries.request_came();
    router::Route route{.name = route_.model};
    for (const size_t index : route_.backends) {
        const Backend& backend = gateway_.backends[index];
        route.candidates.push_back({.index = index,
                                    .name = backend.config.name,
                                    .local = backend.config.is_local(),
                                    .clearance = backend.config.clearance,
                                    .breaker_open = backend.breaker.is_open()});
    }
    auto decision = router::choose_backends(route, verdict_.label, verdict_.reason);
    if (!decision) {
        refuse(decision.error());
        return;
    }
    decision_ = *std::move(decision);
    attempt();
}

void Exchange::attempt() {
    backend_ = decision_.order[next_];
    ++attempts_;
    Backend& backend = gateway_.backends[backend_];
    backend.chat->start(request_, std::make_shared<AttemptSink>(shared_from_this(), attempts_),
                        cancelled_);
}

void Exchange::on_event(uint32_t attempt, chat::ChatEvent event) {
    if (attempt != attempts_ || ended_) {
        return;  // of an attempt that was given up, or after a failure of our own
    }
    if (answering_) {
        pass_on(std::move(event));
        return;
    }
    if (const Error* error = std::get_if<Error>(&event)) {
        on_attempt_failed(*error);
        return;
    }
    begin_answer();
    pass_on(std::move(event));
}

void Exchange::on_attempt_failed(Error error) {
    Backend& backend = gateway_.backends[backend_];
    const bool again = router::is_worth_another_try(error);
    if (again) {
        backend.breaker.failed();
        // Not the message: an upstream's may quote what the client wrote.
        log(LogLevel::Warning, "request {}: {} failed: {} {}", request_->id, backend.config.name,
            name(error.code), error.reason);
    }
    if (!again || cancelled_.stop_requested() || !try_again(error)) {
        refuse(error);
    }
}

// The next backend at once; after the last one, the first again, after a pause, if the budget for
// repetitions allows it.
bool Exchange::try_again(const Error& error) {
    if (next_ + 1 < decision_.order.size()) {
        ++next_;
        decision_.reason += fmt::format("; {} failed", gateway_.backends[backend_].config.name);
        attempt();
        return true;
    }
    if (attempts_ >= router::kAttemptsMax || error.reason == "insufficient_quota" ||
        !gateway_.retries.spend()) {
        return false;
    }
    next_ = 0;
    timer_->start(router::retry_delay(error, attempts_ - 1, jitter()),
                  [self = shared_from_this()] { self->attempt(); });
    return true;
}

net::Headers Exchange::answer_headers() const {
    net::Headers headers;
    headers.add("x-request-id", request_->id);
    headers.add("x-weir-label", std::string(chat::name(verdict_.label)));
    if (!decision_.order.empty()) {
        headers.add("x-weir-backend", gateway_.backends[backend_].config.name);
    }
    headers.add("x-weir-reason", decision_.order.empty() ? verdict_.reason : decision_.reason);
    headers.add("x-weir-seed", std::to_string(static_cast<int64_t>(
                                   request_->sampling.seed.value_or(request_->drawn_seed))));
    return headers;
}

void Exchange::begin_answer() {
    answering_ = true;
    gateway_.metrics.first_event(gateway_.clock.now() - origin_.arrived);
    const api::ReplyHead head{.id = request_->id, .model = route_.model, .created = created_};
    if (!request_->stream) {
        collector_ = std::make_unique<api::ReplyCollector>(chat::choice_count(*request_));
        return;
    }
    writer_ = api::make_stream_writer(*request_, head);
    net::Headers headers = answer_headers();
    headers.add("Content-Type", "text/event-stream");
    headers.add("Cache-Control", "no-cache");
    responder_->start_stream(200, std::move(headers));
}

void Exchange::note_usage(const chat::ChatEvent& event) {
    if (const auto* started = std::get_if<chat::Started>(&event)) {
        upstream_model_ = started->model;
    } else if (const auto* finished = std::get_if<chat::Finished>(&event)) {
        seen_ = finished->usage.value_or(seen_);
    } else if (!chat::is_last(event) && !std::holds_alternative<chat::ChoiceFinished>(event)) {
        ++seen_.completion_tokens;  // a delta is about a token; better than nothing
    }
}

void Exchange::pass_on(chat::ChatEvent event) {
    note_usage(event);
    if (chat::is_last(event)) {
        end(std::move(event));
        return;
    }
    if (collector_ != nullptr) {
        if (Result<void> added = collector_->add(std::move(event)); !added) {
            end(std::move(added).error());
        }
        return;
    }
    out_.clear();
    writer_->append(event, out_);
    if (!out_.empty()) {
        responder_->write(out_);  // a client that is gone cancels; the backend then says so
    }
}

ledger::Entry Exchange::entry_for(const chat::ChatEvent& last) const {
    const Error* error = std::get_if<Error>(&last);
    ledger::Entry entry{
        .request_id = request_->id,
        .time = gateway_.clock.wall(),
        .key = origin_.key_name,
        .route = route_.model,
        .backend = answering_ ? gateway_.backends[backend_].config.name : std::string(),
        .model = upstream_model_,
        .label = verdict_.label,
        .outcome = std::string(error == nullptr ? "ok" : name(error->code)),
        .usage = seen_,
        .price = answering_ ? gateway_.backends[backend_].config.price : ledger::Price{},
        .latency = std::chrono::duration_cast<std::chrono::microseconds>(gateway_.clock.now() -
                                                                         origin_.arrived)};
    const Result<ledger::PicoDollars> cost = ledger::cost_of(entry.usage, entry.price);
    entry.cost = cost.value_or(ledger::PicoDollars{INT64_MAX});
    return entry;
}

// Books the request; what ends the answer is sent once that is committed.
void Exchange::end(chat::ChatEvent last) {
    if (std::exchange(ended_, true)) {
        return;
    }
    Backend& backend = gateway_.backends[backend_];
    const Error* error = std::get_if<Error>(&last);
    if (error == nullptr) {
        backend.breaker.succeeded();
    } else if (answering_ && router::is_worth_another_try(*error)) {
        backend.breaker.failed();
    }
    ledger::Entry entry = entry_for(last);
    gateway_.metrics.ended(entry);
    const bool costs_nothing = entry.cost == ledger::PicoDollars{0};
    gateway_.ledger->record(std::move(entry), [self = shared_from_this(), last = std::move(last),
                                               costs_nothing](const Result<void>& booked) {
        chat::ChatEvent sent = last;
        if (!booked && !costs_nothing) {
            sent = make_error(ErrorCode::Unavailable, "the answer could not be booked");
        }
        self->strand_->post([self, sent = std::move(sent)] { self->send_end(sent); });
    });
}

void Exchange::send_end(const chat::ChatEvent& last) {
    const Error* error = std::get_if<Error>(&last);
    if (!answering_ || (collector_ != nullptr && error != nullptr)) {
        responder_->reply(error_reply(*error, answer_headers()));
        return;
    }
    if (collector_ == nullptr) {
        out_.clear();
        writer_->append(last, out_);
        responder_->write(out_);
        responder_->finish();
        return;
    }
    if (const Result<void> complete = collector_->add(last); !complete) {
        responder_->reply(error_reply(complete.error(), answer_headers()));
        return;
    }
    net::Headers headers = answer_headers();
    headers.add("Content-Type", "application/json");
    const api::ReplyHead head{.id = request_->id, .model = route_.model, .created = created_};
    responder_->reply({.status = 200,
                       .headers = std::move(headers),
                       .body = api::reply_json(*request_, head, collector_->reply())});
}

// Nothing has been sent yet.
void Exchange::refuse(const Error& error) {
    end(error);
}

}  // namespace weir::server
