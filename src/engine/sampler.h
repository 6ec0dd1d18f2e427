#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/token_id.h"
#include "chat/request.h"

namespace weir::engine {

// A token and its log probability under the model itself: log-softmax of the raw logits, before
// penalties, bias, temperature and cuts (vLLM's default, `raw_logprobs`), so that the number says
// what the model thinks and does not depend on how one samples.
struct TokenLogprobs {
    float logprob = 0;
    std::vector<std::pair<TokenId, float>> top;  // by falling logprob, ties by token id
};

struct SampledToken {
    TokenId token = 0;
    std::optional<TokenLogprobs> logprobs;  // if asked for
    double logprob_for_rank = 0;            // of the token, if best_of asks for it
};

// Limits on what a request may ask for; ranges that OpenAI gives are the api's to check.
inline constexpr uint32_t kChoicesMax = 128;
inline constexpr uint32_t kLogprobsMax = 20;
inline constexpr size_t kLogitBiasMax = 1024;
inline constexpr size_t kStopStringsMax = 64;
inline constexpr size_t kStopStringBytesMax = 1024;
inline constexpr size_t kStopTokensMax = 256;
inline constexpr float kTemperatureMax = 100.0f;
inline constexpr float kPenaltyMax = 100.0f;
inline constexpr float kLogitBiasAbsMax = 100.0f;

// Refuses, naming the field, what no sampler could honour: numbers that are not finite or out of
// range, too many of something, tokens that do not exist.
Result<void> validate(const chat::SamplingParams& params, uint32_t token_ids_end);

// Memory that sampling needs and that outlives one call, one for each thread that samples.
struct SamplerScratch {
    std::vector<float> weights;
    std::vector<float> adjusted;
    std::vector<TokenId> candidates;

    // So that no call allocates for rows of so many logits.
    void reserve(size_t vocabulary);
    static uint64_t bytes(uint64_t vocabulary) {
        return vocabulary * (2 * sizeof(float) + sizeof(TokenId));
    }
};

// Chooses the tokens of one choice of one request. In this order, which is vLLM's but for bias and
// penalties (there bias comes first; here a bias is what it says, never scaled by a penalty):
//
//   1. token ids that the tokenizer does not have are as if they were not there
//   2. repetition penalty (tokens of prompt and answer; Keskar et al. 2019: positive logits are
//      divided, negative ones multiplied), then frequency and presence penalty (answer only)
//   3. logit bias
//   4. temperature 0 (below 1e-5): the largest logit, ties to the smallest token id
//   5. otherwise: divide by the temperature; min-p; top-k; top-p over what top-k left
//   6. draw: the tokens that are left, in order of token id, share [0, 1) by their probabilities;
//      the one that holds keyed_uniform(seed, choice, position) is chosen
//
// Every sum and sort has one fixed order, so the result is a function of the row and the
// parameters.
//
// Threads: one. Ownership: values only.
class Sampler {
  public:
    // `params` have passed validate(). `prompt` counts for the repetition penalty.
    Sampler(const chat::SamplingParams& params, uint64_t seed, uint32_t choice,
            uint32_t token_ids_end, std::span<const TokenId> prompt);

    // Draws the token for `position` (its index in prompt and answer together) and counts it as
    // said. `logits` is the model's row; it is changed. Errors: Internal if the row is not finite.
    Result<SampledToken> sample(std::span<float> logits, uint64_t position,
                                SamplerScratch& scratch);

  private:
    void adjust(std::span<float> logits) const;

    float temperature_;
    float top_p_;
    uint32_t top_k_;  // 0: all
    float min_p_;
    float repetition_penalty_;
    float presence_penalty_;
    float frequency_penalty_;
    std::vector<std::pair<TokenId, float>> logit_bias_;
    std::optional<uint32_t> logprobs_;
    bool rank_by_logprob_;
    uint64_t seed_;
    uint32_t choice_;
    uint32_t token_ids_end_;
    bool counts_;  // a penalty is set
    struct Seen {
        bool in_prompt = false;
        uint32_t in_answer = 0;
    };
    std::unordered_map<TokenId, Seen> seen_;  // only if a penalty is set; order never matters
};

// Of `token` and the `top_count` most probable, under `logits` (one row, cut to token_ids_end).
// Errors: Internal if the row is not finite.
Result<TokenLogprobs> raw_logprobs(std::span<const float> logits, TokenId token, uint32_t top_count,
                                   SamplerScratch& scratch);

}  // namespace weir::engine
