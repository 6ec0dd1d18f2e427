#pragma once

#include <string_view>

#include "base/metrics.h"
#include "chat/event.h"
#include "kv/kv_cache.h"

namespace weir::engine {

// The engine's metrics under vLLM's names, so that its dashboards and autoscalers work. What vLLM
// has no name for begins with `weir:`. Times in seconds, sizes in tokens.
//
// Threads: any; set by the engine's. Ownership: borrows the registry's metrics.
struct EngineMetrics {
    explicit EngineMetrics(metrics::Registry& registry);

    // Takes over what the cache has counted.
    void update(const kv::KvUsage& usage, const kv::PrefixStats& stats);
    metrics::Counter& finished(chat::FinishReason reason);

    metrics::Registry& registry;
    metrics::Gauge& requests_running;
    metrics::Gauge& requests_waiting;
    metrics::Gauge& kv_usage;  // 0 to 1
    metrics::Counter& prefix_queries;
    metrics::Counter& prefix_hits;
    metrics::Counter& not_reused_never_seen;
    metrics::Counter& not_reused_partial_block;
    metrics::Counter& not_reused_no_checkpoint;
    metrics::Counter& not_reused_window_passed;
    metrics::Counter& evicted_blocks;
    metrics::Counter& evicted_checkpoints;
    metrics::Gauge& checkpoints;
    metrics::Counter& preemptions;
    metrics::Counter& prompt_tokens;
    metrics::Counter& generation_tokens;
    metrics::Counter& recomputed_tokens;
    metrics::Counter& finished_stop;
    metrics::Counter& finished_length;
    metrics::Counter& finished_abort;
    metrics::Counter& corrupted;
    metrics::Histogram& time_to_first_token;
    metrics::Histogram& inter_token;
    metrics::Histogram& time_per_output_token;
    metrics::Histogram& e2e;
    metrics::Histogram& queue_time;
    metrics::Histogram& prefill_time;
    metrics::Histogram& decode_time;
    metrics::Histogram& inference_time;
    metrics::Histogram& request_prompt_tokens;
    metrics::Histogram& request_generation_tokens;
    metrics::Histogram& request_n;
    metrics::Histogram& request_max_tokens;
    metrics::Histogram& iteration_tokens;
    metrics::Histogram& step_time;
};

}  // namespace weir::engine
