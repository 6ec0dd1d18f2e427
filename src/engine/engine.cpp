#include "engine/engine.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mutex.h"
#include "engine/core.h"

namespace weir::engine {
namespace {

// Of the KV memory, what recurrent checkpoints may take at most, beside one slot a sequence.
constexpr uint64_t kCheckpointShare = 4;
constexpr uint32_t kCheckpointsPerSequence = 4;

uint64_t default_slots(uint64_t slot_bytes, uint32_t sequences_max, uint64_t kv_bytes) {
    const uint64_t checkpoints =
        std::min<uint64_t>(kv_bytes / kCheckpointShare / slot_bytes,
                           uint64_t{kCheckpointsPerSequence} * sequences_max);
    return sequences_max + checkpoints;
}

Result<kv::KvLimits> divide_memory(const kv::StateSpec& spec, const EngineConfig& config,
                                   uint32_t sequences_max) {
    kv::KvLimits limits;
    uint64_t left = config.kv_bytes;
    if (spec.recurrent_bytes > 0) {
        WEIR_TRY_ASSIGN(const uint64_t slot, kv::reserved_bytes(spec, {.recurrent_slots = 1}));
        const uint64_t slots = config.recurrent_slots == 0
                                   ? default_slots(slot, sequences_max, config.kv_bytes)
                                   : config.recurrent_slots;
        if (slots > left / slot) {
            return invalid_argument("kv_bytes", "{} bytes do not hold {} recurrent states of {}",
                                    config.kv_bytes, slots, slot);
        }
        limits.recurrent_slots = static_cast<uint32_t>(slots);
        left -= slots * slot;
    }
    if (!spec.groups.empty()) {
        limits.blocks = static_cast<uint32_t>(
            std::min<uint64_t>(left / kv::pool_block_bytes(spec), UINT32_MAX / 2));
    }
    return limits;
}

// The longest sequence, up to `most`, that the blocks hold.
uint32_t longest_sequence(const kv::StateSpec& spec, const kv::KvLimits& limits,
                          uint32_t batch_tokens_max, uint32_t most) {
    uint32_t low = 0;
    uint32_t high = most;
    while (low < high) {
        const uint32_t middle = high - (high - low) / 2;
        if (kv::worst_case_blocks(spec, middle, batch_tokens_max) <= limits.blocks) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low;
}

}  // namespace

Result<MemoryPlan> plan_memory(const model::ModelInfo& info, const kv::StateSpec& spec,
                               uint32_t model_batch_tokens_max, const EngineConfig& config) {
    WEIR_TRY(kv::validate(spec));
    const SchedulerConfig limits = scheduler_config(config, spec, model_batch_tokens_max);
    WEIR_TRY(limits.validate());
    MemoryPlan plan;
    WEIR_TRY_ASSIGN(plan.limits, divide_memory(spec, config, limits.sequences_max));
    WEIR_TRY_ASSIGN(plan.kv_bytes, kv::reserved_bytes(spec, plan.limits));
    plan.kv_table_bytes = kv::table_bytes(spec, plan.limits);
    const auto logits =
        checked_mul(uint64_t{limits.logit_rows_max} * sizeof(float), info.vocabulary);
    if (!logits) {
        return invalid_argument("prompt_logit_rows", "the rows do not fit any memory");
    }
    plan.logits_bytes = *logits;
    plan.sampling_bytes =
        uint64_t{std::max(config.threads, 1u)} * SamplerScratch::bytes(info.vocabulary);
    const uint32_t wanted = config.context_tokens == 0
                                ? info.context_tokens
                                : std::min(config.context_tokens, info.context_tokens);
    plan.kv_tokens =
        longest_sequence(spec, plan.limits, limits.batch_tokens_max, info.context_tokens);
    plan.context_tokens = std::min(wanted, plan.kv_tokens);
    if (plan.context_tokens < 2) {
        return invalid_argument("kv_bytes", "{} bytes do not hold a sequence of two tokens",
                                config.kv_bytes);
    }
    return plan;
}

struct Engine::Impl {
    Impl(model::Model& model, const EngineConfig& engine_config, const MemoryPlan& memory_plan,
         std::unique_ptr<kv::KvCache> kv, const Clock& used_clock, metrics::Registry& registry,
         kernels::ThreadPool* pool)
        : config(engine_config),
          memory(memory_plan),
          vocabulary(model.info().vocabulary),
          clock(used_clock),
          core(model, engine_config, memory_plan, std::move(kv), used_clock,
               EngineMetrics(registry), pool) {}

