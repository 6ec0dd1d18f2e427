#pragma once

#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "model/model.h"

namespace weir::kernels {
class ThreadPool;
}

namespace weir::engine {

// What `weir bench` measures, through the engine itself: scheduler, KV and sampler included.
struct MeasureOptions {
    uint32_t prompt_tokens = 512;  // of the prefill measurement
    uint32_t decode_prompt = 32;   // prompt of each decoding sequence
    uint32_t decode_tokens = 64;   // new tokens of each
    std::vector<uint32_t> batches = {1, 16};
    uint32_t rounds = 3;
    // Set: how fast these threads can read memory is measured too, in every round. The caller's.
    kernels::ThreadPool* readers = nullptr;
};

struct DecodeSpeed {
    uint32_t batch = 0;
    std::vector<double> tokens_per_second;  // one a round, all sequences together
};

struct Speed {
    std::vector<double> prefill_tokens_per_second;  // one a round
    std::vector<DecodeSpeed> decode;                // one a batch size
    std::vector<double> read_bytes_per_second;      // one a round, if there were readers
};

// Prefill: one prompt of `prompt_tokens` with no cached prefix, until its first token. Decode: from
// the step after every prompt is read to the last token, greedy, no early end. Token ids are drawn
// from a fixed seed. Runs for as long as it takes on the calling thread.
Result<Speed> measure(model::Model& model, const MeasureOptions& options, const Clock& clock);

}  // namespace weir::engine
