#pragma once

#include <cstdint>
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

namespace weir::engine {

// A generation on its way to the engine's thread. It has been checked.
struct Arrival {
    Generation generation;
    std::shared_ptr<GenerationSink> sink;
    std::stop_token cancel;
    Clock::TimePoint arrived;
};

// What the engine's thread does and owns: sequences, KV cache, logits. Engine puts a queue and a
// thread around it.
//
// Threads: one. Ownership: borrows the model, clock and metrics.
// Invariant: between two steps a running sequence has at least one token left to compute.
class Core {
  public:
    Core(model::Model& model, const EngineConfig& config, const MemoryPlan& memory,
         std::unique_ptr<kv::KvCache> kv, const Clock& clock, EngineMetrics metrics);
    ~Core();

    void admit(Arrival arrival);
    // One turn: cancelled ones go, then plan, compute, record. False: there was nothing to do.
    bool step();
    void fail_all(const Error& error);
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
    };

    void finish_cancelled();
    BatchPlan make_plan();
    RunningSequence describe_running(const Sequence& sequence, bool memory_is_tight) const;
    WaitingSequence describe_waiting(const Sequence& sequence) const;
    uint32_t slice_max(const Sequence& sequence, uint32_t position) const;
    void apply(const BatchPlan& plan);
    void preempt(Sequence& sequence);
    void begin(Sequence& sequence);
    std::vector<Slice> assemble(const BatchPlan& plan);
    Result<void> compute(std::span<const Slice> slices);
    void record(std::span<const Slice> slices);
    void record_slice(const Slice& slice, std::span<float> rows);
    Result<void> record_prompt_rows(Sequence& sequence, uint32_t position, uint32_t tokens,
                                    std::span<float> rows);
    Result<void> record_token(Sequence& sequence, std::span<float> row);
    void note_token_times(Sequence& sequence);
    void publish(Sequence& sequence);
    void finish(Sequence& sequence, chat::FinishReason reason);
    void fail(const std::shared_ptr<Request>& request, const Error& error);
    kv::PrefixKey prefix_key(const Request& request) const;
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
    std::vector<float> logits_;  // [logit_rows_max, vocabulary]
    SamplerScratch scratch_;
};

// The scheduler's view of an engine's configuration.
SchedulerConfig scheduler_config(const EngineConfig& config, const kv::StateSpec& spec,
                                 uint32_t model_batch_tokens_max);

}  // namespace weir::engine
