#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "chat/backend.h"
#include "net/http_client.h"
#include "providers/openai/codec.h"

namespace weir::server {

// Why an answer could not be had to its end.
struct AnswerFailure {
    Error error;
    // The connection failed, as opposed to the peer saying no.
    std::optional<net::HttpFailureKind> transport;
};

// One answer of an HTTP peer on its way to a chat sink: reads the status, lets the codec translate
// the body, and says once how it ended. The sink gets everything but the failure: what becomes of
// that (another try, another worker, an error event) is the backend's to decide.
//
// Threads: on the loop, as net::HttpSink says. Ownership: keeps request and sink.
class AnswerRelay final : public net::HttpSink {
  public:
    // Called once, last: nothing, if the sink has got Finished.
    using Ended = std::move_only_function<void(std::optional<AnswerFailure>)>;

    AnswerRelay(std::shared_ptr<const chat::ChatRequest> request, providers::OpenAiOptions options,
                std::shared_ptr<chat::ChatSink> sink, const Clock& clock, Ended ended);

    // The request in the peer's dialect. Errors: Unsupported, naming the field.
    Result<net::HttpClientRequest> encode();

    void on_head(net::HttpResponseHead head) override;
    void on_body(std::string_view bytes) override;
    void on_end() override;
    void on_failure(net::HttpFailure failure) override;

  private:
    void end(std::optional<AnswerFailure> failure);

    std::shared_ptr<const chat::ChatRequest> request_;
    providers::OpenAiCodec codec_;
    std::shared_ptr<chat::ChatSink> sink_;
    const Clock& clock_;
    Ended ended_;
    net::HttpResponseHead head_;
    std::string body_;  // of an answer that is not streamed, or of an error
};

}  // namespace weir::server
