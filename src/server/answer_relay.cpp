#include "server/answer_relay.h"

#include <algorithm>
#include <utility>

namespace weir::server {
namespace {

constexpr size_t kErrorBytesMax = size_t{64} << 10;

}  // namespace

AnswerRelay::AnswerRelay(std::shared_ptr<const chat::ChatRequest> request,
                         providers::OpenAiOptions options, std::shared_ptr<chat::ChatSink> sink,
                         const Clock& clock, Ended ended)
    : request_(std::move(request)),
      codec_(*request_, std::move(options)),
      sink_(std::move(sink)),
      clock_(clock),
      ended_(std::move(ended)) {}

Result<net::HttpClientRequest> AnswerRelay::encode() {
    WEIR_TRY_ASSIGN(providers::Call call, codec_.encode());
    return net::HttpClientRequest{.method = std::move(call.method),
                                  .target = std::move(call.path),
                                  .headers = std::move(call.headers),
                                  .body = std::move(call.body),
                                  .limits = {}};
}

void AnswerRelay::on_head(net::HttpResponseHead head) {
    head_ = std::move(head);
}

void AnswerRelay::on_body(std::string_view bytes) {
    if (ended_ == nullptr) {
        return;
    }
    if (head_.status != 200) {
        body_.append(bytes.substr(0, kErrorBytesMax - std::min(kErrorBytesMax, body_.size())));
        return;
    }
    if (!request_->stream) {
        body_.append(bytes);  // bounded by the client's body_bytes_max
        return;
    }
    if (Result<void> decoded = codec_.decode_chunk(bytes, *sink_); !decoded) {
        end(AnswerFailure{std::move(decoded).error(), {}});
    } else if (codec_.done()) {
        end({});
    }
}

void AnswerRelay::on_end() {
    if (ended_ == nullptr) {
        return;
    }
    if (head_.status != 200) {
        end(AnswerFailure{codec_.decode_error(head_.status, head_.headers, body_, clock_.wall()),
                          {}});
        return;
    }
    Result<void> complete =
        request_->stream ? codec_.end_of_stream() : codec_.decode_body(body_, *sink_);
    if (complete) {
        end({});
    } else {
        end(AnswerFailure{std::move(complete).error(), {}});
    }
}

void AnswerRelay::on_failure(net::HttpFailure failure) {
    end(AnswerFailure{failure.to_error(), failure.kind});
}

void AnswerRelay::end(std::optional<AnswerFailure> failure) {
    if (Ended ended = std::exchange(ended_, nullptr)) {
        ended(std::move(failure));
    }
}

}  // namespace weir::server
