#include "server/exchange.h"

#include <chrono>
#include <utility>

#include "base/log.h"
#include "base/random.h"
#include "router/next_try.h"
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
    on_cancelled_.emplace(cancelled_, [weak = weak_from_this()] {
        if (const auto self = weak.lock()) {
            self->strand_->post([self] { self->on_client_gone(); });
        }
    });
    strand_->dispatch([self = shared_from_this()] { self->route(); });
}

void Exchange::route() {
    gateway_.retries.request_came();
    router::Route route{.name = route_.model};
    for (const size_t index : route_.backends) {
        const Backend& backend = gateway_.backends[index];
        route.candidates.push_back({.index = index,
                                    .name = backend.config.name,
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
    attempt_stop_ = std::stop_source();
    if (cancelled_.stop_requested()) {
        attempt_stop_.request_stop();
    }
    Backend& backend = gateway_.backends[backend_];
    backend.breaker.tried();
    backend.chat->start(request_, std::make_shared<AttemptSink>(shared_from_this(), attempts_),
                        attempt_stop_.get_token());
}

void Exchange::on_client_gone() {
    attempt_stop_.request_stop();  // whoever is at work says Cancelled then
    if (std::exchange(pausing_, false)) {
        timer_->cancel();
        refuse(make_error(ErrorCode::Cancelled, "the client went away"));
    }
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

void Exchange::on_attempt_failed(const Error& error) {
    Backend& backend = gateway_.backends[backend_];
    attempt_stop_.request_stop();  // it may still be talking
    if (router::is_worth_another_try(error)) {
        backend.breaker.failed();
        // Not the message: an upstream's may quote what the client wrote.
        log(LogLevel::Warning, "request {}: {} failed: {} {}", request_->id, backend.config.name,
            name(error.code), error.reason);
    }
    if (router::was_worked_on(error)) {
        book_lost_work(error);
    }
    if (cancelled_.stop_requested() || !try_again(error)) {
        refuse(error);
    }
}

// The next backend at once; after the last one, the first again, after a pause, if that can help
// and the budget for repetitions allows it.
bool Exchange::try_again(const Error& error) {
    const router::NextTry next = router::next_try(error);
    if (next == router::NextTry::None || attempts_ >= router::kAttemptsMax) {
        return false;
    }
    if (next_ + 1 < decision_.order.size()) {
        ++next_;
        decision_.reason += fmt::format("; {} {}", gateway_.backends[backend_].config.name,
                                        router::is_worth_another_try(error) ? "failed" : "cannot");
        attempt();
        return true;
    }
    if (next != router::NextTry::Any || !gateway_.retries.spend()) {
        return false;
    }
    next_ = 0;
    pausing_ = true;
    timer_->start(router::retry_delay(error, attempts_ - 1, jitter()), [self = shared_from_this()] {
        self->pausing_ = false;
        self->attempt();
    });
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
    // A provider never hears of the seed that was drawn here.
    const bool is_local = !decision_.order.empty() && gateway_.backends[backend_].config.is_local();
    if (request_->sampling.seed || is_local) {
        headers.add("x-weir-seed", std::to_string(static_cast<int64_t>(
                                       request_->sampling.seed.value_or(request_->drawn_seed))));
    }
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
        usage_ = finished->usage;
        if (!usage_) {
            log(LogLevel::Warning, "request {}: {} does not say what it used; estimated",
                request_->id, gateway_.backends[backend_].config.name);
        }
    } else {
        estimate_.saw(event);
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

ledger::Entry Exchange::entry_for(const Error* error, bool has_backend) const {
    const BackendConfig* const backend =
        has_backend ? &gateway_.backends[backend_].config : nullptr;
    ledger::Entry entry{.request_id = request_->id,
                        .time = gateway_.clock.wall(),
                        .key = origin_.key_name,
                        .route = route_.model,
                        .backend = backend == nullptr ? std::string() : backend->name,
                        .model = upstream_model_,
                        .label = verdict_.label,
                        .outcome = std::string(error == nullptr ? "ok" : name(error->code)),
                        .usage = {},
                        .price = backend == nullptr ? ledger::Price{} : backend->price,
                        .latency = std::chrono::duration_cast<std::chrono::microseconds>(
                            gateway_.clock.now() - origin_.arrived)};
    if (backend != nullptr) {
        const auto* const remote = std::get_if<RemoteSource>(&backend->source);
        if (entry.model.empty() && remote != nullptr) {
            entry.model = remote->model;  // it has not said what it calls it
        }
        entry.usage = usage_ ? *usage_ : estimate_.usage(*request_);
        entry.is_usage_estimated = !usage_;
    }
    const Result<ledger::PicoDollars> cost =
        ledger::cost_of(entry.usage, entry.price.value_or(ledger::Price{}));
    entry.cost = cost.value_or(ledger::PicoDollars{INT64_MAX});
    return entry;
}

// A row of its own: the provider charges for an answer that is none, and the request goes on.
void Exchange::book_lost_work(const Error& error) {
    ledger::Entry entry = entry_for(&error, true);
    gateway_.metrics.ended(entry);
    gateway_.ledger->record(std::move(entry), [id = request_->id](const Result<void>& booked) {
        if (!booked) {
            log(LogLevel::Error, "request {}: lost work could not be booked", id);
        }
    });
}

// Books the request; what ends the answer is sent once that is committed.
void Exchange::end(chat::ChatEvent last) {
    if (std::exchange(ended_, true)) {
        return;
    }
    const Error* error = std::get_if<Error>(&last);
    if (answering_) {
        router::Breaker& breaker = gateway_.backends[backend_].breaker;
        if (error == nullptr) {
            breaker.succeeded();
        } else if (router::is_worth_another_try(*error)) {
            breaker.failed();
        }
    }
    if (error != nullptr) {
        attempt_stop_.request_stop();
    }
    // A provider that was stopped in the middle of a prompt has read it.
    const bool was_reading = !answering_ && error != nullptr &&
                             error->code == ErrorCode::Cancelled && attempts_ > 0 &&
                             !gateway_.backends[backend_].config.is_local();
    ledger::Entry entry = entry_for(error, answering_ || was_reading);
    gateway_.metrics.ended(entry);
    gateway_.ledger->record(std::move(entry), [self = shared_from_this(),
                                               last = std::move(last)](const Result<void>& booked) {
        chat::ChatEvent sent = last;
        if (!booked) {
            log(LogLevel::Error, "request {} could not be booked: {}", self->request_->id,
                booked.error().message);
            sent = make_error(ErrorCode::Unavailable, "the answer could not be booked")
                       .with_reason("not_booked");
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
