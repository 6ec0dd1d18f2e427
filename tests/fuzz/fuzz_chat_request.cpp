// Bytes from a client: whatever is accepted must survive being sent on to a worker and read there.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "api/openai_chat.h"
#include "providers/openai/encode.h"

namespace {

using namespace weir;

using Parse = Result<chat::ChatRequest>(std::string_view, const api::ApiLimits&);

void check(Parse* parse, std::string_view body) {
    const auto request = parse(body, {});
    if (!request) {
        if (request.error().message.empty() || request.error().reason.empty()) {
            std::abort();
        }
        return;
    }
    providers::OpenAiOptions options{.dialect = providers::OpenAiDialect::worker(),
                                     .model = request->model};
    const auto sent = providers::encode_openai(*request, options);
    const auto again = sent ? parse(sent->body, {}) : std::unexpected(sent.error());
    const auto sent_again = again ? providers::encode_openai(*again, options) : sent;
    if (!sent || !again || !sent_again || sent->body != sent_again->body) {
        std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
    const std::string_view body(reinterpret_cast<const char*>(bytes), count);
    check(api::parse_chat_request, body);
    check(api::parse_completion_request, body);
    return 0;
}
