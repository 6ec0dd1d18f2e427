#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/result.h"
#include "engine/generation.h"
#include "kv/kv_cache.h"
#include "model/model.h"

namespace weir::engine {

// How the engine batches. Read once at start.
struct EngineConfig {
    uint64_t kv_bytes = uint64_t{1} << 30;  // blocks and recurrent slots together
    uint32_t sequences_max = 32;            // computed together in one step
    uint32_t context_tokens = 0;            // 0: as long as the model and the memory allow
    std::chrono::milliseconds inter_token_target{200};
    std::chrono::milliseconds prompt_step_target{500};
    uint32_t prompt_tokens_min = 32;  // a step's share for prompts, whatever it costs
    uint32_t batch_tokens_max = 0;    // 0: as many as the model's activations hold
    // Rows of logits kept for prompts whose log probabilities are wanted, beside one a sequence.
    uint32_t prompt_logit_rows = 32;
    uint32_t waiting_max = 1024;  // sequences (choices) in the engine that do not run yet
    std::chrono::milliseconds queue_wait_max{60'000};  // then the client gets 503
    // Recurrent models: how often the state is kept while a prompt is read.
    uint32_t checkpoint_tokens = 512;
    uint32_t token_ids_end = 0;  // the tokenizer's size; 0: the model's vocabulary
    std::string model_key;       // names weights and adapter in the prefix cache
};

// What `weir show` prints before loading, exactly.
struct MemoryPlan {
    kv::KvLimits limits;
    uint64_t kv_bytes = 0;        // reserved for blocks and slots
    uint64_t logits_bytes = 0;    // reserved for rows of logits
    uint32_t kv_tokens = 0;       // the longest sequence that the blocks hold
    uint32_t context_tokens = 0;  // the longest sequence that is accepted
};

// Errors: InvalidArgument, naming the field, for a configuration that can not work (`kv_bytes` too
// small for one block a group).
Result<MemoryPlan> plan_memory(const model::ModelInfo& info, const kv::StateSpec& spec,
                               uint32_t model_batch_tokens_max, const EngineConfig& config);

// Continuous batching over one model.
//
// Threads: one owns all state (the engine's own after run(), or the caller of step()); submit(),
// context_tokens() and shutdown() may be called from any. Ownership: borrows the model and the
// clock, owns the KV cache. Invariant: a generation's tokens are a function of the model, its
// prompt, its parameters and its seed; never of what else runs.
class Engine {
  public:
    static Result<std::unique_ptr<Engine>> create(model::Model& model, const EngineConfig& config,
                                                  const Clock& clock, metrics::Registry& registry);
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;
    ~Engine();  // cancels and joins

    // Hands a generation over; its sink hears the rest. Errors, and then the sink hears nothing:
    // InvalidArgument (the prompt and what is asked for can never fit: reason
    // context_length_exceeded), Overloaded (the queue is full), Unavailable (shutting down).
    Result<void> submit(Generation generation, std::shared_ptr<GenerationSink> sink,
                        std::stop_token cancel);

    const MemoryPlan& memory() const;
    uint32_t context_tokens() const { return memory().context_tokens; }
    uint32_t token_ids_end() const;

    void run();  // starts the engine's thread; it parks while there is nothing to do
    // Refuses new work, lets what runs finish until `drain` is over, then cancels it and joins.
    void shutdown(std::chrono::milliseconds drain);

    // One turn: admit, plan, compute, record. False: there was nothing to do. Only without run().
    bool step();
    kv::KvUsage kv_usage() const;                 // only without run()
    const kv::PrefixStats& prefix_stats() const;  // only without run()
    void drop_prefixes();                         // only without run()
    // As if memory had run out: whoever runs gives its blocks back and waits again. Only without
    // run(); for tests of promise 2.
    void preempt_all();
    // only without run()

  private:
    struct Impl;
    explicit Engine(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace weir::engine
