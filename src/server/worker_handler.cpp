#include "server/worker_handler.h"

#include <charconv>
#include <utility>

#include "api/openai_chat.h"
#include "api/openai_reply.h"
#include "base/check.h"
#include "server/http_reply.h"
#include "server/worker_metrics.h"

namespace weir::server {
namespace {

template <typename Number>
Result<std::optional<Number>> whole_number(const net::HttpRequest& request, std::string_view name) {
    const auto text = request.headers.find(name);
    if (!text) {
        return std::nullopt;
    }
    Number number{};
    const char* const end = text->data() + text->size();
    const auto parsed = std::from_chars(text->data(), end, number);
    if (parsed.ec != std::errc() || parsed.ptr != end) {
        return invalid_argument(name, "{} must be a whole number", name);
    }
    return number;
}

// Writes an answer into a responder. An error before the first event becomes a status.
class AnswerSink final : public chat::ChatSink {
  public:
    AnswerSink(std::shared_ptr<const chat::ChatRequest> request, api::ReplyHead head,
               std::shared_ptr<net::HttpResponder> responder)
        : request_(std::move(request)), head_(std::move(head)), responder_(std::move(responder)) {
        if (request_->stream) {
            writer_ = api::make_stream_writer(*request_, head_);
        } else {
            collector_ = std::make_unique<api::ReplyCollector>(chat::choice_count(*request_));
        }
    }

    void on_event(chat::ChatEvent event) override {
        if (ended_) {
            return;
        }
        const Error* error = std::get_if<Error>(&event);
        if (error != nullptr && (!begun_ || collector_ != nullptr)) {
            ended_ = true;
            responder_->reply(server::error_reply(*error));
            return;
        }
        collector_ == nullptr ? stream(event) : collect(std::move(event));
    }

  private:
    void stream(const chat::ChatEvent& event) {
        if (!std::exchange(begun_, true)) {
            responder_->start_stream(200, {{"Content-Type", "text/event-stream"}});
        }
        out_.clear();
        writer_->append(event, out_);
        if (!out_.empty()) {
            responder_->write(out_);
        }
        if (chat::is_last(event)) {
            ended_ = true;
            responder_->finish();
        }
    }

    void collect(chat::ChatEvent event) {
        begun_ = true;
        if (const Result<void> added = collector_->add(std::move(event)); !added) {
            ended_ = true;
            responder_->reply(server::error_reply(added.error()));
        } else if (collector_->complete()) {
            ended_ = true;
            responder_->reply({.status = 200,
                               .headers = {{"Content-Type", "application/json"}},
                               .body = api::reply_json(*request_, head_, collector_->reply())});
        }
    }

    std::shared_ptr<const chat::ChatRequest> request_;
    api::ReplyHead head_;
    std::shared_ptr<net::HttpResponder> responder_;
    std::unique_ptr<api::StreamWriter> writer_;
    std::unique_ptr<api::ReplyCollector> collector_;
    std::string out_;
    bool begun_ = false;
    bool ended_ = false;
};

}  // namespace

net::HttpReply WorkerHandler::error_reply(int status, std::string_view why) {
    return server::error_reply(status, why);
}

void WorkerHandler::handle(net::HttpRequest request, std::shared_ptr<net::HttpResponder> responder,
                           std::stop_token cancelled) {
    if (request.method == "GET" && request.path == "/health") {
        responder->reply({.status = 200, .headers = {}, .body = "ok\n"});
    } else if (request.method == "GET" && request.path == "/metrics") {
        responder->reply({.status = 200,
                          .headers = {{"Content-Type", "text/plain; version=0.0.4"}},
                          .body = metrics_text()});
    } else if (const Result<void> begun = begin(request, responder, std::move(cancelled)); !begun) {
        responder->reply(server::error_reply(begun.error()));
    }
}

std::string WorkerHandler::metrics_text() {
    registry_.counter(kBugsMetric, kBugsHelp).set(bug_count());
    return registry_.text();
}

Result<void> WorkerHandler::begin(const net::HttpRequest& request,
                                  std::shared_ptr<net::HttpResponder> responder,
                                  std::stop_token cancelled) {
    const bool is_chat = request.path == "/v1/chat/completions";
    if (request.method != "POST" || (!is_chat && request.path != "/v1/completions")) {
        return fail(ErrorCode::NotFound, "there is no such path");
    }
    WEIR_TRY_ASSIGN(chat::ChatRequest parsed,
                    is_chat ? api::parse_chat_request(request.body, {})
                            : api::parse_completion_request(request.body, {}));
    WEIR_TRY_ASSIGN(const auto seed, whole_number<uint64_t>(request, "x-weir-drawn-seed"));
    WEIR_TRY_ASSIGN(const auto asked_at, whole_number<int64_t>(request, "x-weir-asked-at"));
    parsed.drawn_seed = seed.value_or(0);
    if (asked_at) {
        parsed.asked_at = std::chrono::local_seconds(std::chrono::seconds(*asked_at));
    }
    parsed.id = request.headers.find("x-weir-request-id").value_or("none");
    parsed.tenant = request.headers.find("x-weir-tenant").value_or("");
    const auto shared = std::make_shared<const chat::ChatRequest>(std::move(parsed));
    const api::ReplyHead head{.id = shared->id, .model = model_name_, .created = 0};
    backend_.start(shared, std::make_shared<AnswerSink>(shared, head, std::move(responder)),
                   std::move(cancelled));
    return {};
}

}  // namespace weir::server