    // The engine's thread: steps while there is something to do, then parks.
    void loop() {
        for (;;) {
            {
                const MutexLock lock(mutex);
                while (inbox.empty() && !cancel_all && !closing && core.is_idle()) {
                    wake.wait(mutex);
                }
                if (cancel_all || (closing && inbox.empty() && core.is_idle())) {
                    break;
                }
            }
            turn();
        }
        end_all();
        const MutexLock lock(mutex);
        stopped = true;
        drained.notify_all();
    }

    bool turn() {
        std::vector<Arrival> arrivals;
        {
            const MutexLock lock(mutex);
            arrivals.swap(inbox);
        }
        bool did_something = false;
        for (Arrival& arrival : arrivals) {
            admit(std::move(arrival));
        }
        try {
            did_something = core.step();
        } catch (const std::exception& exception) {
            // Only memory can run out here. Whoever runs ends; the engine goes on.
            core.fail_running(out_of_memory());
            log_exception(exception);
            did_something = true;
        }
        const size_t waiting_now = core.waiting();
        const MutexLock lock(mutex);
        waiting = waiting_now;
        for (const Arrival& arrival : inbox) {
            waiting += arrival.generation.choice_count();
        }
        return did_something;
    }

    // An arrival that finds no memory ends alone; those behind it are admitted all the same.
    void admit(Arrival arrival) {
        const std::shared_ptr<GenerationSink> sink = arrival.sink;
        try {
            core.admit(std::move(arrival));
        } catch (const std::exception& exception) {
            tell_failed(*sink, out_of_memory());
            log_exception(exception);
        }
    }

    void assert_no_thread() const { WEIR_ASSERT(!thread.joinable()); }

    void end_all() {
        std::vector<Arrival> arrivals;
        {
            const MutexLock lock(mutex);
            arrivals.swap(inbox);
        }
        const Error error = make_error(ErrorCode::Unavailable, "the engine is shutting down");
        for (const Arrival& arrival : arrivals) {
            tell_failed(*arrival.sink, error);
        }
        core.fail_all(error);
    }

    Result<void> check(const Generation& generation) const;

    const EngineConfig config;
    const MemoryPlan memory;
    const uint32_t vocabulary;
    const Clock& clock;
    Core core;  // the engine's thread's

