#include "engine/scheduler.h"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace weir::engine {
namespace {

// Keys that `tokens` tokens attend to, of which the first stands at `position`.
uint64_t keys_of(uint64_t position, uint64_t tokens) {
    return tokens * position + tokens * (tokens + 1) / 2;
}

// One call of plan(): what is decided so far, and what is left to give.
class Planner {
  public:
    Planner(const SchedulerConfig& config, const SchedulerInput& input)
        : config_(config), input_(input), available_(input.blocks_available) {
        for (size_t i = 0; i < input.running.size(); ++i) {
            states_.push_back(State::Waits);
            by_strength_.push_back(i);
        }
        std::sort(by_strength_.begin(), by_strength_.end(), [&](size_t a, size_t b) {
            return strength(input_.running[a]) < strength(input_.running[b]);
        });
        prompt_rows_ = config.logit_rows_max - config.sequences_max;
    }

    BatchPlan plan() {
        plan_decodes();
        target_ = plan_.slices.empty() ? config_.prompt_step_target.count()
                                       : config_.inter_token_target.count();
        plan_prompts();
        if (plan_.preempted.empty()) {  // who waits could only take from who was just preempted
            plan_waiting();
        }
        return std::move(plan_);
    }

  private:
    enum class State : uint8_t { Waits, Planned, Preempted };

    // Ascending: who is preempted last comes first.
    std::tuple<bool, uint64_t, uint64_t> strength(const RunningSequence& one) const {
        const bool spared = one.preemptions >= config_.preemptions_max;
        const uint64_t loss = spared ? 0 : UINT32_MAX - uint64_t{one.computed};
        return {!spared, loss, static_cast<uint64_t>(one.id)};
    }

    static bool is_decode(const RunningSequence& one) {
        return one.answering && one.computed + 1 == one.known;
    }

    uint32_t blocks_for(const RunningSequence& one, uint32_t tokens) const {
        if (tokens <= one.covered) {
            return 0;
        }
        const uint64_t block_tokens = config_.block_tokens;
        const uint64_t have = (one.covered + block_tokens - 1) / block_tokens;
        const uint64_t want = (tokens + block_tokens - 1) / block_tokens;
        return static_cast<uint32_t>((want - have) * config_.groups);
    }

    // Takes the blocks of the weakest sequence that is not part of the plan yet and weaker than
    // `index`. False: there is none.
    bool preempt_weaker_than(size_t index) {
        for (size_t i = by_strength_.size(); i > 0; --i) {
            const size_t victim = by_strength_[i - 1];
            if (victim == index) {
                return false;
            }
            if (states_[victim] == State::Waits) {
                preempt(victim);
                return true;
            }
        }
        return false;
    }

    void preempt(size_t index) {
        states_[index] = State::Preempted;
        plan_.preempted.push_back(input_.running[index].id);
        available_ += input_.running[index].reclaimable_blocks;
    }

    bool is_alone(size_t index) const {
        for (size_t i = 0; i < states_.size(); ++i) {
            if (i != index && states_[i] != State::Preempted) {
                return false;
            }
        }
        return true;
    }

    void take(SequenceId id, uint32_t position, uint32_t tokens, uint32_t blocks) {
        plan_.slices.push_back({id, tokens});
        plan_.tokens += tokens;
        plan_.keys += keys_of(position, tokens);
        available_ -= blocks;
    }

    void plan_decodes() {
        for (const size_t index : by_strength_) {
            const RunningSequence& one = input_.running[index];
            if (!is_decode(one) || states_[index] != State::Waits) {
                continue;
            }
            if (plan_.tokens >= config_.batch_tokens_max) {
                return;
            }
            const uint32_t blocks = blocks_for(one, one.known);
            while (blocks > available_ && preempt_weaker_than(index)) {
            }
            if (blocks <= available_) {
                states_[index] = State::Planned;
                take(one.id, one.computed, 1, blocks);
            } else if (is_alone(index)) {
                plan_.impossible.push_back(one.id);
                states_[index] = State::Planned;
            } else {
                preempt(index);
            }
        }
    }

