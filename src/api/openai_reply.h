#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "api/reply.h"
#include "chat/event.h"
#include "chat/request.h"

namespace weir::api {

// What an answer says about itself. `created` is given, never read from a clock here.
struct ReplyHead {
    std::string id;       // Weir's request id; the answer's is chatcmpl-ID or cmpl-ID
    std::string model;    // as the client may know it
    int64_t created = 0;  // Unix seconds
};

// The body of an answer that is sent whole: a chat.completion or, for RawPrompts, a
// text_completion. `reply` is complete.
std::string reply_json(const chat::ChatRequest& request, const ReplyHead& head, const Reply& reply);

// Writes an answer as server-sent events: for each choice a first chunk with the role, its
// deltas, its finish reason; then the usage, if the client asked for it and the backend said it,
// in a chunk without choices; then [DONE]. After an Error, or where an end comes before every
// choice has ended, there is an error event and no [DONE].
//
// Threads: one.
class StreamWriter {
  public:
    virtual ~StreamWriter() = default;

    // Appends the bytes for one event; may be none.
    virtual void append(const chat::ChatEvent& event, std::string& out) = 0;
};

std::unique_ptr<StreamWriter> make_stream_writer(const chat::ChatRequest& request, ReplyHead head);

}  // namespace weir::api
