#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace weir::providers {

// What a server of OpenAI's format understands beyond, or short of, OpenAI's own. A request that
// needs more is refused by the codec, never thinned out.
struct OpenAiDialect {
    enum class TokensMember : uint8_t { MaxTokens, MaxCompletionTokens };

    TokensMember tokens_member = TokensMember::MaxTokens;  // of chat
    size_t stops_max = 4;
    uint32_t completion_logprobs_max = 5;
    bool harmless_fields = false;     // takes user, metadata, …; else they are left out
    bool extended_sampling = false;   // top_k, min_p, repetition_penalty, stop_token_ids,
                                      // ignore_eos, fractions in logit_bias
    bool template_variables = false;  // chat_template_kwargs
    bool reasoning_history = false;   // reasoning_content in assistant messages
    bool own_worker = false;          // takes x-weir-* headers; its errors are our own

    static OpenAiDialect openai();
    static OpenAiDialect vllm();  // and SGLang
    static OpenAiDialect
    compatible();                   // what most imitators take; some refuse a part of it themselves
    static OpenAiDialect worker();  // this program's own: everything
};

struct OpenAiOptions {
    OpenAiDialect dialect;
    std::string model;              // as the peer calls it
    std::string base_path = "/v1";  // before /chat/completions
};

}  // namespace weir::providers
