#pragma once

#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engine/engine.h"
#include "engine/engine_metrics.h"
#include "engine/generation.h"
#include "engine/sampler.h"
#include "engine/scheduler.h"
#include "kv/kv_cache.h"
#include "model/model.h"

namespace weir::kernels {
class ThreadPool;
}

namespace weir::engine {

// A generation on its way to the engine's thread. It has been checked.
struct Arrival {
    Generation generation;
    std::shared_ptr<GenerationSink> sink;
    std::stop_token cancel;
    Clock::TimePoint arrived;
};

// What is said where an allocation failed.
Error out_of_memory();
// Logs what was caught, if there is memory for it.
void log_exception(const std::exception& exception) noexcept;
// A sink that throws has nobody behind it who could be told.
void tell_failed(GenerationSink& sink, const Error& error) noexcept;

// What the engine's thread does and owns: sequences, KV cache, logits. Engine puts a queue and a
// thread around it. core.cpp has the turn (admit, plan, compute), core_record.cpp what follows from
// the logits (sample, record, end).
//
// Threads: one; sampling spreads over the pool. Ownership: borrows the model, clock, pool and
// metrics.
// Invariant: between two steps a running sequence has at least one token left to compute.
// Invariant: whoever was admitted hears on_finished or on_failed, also when something throws: a
// sequence leaves `sequences_` only after its sink was told, or in fail().
class Core {
  public:
    Core(model::Model& model, const EngineConfig& config, const MemoryPlan& memory,
         std::unique_ptr<kv::KvCache> kv, const Clock& clock, EngineMetrics metrics,
         kernels::ThreadPool* pool);
    ~Core();

    // Takes all of it, or throws and has taken nothing: then its sink has to be told.
    void admit(Arrival arrival);
    // One turn: cancelled ones go, then plan, compute, record. False: there was nothing to do.
    bool step();
    void fail_all(const Error& error);
    // After step() threw: whoever runs ends, and if nobody did, everybody.
    void fail_running(const Error& error);
    void preempt_all();

    bool is_idle() const { return sequences_.empty(); }
    size_t waiting() const;
    kv::KvCache& kv() { return *kv_; }
    size_t vocabulary() const { return vocabulary_; }

  private:
    struct Request;
    struct Sequence;
    struct Slice {
        Sequence* sequence = nullptr;
        uint32_t tokens = 0;
        model::LogitsWanted logits = model::LogitsWanted::None;
        bool samples = false;        // the last row is for a token to be said
        std::span<float> rows = {};  // of logits, once they are computed
    };
    // What a slice's rows say, before anybody hears of it.
    struct Reading {
        Result<void> done;  // Internal: a row is not finite
        std::vector<TokenLogprobs> prompt_logprobs;
        std::optional<SampledToken> sampled;
    };

    void finish_cancelled();
    void end_turns();
    void give_back(Sequence& sequence);
    BatchPlan make_plan();
    RunningSequence describe_running(const Sequence& sequence, bool memory_is_tight) const;
    WaitingSequence describe_waiting(const Sequence& sequence) const;
    std::vector<WaitingSequence> describe_line(size_t length) const;
    void expect_next_turn(Sequence& sequence, uint32_t begin);
    std::vector<kv::SequenceState::Checkpoint> checkpoints(const Sequence& sequence,
                                                           uint32_t end) const;
    void apply(const BatchPlan& plan);
    void preempt(Sequence& sequence);
    void begin(Sequence& sequence);
    std::vector<Slice> assemble(const BatchPlan& plan);
    Result<void> compute(std::span<Slice> slices);
    std::vector<Reading> read_rows(std::span<const Slice> slices);
    Reading read_slice(const Slice& slice, SamplerScratch& scratch) const;
    void record(std::span<const Slice> slices);
    void record_slice(const Slice& slice, Reading reading);
    Result<void> record_token(Sequence& sequence, const SampledToken& sampled);
    void note_token_times(Sequence& sequence);
    void finish(Sequence& sequence, chat::FinishReason reason);
    void fail(const std::shared_ptr<Request>& request, const Error& error);
    model::RopeVariant rope_variant(const Sequence& sequence) const;
    kv::PrefixKey prefix_key(const Sequence& sequence) const;
    Sequence* find(SequenceId id);

    model::Model& model_;
    const EngineConfig config_;
    const uint32_t context_tokens_;
    const uint32_t token_ids_end_;
    const size_t vocabulary_;
    const Clock& clock_;
    EngineMetrics metrics_;
    std::unique_ptr<kv::KvCache> kv_;
    Scheduler scheduler_;
    CostModel cost_;
    std::map<SequenceId, Sequence> sequences_;  // by arrival; its sequences lease from kv_
    uint64_t next_id_ = 0;
    uint64_t next_place_ = 0;
    std::vector<float> logits_;              // [logit_rows_max, vocabulary]
    kernels::ThreadPool* const pool_;        // may be null
    std::vector<SamplerScratch> scratches_;  // one for each that samples side by side
};

// The scheduler's view of an engine's configuration.
SchedulerConfig scheduler_config(const EngineConfig& config, const kv::StateSpec& spec,
                                 uint32_t model_batch_tokens_max);

}  // namespace weir::engine
