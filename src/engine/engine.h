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

namespace weir::kernels {
class ThreadPool;
}

namespace weir::engine {

// OpenAI's code for a prompt that does not fit; Error.reason.
inline constexpr const char* kContextLengthExceeded = "context_length_exceeded";

// How the engine batches. Read once at start.
struct EngineConfig {
    uint64_t kv_bytes = uint64_t{1} << 30;  // blocks and recurrent slots together
    uint32_t sequences_max = 32;            // computed together in one step
    // What a sequence says, and a quarter of its length at least, before it lends its place to
    // somebody who waits for one.
    uint32_t turn_tokens = 64;
    uint32_t context_tokens = 0;  // 0: as long as the model and the memory allow
    std::chrono::milliseconds inter_token_target{200};
    std::chrono::milliseconds prompt_step_target{500};
    uint32_t prompt_tokens_min = 32;  // a step's share for prompts, whatever it costs
    uint32_t batch_tokens_max = 0;    // 0: as many as the model's activations hold
    // Rows of logits kept for prompts whose log probabilities are wanted, beside one a sequence.
    uint32_t prompt_logit_rows = 32;
    uint32_t waiting_max = 1024;  // sequences (choices) in the engine that do not run yet
    std::chrono::milliseconds queue_wait_max{60'000};  // then the client gets 503
    // Recurrent models: after how many tokens of a long text the state is kept for the first time,
    // then after twice as many, and so on.
    uint32_t checkpoint_tokens = 512;
    // Recurrent models: copies of the state, of running sequences and kept ones; part of kv_bytes.
    uint32_t recurrent_slots = 0;  // 0: a share of kv_bytes
    uint32_t token_ids_end = 0;    // the tokenizer's size; 0: the model's vocabulary
    std::string model_key;         // names weights and adapter in the prefix cache
    uint32_t threads = 1;          // that sample side by side, where there is a pool
};

// What `weir show` prints before loading, exactly.
struct MemoryPlan {
    kv::KvLimits limits;
    uint64_t kv_bytes = 0;        // reserved for blocks and slots
    uint64_t kv_table_bytes = 0;  // at most, for the tables beside them
    uint64_t logits_bytes = 0;    // reserved for rows of logits
    uint64_t sampling_bytes = 0;  // reserved for choosing tokens
    uint32_t kv_tokens = 0;       // the longest sequence that the blocks hold
    uint32_t context_tokens = 0;  // the longest sequence that is accepted

    friend bool operator==(const MemoryPlan&, const MemoryPlan&) = default;
};

// Errors: InvalidArgument, naming the field, for a configuration that can not work (`kv_bytes` too
// small for one block a group).
Result<MemoryPlan> plan_memory(const model::ModelInfo& info, const kv::StateSpec& spec,
                               uint32_t model_batch_tokens_max, const EngineConfig& config);

// Continuous batching over one model.
//
// Threads: one owns all state (the engine's own after run(), or the caller of step()); submit(),
// context_tokens() and shutdown() may be called from any. Ownership: borrows the model, the pool
// and the clock, owns the KV cache. Invariant: a generation's tokens are a function of the model,
// its prompt, its parameters and its seed; never of what else runs. Whoever was submitted hears
// on_finished or on_failed, also when memory runs out in the middle of something.
class Engine {
  public:
    // `pool`: the model's, which is idle between its passes; null: one thread samples.
    static Result<std::unique_ptr<Engine>> create(model::Model& model, const EngineConfig& config,
                                                  const Clock& clock, metrics::Registry& registry,
                                                  kernels::ThreadPool* pool = nullptr);
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

    // For a caller that takes the turns itself, and for tests: only while the engine has no thread
    // of its own, so before run() or after shutdown(). Asserted.
    //
    // One turn: admit, plan, compute, record. False: there was nothing to do.
    bool step();
    kv::KvUsage kv_usage() const;
    const kv::PrefixStats& prefix_stats() const;
    void drop_prefixes();
    // As if memory had run out: whoever runs gives its blocks back and waits again.
    void preempt_all();

  private:
    struct Impl;
    explicit Engine(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace weir::engine
