#include "engine/engine_metrics.h"

#include <array>

namespace weir::engine {
namespace {

constexpr std::array kFirstTokenBounds = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06,  0.08, 0.1,
                                          0.25,  0.5,   0.75, 1.0,  2.5,  5.0,   7.5,  10.0,
                                          20.0,  40.0,  80.0, 160., 640., 2560.0};
constexpr std::array kTokenBounds = {0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5,
                                     0.75, 1.0,   2.5,  5.0,   7.5, 10.0, 20., 40., 80.0};
constexpr std::array kRequestBounds = {0.3,  0.5,  0.8,  1.0,   1.5,   2.0,   2.5,
                                       5.0,  10.0, 15.0, 20.0,  30.0,  40.0,  50.0,
                                       60.0, 120., 240., 480.0, 960.0, 1920., 7680.0};
constexpr std::array kLengthBounds = {1.,     2.,      5.,      10.,     20.,     50.,    100.,
                                      200.,   500.,    1000.,   2000.,   5000.,   10000., 20000.,
                                      50000., 100000., 200000., 500000., 1000000.};
constexpr std::array kCountBounds = {1., 2., 5., 10., 20.};
constexpr std::array kIterationBounds = {1.,   8.,   16.,   32.,   64.,   128.,
                                         256., 512., 1024., 2048., 4096., 8192.};
constexpr std::array kStepBounds = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                    0.1,    0.25,  0.5,    1.0,   2.5,  5.0,   10.0};

}  // namespace

EngineMetrics::EngineMetrics(metrics::Registry& r)
    : registry(r),
      requests_running(r.gauge("vllm:num_requests_running", "Sequences in the running batch.")),
      requests_waiting(r.gauge("vllm:num_requests_waiting", "Sequences that wait to run.")),
      kv_usage(r.gauge("vllm:kv_cache_usage_perc", "KV blocks in use, 1 is all.")),
      prefix_queries(r.counter("vllm:prefix_cache_queries", "Tokens looked up.")),
      prefix_hits(r.counter("vllm:prefix_cache_hits", "Tokens found.")),
      not_reused_never_seen(r.counter("weir:prefix_tokens_not_reused",
                                      "Tokens looked up and computed all the same.",
                                      {{"reason", "never_seen"}})),
      not_reused_partial_block(
          r.counter("weir:prefix_tokens_not_reused", "", {{"reason", "partial_block"}})),
      not_reused_no_checkpoint(
          r.counter("weir:prefix_tokens_not_reused", "", {{"reason", "no_checkpoint"}})),
      not_reused_window_passed(
          r.counter("weir:prefix_tokens_not_reused", "", {{"reason", "window_passed"}})),
      evicted_blocks(r.counter("weir:prefix_blocks_evicted", "Cached blocks given up for room.")),
      evicted_checkpoints(
          r.counter("weir:prefix_checkpoints_evicted", "Recurrent states given up for room.")),
      checkpoints(r.gauge("weir:prefix_checkpoints", "Recurrent states that can be given back.")),
      preemptions(r.counter("vllm:num_preemptions", "Sequences preempted.")),
      prompt_tokens(r.counter("vllm:prompt_tokens", "Prompt tokens of accepted requests.")),
      generation_tokens(r.counter("vllm:generation_tokens", "Tokens generated.")),
      recomputed_tokens(
          r.counter("weir:recomputed_tokens", "Tokens computed again after a preemption.")),
      finished_stop(
          r.counter("vllm:request_success", "Finished choices.", {{"finished_reason", "stop"}})),
      finished_length(r.counter("vllm:request_success", "", {{"finished_reason", "length"}})),
      finished_abort(r.counter("vllm:request_success", "", {{"finished_reason", "abort"}})),
      corrupted(r.counter("vllm:corrupted_requests", "Requests ended by logits that are NaN.")),
      time_to_first_token(r.histogram("vllm:time_to_first_token_seconds",
                                      "From arrival to the first token.", kFirstTokenBounds)),
      inter_token(
          r.histogram("vllm:inter_token_latency_seconds", "Between two tokens.", kTokenBounds)),
      time_per_output_token(r.histogram("vllm:request_time_per_output_token_seconds",
                                        "Mean after the first token.", kTokenBounds)),
      e2e(r.histogram("vllm:e2e_request_latency_seconds", "From arrival to the end.",
                      kRequestBounds)),
      queue_time(
          r.histogram("vllm:request_queue_time_seconds", "Before the first step.", kRequestBounds)),
      prefill_time(r.histogram("vllm:request_prefill_time_seconds",
                               "From the first step to the first token.", kRequestBounds)),
      decode_time(r.histogram("vllm:request_decode_time_seconds",
                              "From the first token to the last.", kRequestBounds)),
      inference_time(r.histogram("vllm:request_inference_time_seconds",
                                 "From the first step to the end.", kRequestBounds)),
      request_prompt_tokens(
          r.histogram("vllm:request_prompt_tokens", "Of one prompt.", kLengthBounds)),
      request_generation_tokens(
          r.histogram("vllm:request_generation_tokens", "Of one choice.", kLengthBounds)),
      request_n(r.histogram("vllm:request_params_n", "Choices asked for.", kCountBounds)),
      request_max_tokens(
          r.histogram("vllm:request_params_max_tokens", "Tokens asked for.", kLengthBounds)),
      iteration_tokens(
          r.histogram("vllm:iteration_tokens_total", "Tokens of one step.", kIterationBounds)),
      step_time(r.histogram("weir:step_seconds", "One step of the engine.", kStepBounds)) {}

void EngineMetrics::update(const kv::KvUsage& usage, const kv::PrefixStats& stats) {
    kv_usage.set(usage.blocks_total == 0 ? 0.0
                                         : static_cast<double>(usage.blocks_used()) /
                                               static_cast<double>(usage.blocks_total));
    prefix_queries.set(stats.query_tokens);
    prefix_hits.set(stats.hit_tokens);
    not_reused_never_seen.set(stats.never_seen_tokens);
    not_reused_partial_block.set(stats.partial_block_tokens);
    not_reused_no_checkpoint.set(stats.no_checkpoint_tokens);
    not_reused_window_passed.set(stats.window_passed_tokens);
    evicted_blocks.set(stats.evicted_blocks);
    evicted_checkpoints.set(stats.evicted_checkpoints);
    checkpoints.set(static_cast<double>(usage.recurrent_evictable));
}

metrics::Counter& EngineMetrics::finished(chat::FinishReason reason) {
    return reason == chat::FinishReason::Length ? finished_length : finished_stop;
}

}  // namespace weir::engine
