#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "model/model.h"

namespace weir::engine::testing {

struct Promise2Options {
    uint32_t seed = 1;
    uint32_t prompt_tokens = 45;  // of the request that is watched
    uint32_t answer_tokens = 12;
    uint32_t others = 31;            // requests beside it
    uint32_t other_tokens_max = 24;  // longest prompt of another
    float temperature = 0.8f;
};

// Same question, same answer: runs one request through engines over `model` in every way that the
// promise names, and compares its tokens, and its logits bit for bit, with a run alone:
//   with prefill chunks of 1, 7 and 512 tokens, alone and among others that come and go;
//   after a prefix hit; after being preempted in the middle of its prompt and of its answer;
//   among others in memory that is too small for them;
//   and, where `other_threads` gives the same model on another number of threads, on that.
//
// Returns the first difference in words, or nothing. That none of it happened (no hit, no company
// in at least half of the passes, no preemption, no block lost) is a difference too. Errors: what
// the engine or model refused.
Result<std::optional<std::string>> first_difference(model::Model& model,
                                                    const Promise2Options& options,
                                                    model::Model* other_threads = nullptr);

}  // namespace weir::engine::testing
