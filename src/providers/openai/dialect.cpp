#include "providers/openai/dialect.h"

namespace weir::providers {

OpenAiDialect OpenAiDialect::openai() {
    return {.tokens_member = TokensMember::MaxCompletionTokens, .harmless_fields = true};
}

OpenAiDialect OpenAiDialect::compatible() {
    return {};
}

OpenAiDialect OpenAiDialect::vllm() {
    return {.stops_max = 16,
            .completion_logprobs_max = 20,
            .extended_sampling = true,
            .template_variables = true,
            .reasoning_history = true};
}

OpenAiDialect OpenAiDialect::worker() {
    OpenAiDialect dialect = vllm();
    dialect.stops_max = static_cast<size_t>(-1);
    dialect.harmless_fields = true;
    dialect.own_worker = true;
    return dialect;
}

}  // namespace weir::providers
