#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

#include "engine/core.h"

// What Core keeps of whom it serves; for core.cpp and core_record.cpp only.
namespace weir::engine {

inline double seconds_between(Clock::TimePoint from, Clock::TimePoint to) {
    return std::chrono::duration<double>(to - from).count();
}

// One generation: what its sequences have in common.
struct Core::Request {
    Generation generation;
    std::shared_ptr<GenerationSink> sink;
    std::stop_token cancel;
    Clock::TimePoint arrived;
    std::optional<Clock::TimePoint> started;
    std::vector<bool> prompt_is_read;  // [prompts]: its other choices can share its blocks
    uint32_t unfinished = 0;
    chat::Usage usage;
};

// One choice. It waits while it has no state.
struct Core::Sequence {
    SequenceId id;
    std::shared_ptr<Request> request;
    uint32_t choice;
    std::vector<TokenId> tokens;  // prompt and answer
    uint32_t prompt_tokens;
    uint32_t tokens_limit;  // prompt and answer
    Sampler sampler;
    std::optional<kv::SequenceState> state;
    bool reads_prompt_logits = false;
    std::vector<TokenLogprobs> prompt_logprobs;
    uint64_t place = 0;     // in line; anew after every turn
    uint32_t turn_end = 0;  // the length at which its turn is over
    uint32_t preemptions = 0;
    uint32_t computed_once = 0;  // tokens that were computed before, at most
    std::optional<Clock::TimePoint> scheduled;
    std::optional<Clock::TimePoint> first_token;
    Clock::TimePoint last_token;

    uint32_t known() const { return static_cast<uint32_t>(tokens.size()); }
    uint32_t answered() const { return known() - prompt_tokens; }
    uint32_t prompt() const { return choice / request->generation.choices_each; }
    bool leads() const { return choice % request->generation.choices_each == 0; }
    // The first choice of a prompt reads it; the others wait for its blocks.
    bool is_held() const { return !leads() && !request->prompt_is_read[prompt()]; }
};

}  // namespace weir::engine
