#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace weir::engine {

enum class SequenceId : uint64_t {};  // ascending in order of arrival

// What one step costs, in seconds: base + per_token * tokens + per_key * keys, where keys are the
// positions that the step's tokens attend to, all together.
struct StepCost {
    double base = 0;
    double per_token = 0;
    double per_key = 0;

    double seconds(uint64_t tokens, uint64_t keys) const {
        return base + per_token * static_cast<double>(tokens) + per_key * static_cast<double>(keys);
    }
};

struct SchedulerConfig {
    uint32_t sequences_max = 64;      // running together
    uint32_t batch_tokens_max = 512;  // what the model's activations hold
    uint32_t logit_rows_max = 64;     // what the logits' memory holds; >= sequences_max
    uint32_t block_tokens = 16;
    uint32_t groups = 1;  // attention groups: blocks taken for block_tokens tokens
    // Of the groups that see only so many tokens, how many: they give back what they have passed.
    std::vector<uint32_t> windows = {};
    // Of the groups that see only their own stretch of so many tokens, how many.
    std::vector<uint32_t> chunks = {};
    // A step that answers somebody should take no longer than this …
    std::chrono::duration<double> inter_token_target{0.2};
    // … and one that only reads prompts no longer than this, so that it can be cancelled.
    std::chrono::duration<double> prompt_step_target{0.5};
    // But prompts advance by this much in every step, whatever it costs.
    uint32_t prompt_tokens_min = 32;
    // A sequence that was preempted so often is spared from then on, in order of arrival.
    uint32_t preemptions_max = 2;

    Result<void> validate() const;
};

// A sequence that runs: it holds blocks.
struct RunningSequence {
    SequenceId id{};
    uint32_t computed = 0;    // tokens whose state is there
    uint32_t known = 0;       // tokens to compute: the prompt and what was said so far
    bool answering = false;   // has said something: an unfinished rest is a resumption
    uint32_t covered = 0;     // tokens that its blocks have room for
    bool all_logits = false;  // one row for every token, not only for the last
    uint32_t preemptions = 0;
    uint32_t reclaimable_blocks = 0;  // available again if it is preempted
};

// A sequence that waits: new, preempted, or at the end of its turn.
struct WaitingSequence {
    SequenceId id{};
    uint32_t known = 0;
    uint32_t cached = 0;            // tokens that the prefix tree would give it
    uint32_t evictable_blocks = 0;  // of the cached blocks: counted as available so far
    bool all_logits = false;
};

struct SchedulerInput {
    std::span<const RunningSequence> running;
    std::span<const WaitingSequence> waiting;  // as they stand in line; may be only the first few
    uint32_t blocks_available = 0;             // free or evictable
    uint32_t slots_available = UINT32_MAX;     // recurrent slots, for models that have them
    StepCost cost;
};

struct PlannedSlice {
    SequenceId id{};
    uint32_t tokens = 0;
    friend bool operator==(const PlannedSlice&, const PlannedSlice&) = default;
};

// What to do in one step. First `preempted` give their blocks back, then `admitted` begin, then
// the slices are computed together.
struct BatchPlan {
    std::vector<SequenceId> preempted;
    std::vector<SequenceId> admitted;  // each has a slice
    std::vector<PlannedSlice> slices;  // decodes, then unfinished prompts, then new ones
    // Runs alone and finds no block all the same: must be given up. Admission prevents it.
    std::vector<SequenceId> impossible;
    uint32_t tokens = 0;
    uint64_t keys = 0;

    bool empty() const { return slices.empty() && preempted.empty() && impossible.empty(); }
};

// Decides how many tokens of which sequence the next step computes. There is no prefill and no
// decode mode: a decode is a sequence with one token left to compute.
//
// Order. Every decode goes in first; whatever the budget says, one token each. Then unfinished
// prompts in order of arrival, then waiting sequences, share what is left of the budget (Agrawal et
// al., Sarathi-Serve, arXiv 2403.02310). The budget is the number of tokens that the cost model
// says fit the target, computed anew for every step.
//
// Memory. A waiting sequence is admitted when its blocks and those that running prompts have yet to
// take are available, with one spare block for every running sequence and group; the first in line
// is never passed by a later one, except that one who only waits for rows of logits (`all_logits`)
// holds up nobody. A group with a window is counted with the most that it holds at once. When a
// decode finds no block, the sequence with the least computed is preempted: it loses the least, and
// its blocks stay in the prefix tree until they are needed.
//
// Why everybody finishes. Among running sequences the one with the most computed is never
// preempted, so it finishes. A sequence that has been preempted `preemptions_max` times is spared:
// only spared sequences that arrived before it can take its blocks, and those are finitely many.
// Admission is in the order of the line, so who waits is reached.
//
// Threads: any; pure. Not here: who is cancelled, blocks themselves, the tree.
class Scheduler {
  public:
    explicit Scheduler(const SchedulerConfig& config) : config_(config) {}
    const SchedulerConfig& config() const { return config_; }

    BatchPlan plan(const SchedulerInput& input) const;

  private:
    SchedulerConfig config_;
};

// Learns a StepCost from steps that were taken: least squares, in which a step counts half as much
// after `kHalfLife` newer ones.
//
// Threads: one. Its answers change speed only, never a result.
class CostModel {
  public:
    CostModel();
    void observe(uint64_t tokens, uint64_t keys, double seconds);
    const StepCost& cost() const { return cost_; }

    static constexpr double kHalfLife = 64;

  private:
    StepCost cost_;
    double moments_[3][3];  // of (1, tokens, keys), scaled
    double products_[3];    // with the seconds
};

}  // namespace weir::engine
