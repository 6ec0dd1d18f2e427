#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/token_id.h"
#include "chat/event.h"
#include "chat/request.h"
#include "engine/sampler.h"

namespace weir::engine {

// What the engine is asked: tokens in, tokens out. Choice p * choices_each + k is the k-th answer
// to prompt p.
struct Generation {
    std::vector<std::vector<TokenId>> prompts;  // none is empty
    uint32_t choices_each = 1;
    // Of these, the engine leaves strings, `choices` and `best_of` to its caller.
    chat::SamplingParams sampling;
    uint64_t seed = 0;
    std::vector<TokenId> end_tokens;  // end a choice unless sampling.ignore_eos; ascending
    std::string tenant;               // who may share a prefix
    // Log probabilities of every prompt token, with so many alternatives. Such a prompt takes
    // nothing from the prefix cache, which has no logits.
    std::optional<uint32_t> prompt_logprobs;

    uint32_t choice_count() const { return static_cast<uint32_t>(prompts.size()) * choices_each; }
};

// Receives what the engine says. All calls come from the engine's thread, one after the other, and
// must return at once. After on_finished or on_failed there is none.
class GenerationSink {
  public:
    virtual ~GenerationSink() = default;

    enum class Verdict : uint8_t { Continue, Stop };

    // A sink that throws (out of memory) ends its own request, with on_failed.
    virtual void on_started() = 0;
    // Entry i is about prompt token i + 1; the first token has no probability.
    virtual void on_prompt_logprobs(uint32_t prompt, std::vector<TokenLogprobs> logprobs) {
        (void)prompt, (void)logprobs;
    }
    // Not called for a token that ends the choice (end_tokens, stop_token_ids). Stop: this choice
    // is complete; on_choice_finished follows with reason Stop. An error ends the whole request:
    // on_failed follows with it.
    virtual Result<Verdict> on_token(uint32_t choice, const SampledToken& token) = 0;
    virtual void on_choice_finished(uint32_t choice, chat::FinishReason reason) = 0;
    virtual void on_finished(const chat::Usage& usage) = 0;
    virtual void on_failed(const Error& error) = 0;

    // The model's row for the token at `position`, before anything is done to it. For tests and
    // tools that compare logits.
    virtual void on_logits(uint32_t choice, uint32_t position, std::span<const float> logits) {
        (void)choice, (void)position, (void)logits;
    }
};

}  // namespace weir::engine
