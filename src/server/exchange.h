#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "api/openai_reply.h"
#include "chat/backend.h"
#include "net/http_server.h"
#include "policy/inspector.h"
#include "server/gateway.h"
#include "server/usage_estimate.h"

namespace weir::server {

// One request on its way through the house: inspected, routed, tried with one backend after the
// other until one begins to answer, written in the caller's dialect, booked, ended.
//
// Before the first event of an answer, the next backend (or a repeated try) can take over; after
// it, a failure ends the answer with an error event, never with a fake end. Whoever is not listened
// to any more, because the client left or what it said is no answer, is told to stop.
//
// Threads: everything happens on `strand_`. Ownership: keeps itself alive until the answer's end.
class Exchange final : public std::enable_shared_from_this<Exchange> {
  public:
    struct Origin {
        std::string key_name;  // of the client key; empty: none
        policy::StatedLabels labels;
        Clock::TimePoint arrived;
    };

    Exchange(Gateway& gateway, const RouteConfig& route, Origin origin,
             std::shared_ptr<net::HttpResponder> responder, std::stop_token cancelled);

    // Takes the parsed request. Called once, from any thread.
    void start(chat::ChatRequest request);

  private:
    class AttemptSink;

    void route();
    void attempt();
    void on_event(uint32_t attempt, chat::ChatEvent event);
    void on_attempt_failed(const Error& error);
    bool try_again(const Error& error);
    void on_client_gone();
    void begin_answer();
    void pass_on(chat::ChatEvent event);
    void end(chat::ChatEvent last);
    void send_end(const chat::ChatEvent& last);
    void refuse(const Error& error);
    void note_usage(const chat::ChatEvent& event);
    // The current backend's, or nobody's.
    ledger::Entry entry_for(const Error* error, bool has_backend) const;
    void book_lost_work(const Error& error);
    net::Headers answer_headers() const;

    Gateway& gateway_;
    const RouteConfig& route_;
    Origin origin_;
    std::shared_ptr<net::HttpResponder> responder_;
    std::stop_token cancelled_;
    std::stop_source attempt_stop_;  // of the current attempt
    std::shared_ptr<net::Strand> strand_;
    std::unique_ptr<net::Timer> timer_;  // runs between two attempts

    std::shared_ptr<const chat::ChatRequest> request_;
    policy::Verdict verdict_;
    router::Decision decision_;
    int64_t created_ = 0;  // Unix seconds

    size_t next_ = 0;        // index into decision_.order
    uint32_t attempts_ = 0;  // also the number of the current one
    size_t backend_ = 0;     // who is being tried, or answers
    bool pausing_ = false;
    bool answering_ = false;
    bool ended_ = false;

    std::string upstream_model_;
    std::optional<chat::Usage> usage_;  // as the backend says
    UsageEstimate estimate_;
    std::unique_ptr<api::StreamWriter> writer_;       // if streamed
    std::unique_ptr<api::ReplyCollector> collector_;  // if not
    std::string out_;
    std::optional<std::stop_callback<std::function<void()>>> on_cancelled_;
};

}  // namespace weir::server