    Mutex mutex;
    Condition wake;
    Condition drained;
    std::vector<Arrival> inbox WEIR_GUARDED_BY(mutex);
    size_t waiting WEIR_GUARDED_BY(mutex) = 0;  // sequences that do not run, inbox included
    bool closing WEIR_GUARDED_BY(mutex) = false;
    bool cancel_all WEIR_GUARDED_BY(mutex) = false;
    bool stopped WEIR_GUARDED_BY(mutex) = false;
    std::thread thread;  // of the caller of run() and shutdown()
};

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<Engine>> Engine::create(model::Model& model, const EngineConfig& config,
                                               const Clock& clock, metrics::Registry& registry,
                                               kernels::ThreadPool* pool) {
    if (config.token_ids_end > model.info().vocabulary) {
        return invalid_argument("token_ids_end", "the tokenizer has {} tokens, the model {}",
                                config.token_ids_end, model.info().vocabulary);
    }
    WEIR_TRY_ASSIGN(const MemoryPlan plan, plan_memory(model.info(), model.state_spec(),
                                                       model.batch_tokens_max(), config));
    WEIR_TRY_ASSIGN(auto kv, kv::KvCache::create(model.state_spec(), plan.limits));
    return std::unique_ptr<Engine>(new Engine(
        std::make_unique<Impl>(model, config, plan, std::move(kv), clock, registry, pool)));
}

Engine::~Engine() {
    shutdown(std::chrono::milliseconds{0});
}

const MemoryPlan& Engine::memory() const {
    return impl_->memory;
}

uint32_t Engine::token_ids_end() const {
    return impl_->config.token_ids_end == 0 ? impl_->vocabulary : impl_->config.token_ids_end;
}

Result<void> Engine::Impl::check(const Generation& generation) const {
    const uint32_t ids_end = config.token_ids_end == 0 ? vocabulary : config.token_ids_end;
    WEIR_TRY(validate(generation.sampling, ids_end));
    if (generation.prompts.empty() || generation.choices_each == 0 ||
        generation.choices_each > kChoicesMax ||
        generation.prompts.size() > config.waiting_max / generation.choices_each) {
        return invalid_argument("prompt", "{} prompts of {} choices; {} fit the queue",
                                generation.prompts.size(), generation.choices_each,
                                config.waiting_max);
    }
    if (generation.prompt_logprobs.value_or(0) > kLogprobsMax) {
        return invalid_argument("logprobs", "at most {} are allowed", kLogprobsMax);
    }
    if (generation.prompt_logprobs && config.prompt_logit_rows == 0) {
        return invalid_argument("logprobs", "this model gives none of its prompt");
    }
    for (const auto& prompt : generation.prompts) {
        if (prompt.empty()) {
            return invalid_argument("prompt", "is empty");
        }
        const uint64_t asked = generation.sampling.tokens_max.value_or(1);
        if (prompt.size() + asked > memory.context_tokens) {
            auto refused = invalid_argument(
                "prompt",
                "This model's maximum context length is {} tokens. However, the prompt has {} "
                "tokens and {} more were to be generated.",
                memory.context_tokens, prompt.size(), asked);
            return std::unexpected(std::move(refused).error().with_reason(kContextLengthExceeded));
        }
        for (const TokenId token : prompt) {
            if (token >= ids_end) {
                return invalid_argument("prompt", "there is no token {}; ids end at {}", token,
                                        ids_end);
            }
        }
    }
    return {};
}

Result<void> Engine::submit(Generation generation, std::shared_ptr<GenerationSink> sink,
                            std::stop_token cancel) {
    WEIR_TRY(impl_->check(generation));
    const size_t choices = generation.choice_count();
    Arrival arrival{std::move(generation), std::move(sink), std::move(cancel), impl_->clock.now()};
    {
        const MutexLock lock(impl_->mutex);
        if (impl_->closing) {
            return fail(ErrorCode::Unavailable, "the engine is shutting down");
        }
        if (impl_->waiting + choices > impl_->config.waiting_max) {
            auto error = make_error(ErrorCode::Overloaded, "the inference queue is full");
            error.retry_after = std::chrono::seconds{1};
            return std::unexpected(std::move(error));
        }
        impl_->inbox.push_back(std::move(arrival));
        impl_->waiting += choices;
    }
    impl_->wake.notify_one();
    return {};
}

void Engine::run() {
    impl_->assert_no_thread();
    impl_->thread = std::thread([impl = impl_.get()] { impl->loop(); });
}

void Engine::shutdown(std::chrono::milliseconds drain) {
    {
        const MutexLock lock(impl_->mutex);
        impl_->closing = true;
    }
    if (!impl_->thread.joinable()) {
        impl_->end_all();
        return;
    }
    impl_->wake.notify_one();
    {
        const auto deadline = std::chrono::steady_clock::now() + drain;
        const MutexLock lock(impl_->mutex);
        while (!impl_->stopped && std::chrono::steady_clock::now() < deadline) {
            impl_->drained.wait_for(impl_->mutex, deadline - std::chrono::steady_clock::now());
        }
        impl_->cancel_all = true;
    }
    impl_->wake.notify_one();
    impl_->thread.join();
}

bool Engine::step() {
    impl_->assert_no_thread();
    return impl_->turn();
}
kv::KvUsage Engine::kv_usage() const {
    impl_->assert_no_thread();
    return impl_->core.kv().usage();
}
const kv::PrefixStats& Engine::prefix_stats() const {
    impl_->assert_no_thread();
    return impl_->core.kv().stats();
}
void Engine::preempt_all() {
    impl_->assert_no_thread();
    impl_->core.preempt_all();
}
void Engine::drop_prefixes() {
    impl_->assert_no_thread();
    impl_->core.kv().drop_prefixes();
}

}  // namespace weir::engine
