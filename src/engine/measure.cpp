#include "engine/measure.h"

#include <algorithm>
#include <random>

#include "base/metrics.h"
#include "engine/engine.h"

namespace weir::engine {
namespace {

// Ends are noted by the clock as the engine tells them.
class TimingSink final : public GenerationSink {
  public:
    explicit TimingSink(const Clock& clock) : clock_(clock) {}
    void on_started() override {}
    Verdict on_token(uint32_t, const SampledToken&) override {
        const auto now = clock_.now();
        first = tokens == 0 ? now : first;
        last = now;
        ++tokens;
        return Verdict::Continue;
    }
    void on_choice_finished(uint32_t, chat::FinishReason) override {}
    void on_finished(const chat::Usage&) override {}
    void on_failed(const Error& why) override { error = why; }

    uint32_t tokens = 0;
    Clock::TimePoint first;
    Clock::TimePoint last;
    std::optional<Error> error;

  private:
    const Clock& clock_;
};

class Measurer {
  public:
    Measurer(model::Model& model, const MeasureOptions& options, const Clock& clock)
        : options_(options), clock_(clock), vocabulary_(model.info().vocabulary) {}

    Result<std::unique_ptr<Engine>> make_engine(model::Model& model) {
        const uint32_t most = *std::max_element(options_.batches.begin(), options_.batches.end());
        const kv::StateSpec& spec = model.state_spec();
        const uint64_t tokens = options_.prompt_tokens + 1 +
                                uint64_t{most} * (options_.decode_prompt + options_.decode_tokens);
        const uint64_t blocks = tokens / spec.block_tokens + 2 * (uint64_t{most} + 1);
        EngineConfig config;
        config.kv_bytes = blocks * spec.groups.size() * kv::pool_block_bytes(spec) +
                          (spec.recurrent_bytes + 64) * 8 * most;
        config.sequences_max = most;
        config.prompt_logit_rows = 0;
        // Throughput is measured, not a step's latency.
        config.prompt_step_target = std::chrono::hours{1};
        config.inter_token_target = std::chrono::hours{1};
        return Engine::create(model, config, clock_, registry_);
    }

    Result<double> prefill(Engine& engine) {
        engine.drop_prefixes();
        WEIR_TRY_ASSIGN(const auto sink, submit(engine, options_.prompt_tokens, 1));
        const auto begun = clock_.now();
        while (engine.step()) {
        }
        WEIR_TRY(check(*sink));
        return options_.prompt_tokens / std::chrono::duration<double>(sink->first - begun).count();
    }

    Result<double> decode(Engine& engine, uint32_t batch) {
        engine.drop_prefixes();
        std::vector<std::shared_ptr<TimingSink>> sinks;
        for (uint32_t i = 0; i < batch; ++i) {
            WEIR_TRY_ASSIGN(auto sink,
                            submit(engine, options_.decode_prompt, options_.decode_tokens));
            sinks.push_back(std::move(sink));
        }
        const auto everybody_decodes = [&] {
            return std::all_of(sinks.begin(), sinks.end(),
                               [](const auto& sink) { return sink->tokens > 0; });
        };
        while (!everybody_decodes() && engine.step()) {
        }
        const auto begun = clock_.now();
        uint32_t before = 0;
        for (const auto& sink : sinks) {
            before += sink->tokens;
        }
        while (engine.step()) {
        }
        uint32_t after = 0;
        Clock::TimePoint end = begun;
        for (const auto& sink : sinks) {
            WEIR_TRY(check(*sink));
            after += sink->tokens;
            end = std::max(end, sink->last);
        }
        return (after - before) / std::chrono::duration<double>(end - begun).count();
    }

  private:
    Result<std::shared_ptr<TimingSink>> submit(Engine& engine, uint32_t prompt_tokens,
                                               uint32_t tokens_max) {
        Generation generation;
        generation.prompts.resize(1);
        for (uint32_t i = 0; i < prompt_tokens; ++i) {
            generation.prompts[0].push_back(static_cast<TokenId>(random_() % vocabulary_));
        }
        generation.sampling.temperature = 0.0f;
        generation.sampling.tokens_max = tokens_max;
        auto sink = std::make_shared<TimingSink>(clock_);
        WEIR_TRY(engine.submit(std::move(generation), sink, {}));
        return sink;
    }

    static Result<void> check(const TimingSink& sink) {
        if (sink.error) {
            return std::unexpected(*sink.error);
        }
        if (sink.tokens == 0) {
            return weir::fail(ErrorCode::Internal, "no token came");
        }
        return {};
    }

    const MeasureOptions& options_;
    const Clock& clock_;
    const uint32_t vocabulary_;
    metrics::Registry registry_;
    std::mt19937_64 random_{1};
};

}  // namespace

Result<Speed> measure(model::Model& model, const MeasureOptions& options, const Clock& clock) {
    if (options.batches.empty() || std::ranges::count(options.batches, 0u) > 0 ||
        options.prompt_tokens == 0 || options.decode_prompt == 0 || options.decode_tokens < 2) {
        return invalid_argument("batches", "nothing to measure");
    }
    Measurer measurer(model, options, clock);
    WEIR_TRY_ASSIGN(const auto engine, measurer.make_engine(model));
    Speed speed;
    for (const uint32_t batch : options.batches) {
        speed.decode.push_back({.batch = batch});
    }
    for (uint32_t round = 0; round < options.rounds; ++round) {
        WEIR_TRY_ASSIGN(const double prefill, measurer.prefill(*engine));
        speed.prefill_tokens_per_second.push_back(prefill);
        for (DecodeSpeed& decode : speed.decode) {
            WEIR_TRY_ASSIGN(const double tokens_per_second, measurer.decode(*engine, decode.batch));
            decode.tokens_per_second.push_back(tokens_per_second);
        }
    }
    return speed;
}

}  // namespace weir::engine
