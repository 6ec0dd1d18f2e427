#include "engine/testing/promise2.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string_view>
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

    // What was seen to happen to it: a scenario that did not take place proves nothing.
    uint32_t steps = 0;         // passes that gave it a token
    uint32_t shared_steps = 0;  // of them, with others in the batch
    uint32_t preempted_while_reading = 0;
    uint32_t preempted_while_answering = 0;
    uint64_t taken_away = 0;  // blocks evicted and sequences preempted, by anybody
};

// Knows how many sequences the last pass computed together.
class CountingModel final : public model::Model {
  public:
    explicit CountingModel(model::Model& model) : model_(model) {}
    const model::ModelInfo& info() const override { return model_.info(); }
    const kv::StateSpec& state_spec() const override { return model_.state_spec(); }
    uint32_t batch_tokens_max() const override { return model_.batch_tokens_max(); }
    Result<void> forward(std::span<const model::SequenceSlice> batch,
                         std::span<float> logits) override {
        slices = batch.size();
        return model_.forward(batch, logits);
    }
    size_t slices = 0;

  private:
    model::Model& model_;
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

    // Blocks for one and a half of the longest, for four at once: most of what is cached is
    // evicted, and now and then somebody is preempted.
    EngineConfig tight_config(const model::Model& model) const {
        const kv::StateSpec& spec = model.state_spec();
        EngineConfig tight = config(model, 7);
        tight.sequences_max = 4;
        tight.turn_tokens = 2;
        const uint32_t longest = std::max(options_.prompt_tokens + options_.answer_tokens,
                                          options_.other_tokens_max + 2 * options_.answer_tokens);
        const uint64_t blocks = kv::worst_case_blocks(spec, longest, tight.batch_tokens_max);
        tight.kv_bytes = blocks * kv::pool_block_bytes(spec) +
                         (spec.recurrent_bytes + 64) * 5 * tight.sequences_max;
        return tight;
    }

    enum class Beside : uint8_t { Nobody, Others };
    enum class Cache : uint8_t { Cold, Warm };
    // Everybody loses their blocks, once while it reads and after every second token of its answer;
    // with Forget also what the tree kept of them.
    enum class Preempt : uint8_t { Never, Keep, Forget };

    Result<Answer> run(model::Model& model, const EngineConfig& config, Beside beside,
                       Cache cache = Cache::Cold, Preempt preempt = Preempt::Never) {
        CountingModel counting(model);
        metrics::Registry registry;
        WEIR_TRY_ASSIGN(auto engine, Engine::create(counting, config, system_clock(), registry));
        Run scene{*engine, counting, registry};
        if (cache == Cache::Warm) {
            WEIR_TRY_ASSIGN(const Answer first, run_in(scene, Beside::Nobody, Preempt::Never));
        }
        return run_in(scene, beside, preempt);
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

    struct Run {
        Engine& engine;
        const CountingModel& model;
        metrics::Registry& registry;

        uint64_t counted(std::string_view name) { return registry.counter(name, "").value(); }
        uint64_t preemptions() { return counted("vllm:num_preemptions"); }
    };

    Result<Answer> run_in(Run& scene, Beside beside, Preempt preempt) {
        std::vector<std::shared_ptr<RecordingSink>> others;
        const auto sink = std::make_shared<RecordingSink>(1);
        const auto& said = sink->choices()[0];
        Answer answer;
        bool is_submitted = false;
        size_t next = 0;
        size_t said_at_preemption = 0;
        for (int step = 0; step < kStepsMax; ++step) {
            // A few others before it, the rest while it runs.
            const bool may_add = beside == Beside::Others && next < others_.size();
            if (may_add) {
                others.push_back(std::make_shared<RecordingSink>(1));
                WEIR_TRY(scene.engine.submit(others_[next++], others.back(), {}));
            }
            if (!is_submitted && (next == others_.size() / 2 || !may_add)) {
                WEIR_TRY(scene.engine.submit(watched_, sink, {}));
                is_submitted = true;
            }
            if (preempt != Preempt::Never &&
                (step == 2 || said.tokens.size() >= said_at_preemption + 2)) {
                const uint64_t before = scene.preemptions();
                scene.engine.preempt_all();
                said_at_preemption = said.tokens.size();
                if (scene.preemptions() > before && !sink->is_over()) {
                    ++(said.tokens.empty() ? answer.preempted_while_reading
                                           : answer.preempted_while_answering);
                }
            }
            if (preempt == Preempt::Forget) {
                scene.engine.drop_prefixes();
            }
            const size_t rows = said.logits.size();
            if (!scene.engine.step() && sink->is_over() && !may_add) {
                break;
            }
            if (said.logits.size() > rows) {
                ++answer.steps;
                answer.shared_steps += scene.model.slices > 1 ? 1 : 0;
            }
        }
        if (sink->error()) {
            return std::unexpected(*sink->error());
        }
        if (!sink->is_over()) {
            return weir::fail(ErrorCode::DeadlineExceeded, "no answer after {} steps", kStepsMax);
        }
        answer.tokens = said.tokens;
        answer.logits = said.logits;
        answer.cached_tokens = sink->usage()->cached_tokens;
        answer.taken_away = scene.preemptions() + scene.counted("weir:prefix_blocks_evicted");
        return answer;
    }

    const Promise2Options options_;
    std::mt19937_64 random_;
    const uint32_t vocabulary_;
    Generation watched_;
    std::vector<Generation> others_;
};

}  // namespace

