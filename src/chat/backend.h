#pragma once

#include <memory>
#include <stop_token>

#include "chat/event.h"
#include "chat/request.h"

namespace weir::chat {

// Receives one answer.
//
// Threads: events come one after the other, never two at once, but from whatever thread the
// backend runs on; `on_event` must return at once (hand over, do not compute).
class ChatSink {
  public:
    virtual ~ChatSink() = default;
    virtual void on_event(ChatEvent event) = 0;
};

// Whoever can answer a request: the local engine, a worker, a provider.
class ChatBackend {
  public:
    virtual ~ChatBackend() = default;

    // Begins to answer, and returns. Whatever happens, the sink gets exactly one last event
    // (Finished or Error), even on cancellation; events may come before `start` returns.
    // The backend keeps request and sink alive until then.
    virtual void start(std::shared_ptr<const ChatRequest> request, std::shared_ptr<ChatSink> sink,
                       std::stop_token cancel) = 0;
};

}  // namespace weir::chat
