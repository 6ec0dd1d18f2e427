#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"

namespace weir::server {

struct WorkerOptions {
    std::string name = "local";  // what answers and metrics call the model
    std::string model_path;      // empty: `embedded`
    std::span<const std::byte> embedded;
    std::string socket;
    std::optional<uint32_t> context_tokens;
    std::optional<uint32_t> cache_tokens;  // KV cache of all sequences together
    std::optional<uint32_t> cache_bits;    // of its numbers: 8, 16 or 32
    std::optional<uint32_t> threads;
    bool reads_texts = false;  // a plan looks at the tokenizer and the chat template too
};

// Prints, on descriptor 3, {"memory_bytes":N}: what the model will take, exactly, from its headers.
// Sandboxes the process first. Errors are printed there too, as {"error":"…"}, and returned.
Result<void> plan_worker(const WorkerOptions& options);

// Serves one model on a Unix socket, with the gateway's own HTTP API, until standard input ends
// (the gateway is gone), or SIGTERM: then it finishes what it has begun. While it still loads, both
// end it at once. The socket is bound before the process sandboxes itself, the model is read after.
// Says {"ready":true} on descriptor 3.
Result<void> run_worker(const WorkerOptions& options);

}  // namespace weir::server
