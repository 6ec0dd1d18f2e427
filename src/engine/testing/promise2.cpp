#include "engine/testing/promise2.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "engine/engine.h"
#include "engine/testing/recording_sink.h"

namespace weir::engine::testing {
namespace {

constexpr int kStepsMax = 100'000;

struct Answer {
    std::vector<TokenId> tokens;
    std::vector<std::vector<float>> logits;
    uint64_t cached_tokens = 0;
};

std::optional<std::string> compare(const Answer& expected, const Answer& got) {
    const size_t rows = std::min(expected.logits.size(), got.logits.size());
    for (size_t i = 0; i < rows; ++i) {
        const auto& a = expected.logits[i];
        const auto& b = got.logits[i];
        if (a.size() == b.size() &&
            std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0) {
            continue;
        }
        for (size_t id = 0; id < std::min(a.size(), b.size()); ++id) {
            if (std::memcmp(&a[id], &b[id], sizeof(float)) != 0) {
                return fmt::format("logit {} of answer token {}: {:a} alone, {:a} here", id, i,
                                   a[id], b[id]);
            }
        }
    }
    if (expected.tokens != got.tokens || expected.logits.size() != got.logits.size()) {
        return fmt::format("{} tokens and {} rows of logits alone, {} and {} here",
                           expected.tokens.size(), expected.logits.size(), got.tokens.size(),
                           got.logits.size());
    }
    return std::nullopt;
}

class Scenarios {
  public:
    Scenarios(const Promise2Options& options, uint32_t vocabulary)
        : options_(options), random_(options.seed), vocabulary_(vocabulary) {
        watched_ = generation(options.prompt_tokens, options.answer_tokens);
        for (uint32_t i = 0; i < options.others; ++i) {
            others_.push_back(generation(1 + draw(options.other_tokens_max),
                                         1 + draw(2 * options.answer_tokens)));
            if (i % 4 == 0) {  // shares a beginning with the one that is watched
                auto& prompt = others_.back().prompts[0];
                const size_t shared = std::min(prompt.size(), watched_.prompts[0].size());
                std::copy_n(watched_.prompts[0].begin(), shared / 2, prompt.begin());
            }
        }
    }

    EngineConfig config(const model::Model& model, uint32_t chunk) const {
        const kv::StateSpec& spec = model.state_spec();
        EngineConfig config;
        config.sequences_max = options_.others + 1;
        config.batch_tokens_max = std::min(model.batch_tokens_max(), 512u);
        // Time plays no part: exactly `chunk` tokens of prompts a step.
        config.inter_token_target = std::chrono::milliseconds{0};
        config.prompt_step_target = std::chrono::milliseconds{0};
        config.prompt_tokens_min = chunk;
        config.prompt_logit_rows = 0;
        config.kv_bytes = enough_memory(spec);
        config.checkpoint_tokens = spec.block_tokens * 2;
        return config;
    }

    uint64_t enough_memory(const kv::StateSpec& spec) const {
        const uint64_t tokens =
            options_.prompt_tokens + options_.answer_tokens +
            uint64_t{options_.others} * (options_.other_tokens_max + 2 * options_.answer_tokens);
        const uint64_t blocks = tokens / spec.block_tokens + 2 * (options_.others + 1);
        return blocks * spec.groups.size() * kv::pool_block_bytes(spec) +
               (spec.recurrent_bytes + 64) * 8 * (options_.others + 1);
    }

    enum class Beside : uint8_t { Nobody, Others };
    enum class Cache : uint8_t { Cold, Warm };

    Result<Answer> run(model::Model& model, const EngineConfig& config, Beside beside,
                       Cache cache) {
        metrics::Registry registry;
        WEIR_TRY_ASSIGN(auto engine, Engine::create(model, config, system_clock(), registry));
        if (cache == Cache::Warm) {
            WEIR_TRY_ASSIGN(const Answer first, run_in(*engine, Beside::Nobody));
        }
        WEIR_TRY_ASSIGN(Answer answer, run_in(*engine, beside));
        return answer;
    }

    // Every few steps everybody loses their blocks, and with Forget also what the tree kept of
    // them.
    enum class Preempt : uint8_t { Never, Keep, Forget };

    Result<Answer> run_preempted(model::Model& model, Preempt preempt) {
        metrics::Registry registry;
        WEIR_TRY_ASSIGN(auto engine,
                        Engine::create(model, config(model, 512), system_clock(), registry));
        return run_in(*engine, Beside::Nobody, preempt);
    }