namespace {

using Beside = Scenarios::Beside;
using Cache = Scenarios::Cache;
using Preempt = Scenarios::Preempt;

// What one scenario needs to have shown, beside the same answer.
std::optional<std::string> not_seen(const Answer& answer, Beside beside, Cache cache) {
    if (cache == Cache::Warm && answer.cached_tokens == 0) {
        return "nothing was found in the cache";
    }
    if (beside == Beside::Others && answer.shared_steps * 2 < answer.steps) {
        return fmt::format("only {} of {} steps were shared with others", answer.shared_steps,
                           answer.steps);
    }
    return std::nullopt;
}

Result<std::optional<std::string>> first_difference_of(Scenarios& scenarios, const Answer& alone,
                                                       model::Model& model) {
    for (const uint32_t chunk : {1u, 7u, 512u}) {
        for (const Beside beside : {Beside::Nobody, Beside::Others}) {
            for (const Cache cache : {Cache::Cold, Cache::Warm}) {
                WEIR_TRY_ASSIGN(
                    const Answer answer,
                    scenarios.run(model, scenarios.config(model, chunk), beside, cache));
                auto wrong = compare(alone, answer);
                wrong = wrong ? wrong : not_seen(answer, beside, cache);
                if (wrong) {
                    return fmt::format("chunks of {}, {}, {} prefix cache: {}", chunk,
                                       beside == Beside::Nobody ? "alone" : "among others",
                                       cache == Cache::Warm ? "warm" : "cold", *wrong);
                }
            }
        }
    }
    for (const Preempt preempt : {Preempt::Keep, Preempt::Forget}) {
        WEIR_TRY_ASSIGN(const Answer answer, scenarios.run(model, scenarios.config(model, 7),
                                                           Beside::Nobody, Cache::Cold, preempt));
        if (const auto difference = compare(alone, answer)) {
            return "preempted: " + *difference;
        }
        if (answer.preempted_while_reading == 0 || answer.preempted_while_answering == 0) {
            return fmt::format("preempted: {} times while it read, {} while it answered",
                               answer.preempted_while_reading, answer.preempted_while_answering);
        }
    }
    WEIR_TRY_ASSIGN(const Answer squeezed,
                    scenarios.run(model, scenarios.tight_config(model), Beside::Others));
    if (const auto difference = compare(alone, squeezed)) {
        return "with little memory: " + *difference;
    }
    if (squeezed.taken_away == 0) {
        return "with little memory: nobody lost a block";
    }
    return std::nullopt;
}

}  // namespace

Result<std::optional<std::string>> first_difference(model::Model& model,
                                                    const Promise2Options& options,
                                                    model::Model* other_threads) {
    Scenarios scenarios(options, model.info().vocabulary);
    WEIR_TRY_ASSIGN(const Answer alone,
                    scenarios.run(model, scenarios.config(model, 512), Beside::Nobody));
    WEIR_TRY_ASSIGN(auto difference, first_difference_of(scenarios, alone, model));
    if (!difference && other_threads != nullptr) {
        WEIR_TRY_ASSIGN(difference, first_difference_of(scenarios, alone, *other_threads));
        if (difference) {
            difference = "other threads: " + *difference;
        }
    }
    return difference;
}

}  // namespace weir::engine::testing
