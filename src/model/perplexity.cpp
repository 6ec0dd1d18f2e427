#include "model/perplexity.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kv/kv_cache.h"

namespace weir::model {
namespace {

constexpr uint32_t kRows = 64;  // of logits at a time
constexpr uint32_t kWindowMin = 4;

// -log softmax(row)[token]
double loss_of(std::span<const float> row, TokenId token) {
    const double most = *std::max_element(row.begin(), row.end());
    double sum = 0;
    for (const float logit : row) {
        sum += std::exp(static_cast<double>(logit) - most);
    }
    return most + std::log(sum) - static_cast<double>(row[token]);
}

class Scorer {
  public:
    Scorer(Model& model, kv::KvCache& cache)
        : model_(model),
          cache_(cache),
          vocabulary_(model.info().vocabulary),
          rows_(size_t{kRows} * vocabulary_) {}

    Result<void> add(std::span<const TokenId> window) {
        auto state = cache_.begin({}, window, 0);
        if (!state) {
            return fail(ErrorCode::ResourceExhausted, "no recurrent slot is left");
        }
        const auto size = static_cast<uint32_t>(window.size());
        const uint32_t scored_from = size / 2;  // the first whose next token is scored
        while (state->position() < size - 1) {
            const uint32_t begin = state->position();
            const bool is_scored = begin >= scored_from;
            const uint32_t stop = is_scored ? size - 1 : std::min(scored_from, size - 1);
            const uint32_t most =
                std::min(model_.batch_tokens_max(), is_scored ? kRows : UINT32_MAX);
            const uint32_t count = std::min(stop - begin, most);
            if (!state->reserve(begin + count)) {
                return fail(ErrorCode::ResourceExhausted, "no block is left");
            }
            const SequenceSlice slice{.tokens = window.subspan(begin, count),
                                      .position = begin,
                                      .state = state->view(),
                                      .logits = is_scored ? LogitsWanted::All : LogitsWanted::None,
                                      .rope = model_.info().rope_variant(size)};
            const size_t rows = is_scored ? count : 0;
            WEIR_TRY(model_.forward({&slice, 1}, std::span(rows_).first(rows * vocabulary_)));
            for (size_t i = 0; i < rows; ++i) {
                const double loss = loss_of(std::span(rows_).subspan(i * vocabulary_, vocabulary_),
                                            window[begin + i + 1]);
                if (!std::isfinite(loss)) {
                    return fail(ErrorCode::Internal,
                                "the model's output is not a number; its file may be damaged");
                }
                take(loss);
            }
            state->advance(count);
        }
        ++windows_;
        return {};
    }

    Perplexity result() const {
        const auto count = static_cast<double>(tokens_);
        Perplexity result{.mean_loss = sum_ / count, .tokens = tokens_, .windows = windows_};
        if (tokens_ > 1) {
            const double variance = (squares_ - sum_ * sum_ / count) / (count - 1);
            result.standard_error = std::sqrt(std::max(variance, 0.0) / count);
        }
        return result;
    }

  private:
    void take(double loss) {
        sum_ += loss;
        squares_ += loss * loss;
        ++tokens_;
    }

    Model& model_;
    kv::KvCache& cache_;
    const size_t vocabulary_;
    std::vector<float> rows_;
    double sum_ = 0;
    double squares_ = 0;
    uint64_t tokens_ = 0;
    uint64_t windows_ = 0;
};

}  // namespace

double Perplexity::value() const {
    return std::exp(mean_loss);
}

double Perplexity::value_error() const {
    return value() * standard_error;
}

Result<Perplexity> perplexity(Model& model, std::span<const TokenId> tokens,
                              const PerplexityOptions& options) {
    const uint32_t window = options.window_tokens;
    if (window < kWindowMin || window > model.info().context_tokens) {
        return invalid_argument("window", "a window has {} to {} tokens, not {}", kWindowMin,
                                model.info().context_tokens, window);
    }
    const size_t vocabulary = model.info().vocabulary;
    if (std::ranges::any_of(tokens, [&](TokenId id) { return id >= vocabulary; })) {
        return invalid_argument("text", "a token is not below the model's vocabulary of {}",
                                vocabulary);
    }
    const size_t own = window - (options.first ? 1 : 0);  // of the text, in each window
    const size_t size = std::min(own, tokens.size());
    if (size < kWindowMin) {
        return invalid_argument("text", "the text has {} tokens, too few to be scored",
                                tokens.size());
    }
    const kv::StateSpec& spec = model.state_spec();
    WEIR_TRY_ASSIGN(
        const auto cache,
        kv::KvCache::create(
            spec, {.blocks = static_cast<uint32_t>(kv::worst_case_blocks(spec, window, window)),
                   .recurrent_slots = spec.recurrent_bytes > 0 ? 1u : 0u}));
    Scorer scorer(model, *cache);
    std::vector<TokenId> ids;
    for (size_t begin = 0; begin + size <= tokens.size(); begin += size) {
        ids.clear();
        if (options.first) {
            ids.push_back(*options.first);
        }
        const auto part = tokens.subspan(begin, size);
        ids.insert(ids.end(), part.begin(), part.end());
        WEIR_TRY(scorer.add(ids));
        if (options.progress) {
            options.progress(scorer.result(), tokens.size() / size);
        }
    }
    Perplexity result = scorer.result();
    result.left_out = tokens.size() % size;
    return result;
}

}  // namespace weir::model
