#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/mutex.h"
#include "net/http_server.h"

// An open answer of the server: the way from a handler's threads to the connection's strand. Only
// for this room.
namespace weir::net {

class ServerConnection;

// The bytes of one answer between the handler's threads and the connection's strand. Bounded by
// HttpServerLimits::send_queue_bytes_*.
struct AnswerQueue {
    enum class Stage : uint8_t { Fresh, Streaming, Ended };

    // Set before the handler sees it.
    bool http_1_0 = false;
    bool to_head = false;     // HEAD: headers only
    bool keep_alive = false;  // as far as the request is concerned

    Mutex mutex;
    Stage stage WEIR_GUARDED_BY(mutex) = Stage::Fresh;
    std::string pending WEIR_GUARDED_BY(mutex);       // framed, ready to send
    std::string body WEIR_GUARDED_BY(mutex);          // of a reply, after `pending`: moved
    bool close_after WEIR_GUARDED_BY(mutex) = false;  // the connection ends with this answer
    bool cut_after WEIR_GUARDED_BY(mutex) = false;    // … and must not look complete
    bool flush_asked WEIR_GUARDED_BY(mutex) = false;

    std::atomic<size_t> queued_bytes = 0;
    std::atomic<bool> gone = false;
};

// Puts a whole reply into the queue. `draining`: say that the connection will be closed.
void put_reply(AnswerQueue& queue, HttpReply reply, bool draining) WEIR_REQUIRES(queue.mutex);

// What a handler is given; asks the connection to flush after every change of the queue.
std::shared_ptr<HttpResponder> make_responder(const std::shared_ptr<ServerConnection>& connection,
                                              std::shared_ptr<AnswerQueue> queue);

}  // namespace weir::net
