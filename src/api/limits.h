#pragma once

#include <cstddef>
#include <cstdint>

namespace weir::api {

// How much one request may ask for. The body's size is limited before, by net.
struct ApiLimits {
    size_t messages_max = 8192;
    size_t parts_max = 2048;       // of one message
    size_t tool_calls_max = 128;   // of one message
    size_t tools_max = 128;        // OpenAI's
    size_t stops_max = 16;         // OpenAI takes 4; codecs for such peers refuse the rest
    size_t stop_bytes_max = 1024;  // of one stop string
    size_t stop_token_ids_max = 128;
    size_t logit_bias_max = 1024;
    uint32_t choices_max = 128;         // n: OpenAI's
    uint32_t best_of_max = 20;          // OpenAI's
    uint32_t logprobs_max = 20;         // OpenAI's, for chat; we allow it for completions too
    size_t prompts_max = 256;           // of one completion request
    uint64_t choices_total_max = 1024;  // prompts times max(n, best_of)
    uint32_t tokens_max = 0x7FFF'FFFF;  // of max_tokens; the context length is the model's matter
    size_t name_bytes_max = 256;        // model, ids, names of participants
    size_t label_bytes_max = 1024;      // user, cache keys
    size_t metadata_max = 16;           // pairs; OpenAI's
};

}  // namespace weir::api
