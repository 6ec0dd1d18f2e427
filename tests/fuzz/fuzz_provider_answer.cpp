// Bytes from a provider: whatever they are, the events keep their contract, and an answer is only
// complete when a collector finds it complete.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "api/reply.h"
#include "providers/openai/codec.h"

namespace {

using namespace weir;

class CheckingSink final : public chat::ChatSink {
  public:
    explicit CheckingSink(uint32_t choices) : collector_(choices) {}

    void on_event(chat::ChatEvent event) override {
        if (begun_ == std::holds_alternative<chat::Started>(event) || collector_.complete()) {
            std::abort();  // Started comes first and once; nothing comes after Finished
        }
        begun_ = true;
        if (!collector_.add(std::move(event))) {
            std::abort();
        }
    }
    bool complete() const { return collector_.complete(); }

  private:
    api::ReplyCollector collector_;
    bool begun_ = false;
};

chat::ChatRequest request_for(uint8_t choose) {
    chat::ChatRequest request;
    request.stream = true;
    request.sampling.choices = 1 + (choose & 1);
    if ((choose & 2) != 0) {
        request.input = chat::RawPrompts{.prompts = {"p"}};
    }
    return request;
}

void check_stream(const chat::ChatRequest& request, std::string_view bytes, size_t piece) {
    providers::OpenAiCodec codec(request, {.dialect = providers::OpenAiDialect::openai()});
    CheckingSink sink(request.sampling.choices);
    for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
        if (!codec.decode_chunk(bytes.substr(0, piece), sink)) {
            return;
        }
    }
    if (codec.end_of_stream().has_value() != sink.complete()) {
        std::abort();
    }
}

void check_body(const chat::ChatRequest& request, std::string_view bytes) {
    providers::OpenAiCodec codec(request, {.dialect = providers::OpenAiDialect::openai()});
    CheckingSink sink(request.sampling.choices);
    if (codec.decode_body(bytes, sink).has_value() != sink.complete()) {
        std::abort();
    }
    for (const int status : {400, 429, 503}) {
        if (codec.decode_error(status, {}, bytes, {}).message.size() > 400) {
            std::abort();
        }
    }
}

}  // namespace

// The first byte chooses the request and the size of the pieces.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
    if (count == 0) {
        return 0;
    }
    const std::string_view answer(reinterpret_cast<const char*>(bytes) + 1, count - 1);
    const chat::ChatRequest request = request_for(bytes[0]);
    check_stream(request, answer, 1u + (bytes[0] >> 2));
    check_body(request, answer);
    return 0;
}