    // How many tokens from `position` on fit what is left of the target; but prompts together get
    // prompt_tokens_min, and nobody more than the model's batch.
    uint32_t budget(uint32_t position, uint32_t wanted) const {
        const uint32_t cap = std::min(wanted, config_.batch_tokens_max - plan_.tokens);
        const auto fits = [&](uint32_t tokens) {
            return input_.cost.seconds(plan_.tokens + uint64_t{tokens},
                                       plan_.keys + keys_of(position, tokens)) <= target_;
        };
        uint32_t low = 0;  // fits, or is 0
        uint32_t high = cap;
        while (low < high) {
            const uint32_t middle = high - (high - low) / 2;
            if (fits(middle)) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        const uint32_t owed =
            config_.prompt_tokens_min - std::min(config_.prompt_tokens_min, prompt_tokens_);
        return std::max(low, std::min(cap, owed));
    }

    // The slice's length as far as logits and the budget go.
    uint32_t slice_length(uint32_t position, uint32_t known, bool all_logits) const {
        uint32_t wanted = known - position;
        if (all_logits) {
            wanted = std::min(wanted, prompt_rows_);
        }
        return budget(position, wanted);
    }

    void plan_prompts() {
        std::vector<size_t> prompts;
        for (size_t i = 0; i < states_.size(); ++i) {
            const RunningSequence& one = input_.running[i];
            if (states_[i] == State::Waits && !is_decode(one) && one.computed < one.known) {
                prompts.push_back(i);
            }
        }
        std::sort(prompts.begin(), prompts.end(),
                  [&](size_t a, size_t b) { return input_.running[a].id < input_.running[b].id; });
        for (const size_t index : prompts) {
            if (states_[index] == State::Waits) {
                plan_prompt(index);
            }
        }
    }

    void plan_prompt(size_t index) {
        const RunningSequence& one = input_.running[index];
        uint32_t tokens = slice_length(one.computed, one.known, one.all_logits);
        if (tokens == 0) {
            return;
        }
        while (blocks_for(one, one.computed + 1) > available_ && preempt_weaker_than(index)) {
        }
        // As much of it as there are blocks for.
        while (tokens > 0 && blocks_for(one, one.computed + tokens) > available_) {
            const uint32_t past_block = (one.computed + tokens) % config_.block_tokens;
            tokens -= std::min(tokens, past_block == 0 ? config_.block_tokens : past_block);
        }
        if (tokens == 0) {
            if (is_alone(index)) {
                plan_.impossible.push_back(one.id);
            }
            return;  // keeps its blocks; somebody stronger goes on
        }
        states_[index] = State::Planned;
        take(one.id, one.computed, tokens, blocks_for(one, one.computed + tokens));
        prompt_tokens_ += tokens;
        if (one.all_logits) {
            prompt_rows_ -= tokens;
        }
    }

    // Blocks that a sequence takes beyond those for its first `covered` tokens, at most, until
    // `known` tokens are computed; `computed` of them are. Groups with a window hold the window, a
    // slice, and one block for both ends being inside one (kv::worst_case_blocks).
    uint64_t blocks_until(uint32_t computed, uint32_t covered, uint32_t known) const {
        const uint64_t block_tokens = config_.block_tokens;
        const auto blocks = [&](uint64_t tokens) {
            return (tokens + block_tokens - 1) / block_tokens;
        };
        const uint64_t have = blocks(covered);
        const uint64_t more = std::max(blocks(known), have) - have;
        const auto more_within = [&](uint64_t window, uint64_t passed_tokens) {
            const uint64_t passed = passed_tokens / block_tokens;
            const uint64_t held = have - std::min(have, passed);
            const uint64_t most = blocks(window - 1 + config_.batch_tokens_max) + 1;
            return std::min(more, most - std::min(most, held));
        };
        uint64_t total = more * (config_.groups - config_.windows.size() - config_.chunks.size());
        for (const uint64_t window : config_.windows) {
            const uint64_t next = uint64_t{computed} + 1;
            total += more_within(window, next > window ? next - window : 0);
        }
        for (const uint64_t chunk : config_.chunks) {
            total += more_within(chunk, computed - computed % chunk);
        }
        return total;
    }

    // Blocks that must stay available for those who run: the rest of their prompts after this step,
    // and one more for each.
    uint64_t spoken_for() const {
        uint64_t blocks = 0;
        for (size_t i = 0; i < states_.size(); ++i) {
            if (states_[i] == State::Preempted) {
                continue;
            }
            const RunningSequence& one = input_.running[i];
            uint32_t planned = 0;
            for (const PlannedSlice& slice : plan_.slices) {
                planned = slice.id == one.id ? slice.tokens : planned;
            }
            const uint32_t computed = one.computed + planned;
            blocks += blocks_until(computed, std::max(one.covered, computed), one.known);
            blocks += config_.groups;
        }
        return blocks;
    }

    void plan_waiting() {
        uint64_t reserved = spoken_for();
        uint64_t running = states_.size();
        uint32_t slots = input_.slots_available;
        for (const WaitingSequence& one : input_.waiting) {
            if (running >= config_.sequences_max || slots == 0) {
                return;
            }
            if (one.all_logits && prompt_rows_ == 0) {
                continue;  // rows are all that it needs from others: they are free again next step
            }
            const RunningSequence begun{.id = one.id, .known = one.known, .covered = one.cached};
            const uint64_t needed = uint64_t{one.evictable_blocks} +
                                    blocks_until(one.cached, one.cached, one.known) +
                                    config_.groups;
            const bool fits = needed + reserved <= available_;
            if (!fits && running > 0) {
                return;  // nobody passes the first in line
            }
            uint32_t tokens = slice_length(one.cached, one.known, one.all_logits);
            while (tokens > 0 &&
                   one.evictable_blocks + blocks_for(begun, one.cached + tokens) > available_) {
                --tokens;  // only where it is alone and does not fit as a whole
            }
            if (tokens == 0) {
                return;
            }
            const uint32_t now = one.evictable_blocks + blocks_for(begun, one.cached + tokens);
            plan_.admitted.push_back(one.id);
            take(one.id, one.cached, tokens, now);
            reserved += needed - std::min<uint64_t>(needed, now);
            prompt_tokens_ += tokens;
            if (one.all_logits) {
                prompt_rows_ -= tokens;
            }
            ++running;
            --slots;
        }
    }

    const SchedulerConfig& config_;
    const SchedulerInput& input_;
    BatchPlan plan_;
    uint32_t available_;
    double target_ = 0;
    uint32_t prompt_tokens_ = 0;
    uint32_t prompt_rows_ = 0;
    std::vector<State> states_;
    std::vector<size_t> by_strength_;
};

}  // namespace

Result<void> SchedulerConfig::validate() const {
    if (sequences_max == 0) {
        return invalid_argument("sequences_max", "at least one sequence must be able to run");
    }
    if (batch_tokens_max < sequences_max) {
        return invalid_argument("batch_tokens_max", "{} tokens are fewer than {} sequences",
                                batch_tokens_max, sequences_max);
    }
    if (logit_rows_max < sequences_max) {
        return invalid_argument("logit_rows_max", "{} rows are fewer than {} sequences",
                                logit_rows_max, sequences_max);
    }
    const auto is_zero = [](uint32_t tokens) {
        return tokens == 0;
    };
    if (windows.size() + chunks.size() > groups || std::ranges::any_of(windows, is_zero) ||
        std::ranges::any_of(chunks, is_zero)) {
        return invalid_argument("windows", "{} windows in {} groups",
                                windows.size() + chunks.size(), groups);
    }
    if (block_tokens == 0 || prompt_tokens_min == 0) {
        return invalid_argument("prompt_tokens_min", "must not be 0");
    }
    return {};
}

BatchPlan Scheduler::plan(const SchedulerInput& input) const {
    return Planner(config_, input).plan();
}

}  // namespace weir::engine
