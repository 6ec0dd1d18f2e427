#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "chat/backend.h"
#include "net/sse.h"
#include "providers/call.h"
#include "providers/openai/answer_decoder.h"
#include "providers/openai/dialect.h"

namespace weir::providers {

// OpenAI's chat and completions, as a client speaks them: to OpenAI, to servers that imitate it,
// and to this program's own workers. Pure translation, one instance per request: no sockets,
// clocks or retries.
//
//     OpenAiCodec codec(request, options);
//     WEIR_TRY_ASSIGN(Call call, codec.encode());     // then send it; a status other than 200:
//     Error error = codec.decode_error(status, headers, body, clock.wall());
//     WEIR_TRY(codec.decode_chunk(bytes, sink));      // request.stream; for every piece, then
//     WEIR_TRY(codec.end_of_stream());                //   once, when the body has ended
//     WEIR_TRY(codec.decode_body(body, sink));        // otherwise
//
// Decoding gives the sink Started, deltas, ChoiceFinished and, when the answer is complete,
// Finished as the last event. Failures are returned, never given to the sink: the caller either
// tries another backend (nothing was given yet) or gives the Error as the last event.
//
// Threads: one. Ownership: borrows the request; it must outlive the codec.
class OpenAiCodec final {
  public:
    OpenAiCodec(const chat::ChatRequest& request, OpenAiOptions options);

    // Errors: Unsupported, with `field`, for what the dialect cannot say.
    Result<Call> encode();

    // Any split. Errors: UpstreamFailed, or what an error inside the stream says (UP2).
    Result<void> decode_chunk(std::string_view bytes, chat::ChatSink& sink);

    // The body has ended. Fails unless the answer was complete (UP1); the error of a raw JSON tail
    // is that tail's (UP2).
    Result<void> end_of_stream() const;

    Result<void> decode_body(std::string_view body, chat::ChatSink& sink);

    Error decode_error(int status, const net::Headers& headers, std::string_view body,
                       Clock::WallTime now) const;

    // The sink has got Finished. Bytes that follow are ignored; the connection they came on should
    // not be used again.
    bool done() const { return done_; }

    // The peer's usage could not be true and was dropped (UP10).
    bool usage_was_suspect() const { return answer_.usage_was_suspect(); }

  private:
    Result<void> take_event(const net::SseEvent& event, chat::ChatSink& sink);
    ErrorSource source() const;

    const chat::ChatRequest& request_;
    OpenAiOptions options_;
    AnswerDecoder answer_;
    net::SseParser events_;
    bool at_line_start_ = true;
    bool raw_ = false;      // the stream has turned into something that is no event stream
    std::string raw_tail_;  // its beginning
    bool done_ = false;
};

}  // namespace weir::providers
