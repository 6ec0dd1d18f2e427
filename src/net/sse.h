#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::net {

struct SseLimits {
    size_t event_bytes_max = size_t{1} << 20;  // all lines of one event together; a comment alone
};

// One event; the views are valid during the call that gives them.
struct SseEvent {
    std::string_view type;  // the `event:` field; empty if there was none (WHATWG: "message")
    std::string_view data;  // the `data:` lines, joined by '\n'
    std::string_view id;    // of this event; empty if there was none
};

// Reads a text/event-stream (WHATWG HTML section 9.2.6) from pieces cut anywhere: between \r and
// \n, inside a UTF-8 character, inside the byte order mark.
//
// Pure: no socket, no clock. Threads: one. Invariant: keeps at most event_bytes_max bytes.
// Not here: what the data means; whether it is valid UTF-8 (the reader of the data checks).
class SseParser {
  public:
    using OnEvent = std::function<Result<void>(const SseEvent&)>;

    explicit SseParser(SseLimits limits = {}) : limits_(limits) {}

    // Calls `on_event` for each event that `bytes` completes. Fails with UpstreamFailed (reason
    // "sse_event_too_large") or with what `on_event` returned; the parser is then of no more use.
    Result<void> feed(std::string_view bytes, const OnEvent& on_event);

    // Something of an event has come, but not its end: a stream that ends here was cut.
    bool has_partial_event() const { return !line_.empty() || has_fields_; }

  private:
    Result<void> take(std::string_view bytes);
    Result<void> end_line(const OnEvent& on_event);
    void field(std::string_view name, std::string_view value);

    SseLimits limits_;
    std::string line_;
    std::string type_;
    std::string data_;
    std::string id_;
    size_t event_bytes_ = 0;
    bool first_line_ = true;
    bool has_fields_ = false;
    bool has_data_ = false;
    bool skip_lf_ = false;  // the last byte was the \r that ended a line
};

// Appends "data: …\n\n"; a line break in `data` begins another data line.
void append_sse_data(std::string& out, std::string_view data);
// The same after "event: TYPE\n"; `type` must have no line break (those in it are dropped).
void append_sse_event(std::string& out, std::string_view type, std::string_view data);
// ": text\n\n", which keeps a quiet connection alive and means nothing.
void append_sse_comment(std::string& out, std::string_view text);

}  // namespace weir::net
