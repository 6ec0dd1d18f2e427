#include "engine/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "base/random.h"

namespace weir::engine {
namespace {

constexpr size_t kLanes = 16;
constexpr size_t kSumBlock = 1024;
constexpr float kGreedyBelow = 1e-5f;  // as vLLM: dividing by less only overflows

// exp(x) for x <= 0, to about 2 units in the last place; 0 below -87. Written so that compilers
// turn loops over it into vector code: 2^n by the exponent bits, 2^f by the Taylor polynomial of
// degree 7 on |f| <= 1/2, whose error there is below 2^-27.
inline float exp_of_nonpositive(float x) {
    const float clamped = x < -87.0f ? -87.0f : x;
    const float t = clamped * 1.44269504088896341f;
    constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number
    const float shifted = t + kRound;
    const float n = shifted - kRound;
    const float f = t - n;
    float p = 1.52527338040598402e-5f;  // ln(2)^k / k!, k = 7 … 1
    p = p * f + 1.54035303933816099e-4f;
    p = p * f + 1.33335581464284434e-3f;
    p = p * f + 9.61812910762847716e-3f;
    p = p * f + 5.55041086648215800e-2f;
    p = p * f + 2.40226506959100712e-1f;
    p = p * f + 6.93147180559945309e-1f;
    p = p * f + 1.0f;
    const auto exponent = std::bit_cast<uint32_t>(shifted) << 23;  // n in the low bits
    const float power = std::bit_cast<float>(exponent + 0x3f800000u);
    return x < -87.0f ? 0.0f : p * power;
}

bool all_finite(std::span<const float> row) {
    uint32_t bad = 0;
    for (const float value : row) {
        const uint32_t exponent = std::bit_cast<uint32_t>(value) & 0x7f800000u;
        bad |= exponent == 0x7f800000u ? 1u : 0u;
    }
    return bad == 0;
}

float largest_of(std::span<const float> row) {
    std::array<float, kLanes> lanes;
    lanes.fill(-std::numeric_limits<float>::infinity());
    size_t i = 0;
    for (; i + kLanes <= row.size(); i += kLanes) {
        for (size_t lane = 0; lane < kLanes; ++lane) {
            lanes[lane] = lanes[lane] < row[i + lane] ? row[i + lane] : lanes[lane];
        }
    }
    float largest = lanes[0];
    for (const float lane : lanes) {
        largest = std::max(largest, lane);
    }
    for (; i < row.size(); ++i) {
        largest = std::max(largest, row[i]);
    }
    return largest;
}

// Sixteen partial sums over at most kSumBlock values, folded in order.
double block_sum(std::span<const float> values) {
    std::array<float, kLanes> lanes{};
    size_t i = 0;
    for (; i + kLanes <= values.size(); i += kLanes) {
        for (size_t lane = 0; lane < kLanes; ++lane) {
            lanes[lane] += values[i + lane];
        }
    }
    double sum = 0;
    for (const float lane : lanes) {
        sum += static_cast<double>(lane);
    }
    for (; i < values.size(); ++i) {
        sum += static_cast<double>(values[i]);
    }
    return sum;
}

double sum_of(std::span<const float> values) {
    double sum = 0;
    for (size_t i = 0; i < values.size(); i += kSumBlock) {
        sum += block_sum(values.subspan(i, std::min(kSumBlock, values.size() - i)));
    }
    return sum;
}

// weights[i] = exp((row[i] - largest) * factor)
void exponentials(std::span<const float> row, float largest, float factor,
                  std::vector<float>& weights) {
    weights.resize(row.size());
    for (size_t i = 0; i < row.size(); ++i) {
        weights[i] = exp_of_nonpositive((row[i] - largest) * factor);
    }
}

// The token ids whose logit is at least largest - depth, for the smallest depth of 2, 4, 8 … that
// `enough` accepts; so sorting sees few of them.
template <typename Enough>
void collect_top(std::span<const float> row, float largest, std::vector<TokenId>& out,
                 const Enough& enough) {
    for (float depth = 2;; depth *= 2) {
        const float least = largest - depth;
        out.clear();
        for (size_t i = 0; i < row.size(); ++i) {
            if (row[i] >= least) {
                out.push_back(static_cast<TokenId>(i));
            }
        }
        if (out.size() == row.size() || enough()) {
            return;
        }
    }
}

// The `count` largest, in falling order, ties by token id. `candidates` contains them.
void keep_largest(std::span<const float> row, size_t count, std::vector<TokenId>& candidates) {
    count = std::min(count, candidates.size());
    const auto order = [row](TokenId a, TokenId b) {
        return row[a] > row[b] || (row[a] == row[b] && a < b);
    };
    std::partial_sort(candidates.begin(), candidates.begin() + static_cast<ptrdiff_t>(count),
                      candidates.end(), order);
    candidates.resize(count);
}

// Of weights in order of token id, the one that holds the point `at` of [0, sum).
TokenId pick(std::span<const float> weights, double at) {
    TokenId last = 0;  // the last with a weight, where rounding leaves the point past the end
    for (size_t begin = 0; begin < weights.size(); begin += kSumBlock) {
        const auto block = weights.subspan(begin, std::min(kSumBlock, weights.size() - begin));
        const double sum = block_sum(block);
        if (at >= sum && begin + kSumBlock < weights.size()) {
            at -= sum;
            for (size_t i = block.size(); sum > 0 && i > 0; --i) {
                if (block[i - 1] > 0) {
                    last = static_cast<TokenId>(begin + i - 1);
                    break;
                }
            }
            continue;
        }
        for (size_t i = 0; i < block.size(); ++i) {
            if (block[i] <= 0) {
                continue;
            }
            last = static_cast<TokenId>(begin + i);
            at -= static_cast<double>(block[i]);
            if (at < 0) {
                return last;
            }
        }
    }
    return last;
}

struct Cuts {
    float temperature;
    float min_p;
    uint32_t top_k;  // 0: all
    float top_p;
};

// The smallest number of the largest weights that reaches top_p of `total`.
void cut_to_mass(std::span<const float> weights, double mass, std::vector<TokenId>& sorted) {
    double sum = 0;
    for (size_t kept = 0; kept < sorted.size(); ++kept) {
        sum += static_cast<double>(weights[sorted[kept]]);
        if (sum >= mass) {
            sorted.resize(kept + 1);
            return;
        }
    }
}

TokenId draw(std::span<const float> row, const Cuts& cuts, double uniform,
             SamplerScratch& scratch) {
    const float largest = largest_of(row);
    std::vector<float>& weights = scratch.weights;
    exponentials(row, largest, 1.0f / cuts.temperature, weights);
    if (cuts.min_p > 0) {  // the largest weight is 1
        for (float& weight : weights) {
            weight = weight < cuts.min_p ? 0.0f : weight;
        }
    }
    const bool cut_k = cuts.top_k > 0 && cuts.top_k < row.size();
    if (!cut_k && cuts.top_p >= 1.0f) {
        return pick(weights, uniform * sum_of(weights));
    }
    std::vector<TokenId>& candidates = scratch.candidates;
    const auto candidate_mass = [&] {
        double mass = 0;
        for (const TokenId id : candidates) {
            mass += static_cast<double>(weights[id]);
        }
        return mass;
    };
    double total = 0;
    if (cut_k) {
        collect_top(row, largest, candidates, [&] { return candidates.size() >= cuts.top_k; });
        keep_largest(row, cuts.top_k, candidates);
        total = candidate_mass();
    } else {
        total = sum_of(weights);
        const double wanted = static_cast<double>(cuts.top_p) * total;
        collect_top(row, largest, candidates, [&] { return candidate_mass() >= wanted; });
        keep_largest(row, candidates.size(), candidates);
    }
    if (cuts.top_p < 1.0f) {
        cut_to_mass(weights, static_cast<double>(cuts.top_p) * total, candidates);
    }
    std::sort(candidates.begin(), candidates.end());
    double at = uniform * candidate_mass();
    TokenId chosen = candidates.front();
    for (const TokenId id : candidates) {
        if (weights[id] <= 0) {
            continue;
        }
        chosen = id;
        at -= static_cast<double>(weights[id]);
        if (at < 0) {
            break;
        }
    }
    return chosen;
}

TokenId first_largest(std::span<const float> row) {
    const float largest = largest_of(row);
    return static_cast<TokenId>(std::find(row.begin(), row.end(), largest) - row.begin());
}

std::unexpected<Error> not_finite() {
    return fail(ErrorCode::Internal, "the model's output is not a number; its file may be damaged");
}

Result<void> check_range(std::string_view field, float value, float low, float high) {
    if (!(value >= low && value <= high)) {  // also catches NaN
        return invalid_argument(field, "{} is not between {} and {}", value, low, high);
    }
    return {};
}

Result<void> validate_tokens(const chat::SamplingParams& params, uint32_t token_ids_end) {
    if (params.logit_bias.size() > kLogitBiasMax) {
        return invalid_argument("logit_bias", "{} tokens, at most {} are allowed",
                                params.logit_bias.size(), kLogitBiasMax);
    }
    for (const auto& [token, bias] : params.logit_bias) {
        if (token >= token_ids_end) {
            return invalid_argument("logit_bias", "there is no token {}; ids end at {}", token,
                                    token_ids_end);
        }
        WEIR_TRY(check_range("logit_bias", bias, -kLogitBiasAbsMax, kLogitBiasAbsMax));
    }
    if (params.stop_token_ids.size() > kStopTokensMax) {
        return invalid_argument("stop_token_ids", "{} tokens, at most {} are allowed",
                                params.stop_token_ids.size(), kStopTokensMax);
    }
    for (const TokenId token : params.stop_token_ids) {
        if (token >= token_ids_end) {
            return invalid_argument("stop_token_ids", "there is no token {}; ids end at {}", token,
                                    token_ids_end);
        }
    }
    return {};
}

}  // namespace

Result<void> validate(const chat::SamplingParams& params, uint32_t token_ids_end) {
    constexpr float kTiny = std::numeric_limits<float>::min();
    WEIR_TRY(check_range("temperature", params.temperature.value_or(1), 0, kTemperatureMax));
    WEIR_TRY(check_range("top_p", params.top_p.value_or(1), kTiny, 1));
    WEIR_TRY(check_range("min_p", params.min_p.value_or(0), 0, 1));
    WEIR_TRY(check_range("repetition_penalty", params.repetition_penalty, 0.01f, kPenaltyMax));
    WEIR_TRY(check_range("presence_penalty", params.presence_penalty, -kPenaltyMax, kPenaltyMax));
    WEIR_TRY(check_range("frequency_penalty", params.frequency_penalty, -kPenaltyMax, kPenaltyMax));
    if (params.choices == 0 || params.choices > kChoicesMax) {
        return invalid_argument("n", "{} is not between 1 and {}", params.choices, kChoicesMax);
    }
    if (params.best_of && (*params.best_of < params.choices || *params.best_of > kChoicesMax)) {
        return invalid_argument("best_of", "{} is not between n = {} and {}", *params.best_of,
                                params.choices, kChoicesMax);
    }
    if (params.logprobs && *params.logprobs > kLogprobsMax) {
        return invalid_argument("logprobs", "{} alternatives, at most {} are allowed",
                                *params.logprobs, kLogprobsMax);
    }
    if (params.stop.size() > kStopStringsMax) {
        return invalid_argument("stop", "{} strings, at most {} are allowed", params.stop.size(),
                                kStopStringsMax);
    }
    for (const std::string& stop : params.stop) {
        if (stop.empty() || stop.size() > kStopStringBytesMax) {
            return invalid_argument("stop", "a string of {} bytes; 1 to {} are allowed",
                                    stop.size(), kStopStringBytesMax);
        }
    }
    return validate_tokens(params, token_ids_end);
}

void SamplerScratch::reserve(size_t vocabulary) {
    weights.reserve(vocabulary);
    adjusted.reserve(vocabulary);
    candidates.reserve(vocabulary);
}

Sampler::Sampler(const chat::SamplingParams& params, uint64_t seed, uint32_t choice,
                 uint32_t token_ids_end, std::span<const TokenId> prompt)
    : temperature_(params.temperature.value_or(1.0f)),
      top_p_(params.top_p.value_or(1.0f)),
      top_k_(params.top_k.value_or(0)),
      min_p_(params.min_p.value_or(0.0f)),
      repetition_penalty_(params.repetition_penalty),
      presence_penalty_(params.presence_penalty),
      frequency_penalty_(params.frequency_penalty),
      logit_bias_(params.logit_bias),
      logprobs_(params.logprobs),
      rank_by_logprob_(params.best_of.value_or(params.choices) > params.choices),
      seed_(seed),
      choice_(choice),
      token_ids_end_(token_ids_end),
      counts_(repetition_penalty_ != 1.0f || presence_penalty_ != 0.0f ||
              frequency_penalty_ != 0.0f) {
    if (repetition_penalty_ != 1.0f) {
        for (const TokenId token : prompt) {
            seen_[token].in_prompt = true;
        }
    }
}

void Sampler::adjust(std::span<float> logits) const {
    constexpr float kLimit = std::numeric_limits<float>::max();
    for (const auto& [token, seen] : seen_) {
        if (token >= logits.size()) {
            continue;
        }
        float logit = logits[token];
        logit = logit > 0 ? logit / repetition_penalty_ : logit * repetition_penalty_;
        if (seen.in_answer > 0) {
            logit -= frequency_penalty_ * static_cast<float>(seen.in_answer) + presence_penalty_;
        }
        logits[token] = std::clamp(logit, -kLimit, kLimit);
    }
    for (const auto& [token, bias] : logit_bias_) {
        logits[token] = std::clamp(logits[token] + bias, -kLimit, kLimit);
    }
}

Result<SampledToken> Sampler::sample(std::span<float> logits, uint64_t position,
                                     SamplerScratch& scratch) {
    const std::span<float> all = logits.first(std::min<size_t>(logits.size(), token_ids_end_));
    if (!all_finite(all)) {
        return not_finite();
    }
    const bool is_greedy = temperature_ < kGreedyBelow;
    SampledToken sampled;
    // The raw row is needed after the choice; a copy only where something changes it.
    const bool wants_raw = logprobs_ || rank_by_logprob_;
    std::span<float> row = all;
    if (wants_raw && (!seen_.empty() || !logit_bias_.empty())) {
        scratch.adjusted.assign(all.begin(), all.end());
        row = scratch.adjusted;
    }
    adjust(row);
    if (is_greedy) {
        sampled.token = first_largest(row);
    } else {
        const Cuts cuts{temperature_, min_p_, top_k_, top_p_};
        sampled.token = draw(row, cuts, keyed_uniform(seed_, choice_, position), scratch);
    }
    if (wants_raw) {
        WEIR_TRY_ASSIGN(TokenLogprobs raw,
                        raw_logprobs(all, sampled.token, logprobs_.value_or(0), scratch));
        sampled.logprob_for_rank = static_cast<double>(raw.logprob);
        if (logprobs_) {
            sampled.logprobs = std::move(raw);
        }
    }
    if (counts_) {
        ++seen_[sampled.token].in_answer;
    }
    return sampled;
}

Result<TokenLogprobs> raw_logprobs(std::span<const float> logits, TokenId token, uint32_t top_count,
                                   SamplerScratch& scratch) {
    if (!all_finite(logits) || token >= logits.size()) {
        return not_finite();
    }
    const float largest = largest_of(logits);
    exponentials(logits, largest, 1.0f, scratch.weights);
    const double log_sum = static_cast<double>(largest) + std::log(sum_of(scratch.weights));
    const auto logprob = [&](TokenId id) {
        return static_cast<float>(static_cast<double>(logits[id]) - log_sum);
    };
    TokenLogprobs result{.logprob = logprob(token)};
    if (top_count > 0) {
        std::vector<TokenId>& top = scratch.candidates;
        collect_top(logits, largest, top, [&] { return top.size() >= top_count; });
        keep_largest(logits, top_count, top);
        result.top.reserve(top.size());
        for (const TokenId id : top) {
            result.top.emplace_back(id, logprob(id));
        }
    }
    return result;
}

}  // namespace weir::engine