  private:
    uint32_t draw(uint32_t below) { return static_cast<uint32_t>(random_() % below); }

    Generation generation(uint32_t prompt_tokens, uint32_t answer_tokens) {
        Generation made;
        made.prompts.resize(1);
        for (uint32_t i = 0; i < prompt_tokens; ++i) {
            made.prompts[0].push_back(draw(vocabulary_));
        }
        made.sampling.tokens_max = answer_tokens;
        made.sampling.temperature = options_.temperature;
        made.sampling.ignore_eos = true;
        made.seed = random_();
        return made;
    }

    Result<Answer> run_in(Engine& engine, Beside beside, Preempt preempt = Preempt::Never) {
        std::vector<std::shared_ptr<RecordingSink>> others;
        const auto sink = std::make_shared<RecordingSink>(1);
        bool is_submitted = false;
        size_t next = 0;
        for (int step = 0; step < kStepsMax; ++step) {
            // A few others before it, the rest while it runs.
            const bool may_add = beside == Beside::Others && next < others_.size();
            if (may_add) {
                others.push_back(std::make_shared<RecordingSink>(1));
                WEIR_TRY(engine.submit(others_[next++], others.back(), {}));
            }
            if (!is_submitted && (next == others_.size() / 2 || !may_add)) {
                WEIR_TRY(engine.submit(watched_, sink, {}));
                is_submitted = true;
            }
            // Who forgets has to read everything again, in slices that end at checkpoints.
            const int period = preempt == Preempt::Forget ? 10 : 3;
            if (preempt != Preempt::Never && step % period == period - 1) {
                engine.preempt_all();
            }
            if (preempt == Preempt::Forget) {
                engine.drop_prefixes();
            }
            if (!engine.step() && sink->is_over() && !may_add) {
                break;
            }
        }
        if (sink->error()) {
            return std::unexpected(*sink->error());
        }
        if (!sink->is_over()) {
            return weir::fail(ErrorCode::DeadlineExceeded, "no answer after {} steps", kStepsMax);
        }
        const auto& choice = sink->choices()[0];
        return Answer{choice.tokens, choice.logits, sink->usage()->cached_tokens};
    }

    const Promise2Options options_;
    std::mt19937_64 random_;
    const uint32_t vocabulary_;
    Generation watched_;
    std::vector<Generation> others_;
};

}  // namespace

Result<std::optional<std::string>> first_difference(model::Model& model,
                                                    const Promise2Options& options,
                                                    model::Model* other_threads) {
    Scenarios scenarios(options, model.info().vocabulary);
    using Beside = Scenarios::Beside;
    using Cache = Scenarios::Cache;
    const EngineConfig at_once = scenarios.config(model, 512);
    WEIR_TRY_ASSIGN(const Answer alone, scenarios.run(model, at_once, Beside::Nobody, Cache::Cold));
    for (model::Model* const each : {&model, other_threads}) {
        if (each == nullptr) {
            continue;
        }
        for (const uint32_t chunk : {1u, 7u, 512u}) {
            for (const Beside beside : {Beside::Nobody, Beside::Others}) {
                for (const Cache cache : {Cache::Cold, Cache::Warm}) {
                    WEIR_TRY_ASSIGN(
                        const Answer answer,
                        scenarios.run(*each, scenarios.config(*each, chunk), beside, cache));
                    const auto name =
                        fmt::format("{} threads, chunks of {}, {}, {} prefix cache",
                                    each == &model ? "same" : "other", chunk,
                                    beside == Beside::Nobody ? "alone" : "among others",
                                    cache == Cache::Warm ? "warm" : "cold");
                    if (const auto difference = compare(alone, answer)) {
                        return name + ": " + *difference;
                    }
                    if (cache == Cache::Warm && answer.cached_tokens == 0) {
                        return name + ": nothing was found in the cache";
                    }
                }
            }
        }
        for (const auto preempt : {Scenarios::Preempt::Keep, Scenarios::Preempt::Forget}) {
            WEIR_TRY_ASSIGN(const Answer answer, scenarios.run_preempted(*each, preempt));
            if (const auto difference = compare(alone, answer)) {
                return "preempted: " + *difference;
            }
        }
    }
    return std::nullopt;
}

}  // namespace weir::engine::testing
