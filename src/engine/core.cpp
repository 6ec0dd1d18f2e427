#include "engine/core.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/check.h"

namespace weir::engine {
namespace {

// Waiting sequences that one step looks up in the prefix tree.
constexpr size_t kProbesPerStep = 16;

double seconds(Clock::TimePoint from, Clock::TimePoint to) {
    return std::chrono::duration<double>(to - from).count();
}

}  // namespace

// One generation: what its sequences have in common.
struct Core::Request {
    Generation generation;
    std::shared_ptr<GenerationSink> sink;
    std::stop_token cancel;
    Clock::TimePoint arrived;
    std::optional<Clock::TimePoint> started;
    std::vector<bool> prompt_is_read;  // [prompts]: its other choices can share its blocks
    uint32_t unfinished = 0;
    chat::Usage usage;
};

// One choice. It waits while it has no state.
struct Core::Sequence {
    SequenceId id;
    std::shared_ptr<Request> request;
    uint32_t choice;
    std::vector<TokenId> tokens;  // prompt and answer
    uint32_t prompt_tokens;
    uint32_t tokens_limit;  // prompt and answer
    Sampler sampler;
    std::optional<kv::SequenceState> state;
    bool reads_prompt_logits = false;
    std::vector<TokenLogprobs> prompt_logprobs;
    uint32_t preemptions = 0;
    uint32_t computed_once = 0;  // tokens that were computed before, at most
    std::optional<Clock::TimePoint> scheduled;
    std::optional<Clock::TimePoint> first_token;
    Clock::TimePoint last_token;

    uint32_t known() const { return static_cast<uint32_t>(tokens.size()); }
    uint32_t answered() const { return known() - prompt_tokens; }
    uint32_t prompt() const { return choice / request->generation.choices_each; }
    bool leads() const { return choice % request->generation.choices_each == 0; }
    // The first choice of a prompt reads it; the others wait for its blocks.
    bool is_held() const { return !leads() && !request->prompt_is_read[prompt()]; }
};

SchedulerConfig scheduler_config(const EngineConfig& config, const kv::StateSpec& spec,
                                 uint32_t model_batch_tokens_max) {
    const uint32_t batch = config.batch_tokens_max == 0
                               ? model_batch_tokens_max
                               : std::min(config.batch_tokens_max, model_batch_tokens_max);
    const uint32_t sequences = std::min(config.sequences_max, batch);
    return {.sequences_max = sequences,
            .batch_tokens_max = batch,
            .logit_rows_max = sequences + config.prompt_logit_rows,
            .block_tokens = spec.block_tokens,
            .groups = static_cast<uint32_t>(spec.groups.size()),
            .inter_token_target = config.inter_token_target,
            .prompt_step_target = config.prompt_step_target,
            .prompt_tokens_min = config.prompt_tokens_min};
}

Core::Core(model::Model& model, const EngineConfig& config, const MemoryPlan& memory,
           std::unique_ptr<kv::KvCache> kv, const Clock& clock, EngineMetrics metrics)
    : model_(model),
      config_(config),
      context_tokens_(memory.context_tokens),
      token_ids_end_(config.token_ids_end == 0 ? model.info().vocabulary : config.token_ids_end),
      vocabulary_(model.info().vocabulary),
      clock_(clock),
      metrics_(metrics),
      kv_(std::move(kv)),
      scheduler_(scheduler_config(config, model.state_spec(), model.batch_tokens_max())),
      logits_(size_t{scheduler_.config().logit_rows_max} * vocabulary_) {}

Core::~Core() = default;

size_t Core::waiting() const {
    return static_cast<size_t>(std::count_if(sequences_.begin(), sequences_.end(), [](auto& item) {
        return !item.second.state.has_value();
    }));
}

Core::Sequence* Core::find(SequenceId id) {
    const auto found = sequences_.find(id);
    return found == sequences_.end() ? nullptr : &found->second;
}

kv::PrefixKey Core::prefix_key(const Request& request) const {
    return {.tenant = request.generation.tenant, .model = config_.model_key};
}

void Core::admit(Arrival arrival) {
    const auto request = std::make_shared<Request>(Request{
        .generation = std::move(arrival.generation),
        .sink = std::move(arrival.sink),
        .cancel = std::move(arrival.cancel),
        .arrived = arrival.arrived,
    });
    const Generation& generation = request->generation;
    request->unfinished = generation.choice_count();
    request->prompt_is_read.resize(generation.prompts.size());
    metrics_.request_n.observe(generation.sampling.choices);
    metrics_.request_max_tokens.observe(generation.sampling.tokens_max.value_or(context_tokens_));
    for (uint32_t choice = 0; choice < generation.choice_count(); ++choice) {
        const auto& prompt = generation.prompts[choice / generation.choices_each];
        const auto length = static_cast<uint32_t>(prompt.size());
        const uint32_t room = context_tokens_ - length;
        Sequence sequence{
            .id = SequenceId{next_id_++},
            .request = request,
            .choice = choice,
            .tokens = prompt,
            .prompt_tokens = length,
            .tokens_limit = length + std::min(room, generation.sampling.tokens_max.value_or(room)),
            .sampler =
                Sampler(generation.sampling, generation.seed, choice, token_ids_end_, prompt)};
        sequence.reads_prompt_logits = generation.prompt_logprobs.has_value() && sequence.leads();
        if (sequence.leads()) {
            request->usage.prompt_tokens += length;
            metrics_.prompt_tokens.add(length);
            metrics_.request_prompt_tokens.observe(length);
        }
        sequences_.emplace(sequence.id, std::move(sequence));
    }
}

bool Core::step() {
    const Clock::TimePoint begun = clock_.now();
    finish_cancelled();
    if (sequences_.empty()) {
        metrics_.requests_running.set(0);
        metrics_.requests_waiting.set(0);
        metrics_.update(kv_->usage(), kv_->stats());
        return false;
    }
    const BatchPlan plan = make_plan();  // nothing has changed yet
    if (plan.empty()) {
        WEIR_BUG("sequences wait and none can run");
        fail(sequences_.begin()->second.request,
             make_error(ErrorCode::ResourceExhausted, "the request does not fit the KV cache"));
        return true;
    }
    apply(plan);
    const std::vector<Slice> slices = assemble(plan);
    if (!slices.empty()) {
        const Clock::TimePoint from = clock_.now();
        if (const Result<void> done = compute(slices); !done) {
            std::set<std::shared_ptr<Request>> batch;
            for (const Slice& slice : slices) {
                batch.insert(slice.sequence->request);
            }
            for (const auto& request : batch) {  // this batch ends; the engine goes on
                fail(request, done.error());
            }
            return true;
        }
        cost_.observe(plan.tokens, plan.keys, seconds(from, clock_.now()));
        record(slices);
    }
    const size_t waiting_count = waiting();
    metrics_.requests_waiting.set(static_cast<double>(waiting_count));
    metrics_.requests_running.set(static_cast<double>(sequences_.size() - waiting_count));
    metrics_.iteration_tokens.observe(plan.tokens);
    metrics_.step_time.observe(seconds(begun, clock_.now()));
    metrics_.update(kv_->usage(), kv_->stats());
    return true;
}

// Before planning, so that their blocks can be used at once.
void Core::finish_cancelled() {
    const Clock::TimePoint now = clock_.now();
    std::set<std::shared_ptr<Request>> cancelled;
    std::set<std::shared_ptr<Request>> late;
    for (const auto& [id, sequence] : sequences_) {
        const Request& request = *sequence.request;
        if (request.cancel.stop_requested()) {
            cancelled.insert(sequence.request);
        } else if (!request.started && now - request.arrived > config_.queue_wait_max) {
            late.insert(sequence.request);
        }
    }
    for (const auto& request : cancelled) {
        fail(request, make_error(ErrorCode::Cancelled, "the request was cancelled"));
    }
    for (const auto& request : late) {
        Error error = make_error(ErrorCode::Overloaded, "the request waited {} ms for its turn",
                                 config_.queue_wait_max.count());
        error.retry_after = std::chrono::seconds{1};
        fail(request, error);
    }
}

// Where the sequence must stop for its recurrent state to be kept: at multiples of
// checkpoint_tokens, and at the last block end before the token whose logits are wanted.
uint32_t Core::slice_max(const Sequence& sequence, uint32_t position) const {
    const kv::StateSpec& spec = kv_->spec();
    if (spec.recurrent_bytes == 0) {
        return UINT32_MAX;
    }
    const uint32_t every =
        std::max(config_.checkpoint_tokens / spec.block_tokens, 1u) * spec.block_tokens;
    uint64_t stop = (uint64_t{position} / every + 1) * every;
    const uint32_t last_end = (sequence.known() - 1) / spec.block_tokens * spec.block_tokens;
    if (last_end > position) {
        stop = std::min<uint64_t>(stop, last_end);
    }
    return static_cast<uint32_t>(stop - position);
}

RunningSequence Core::describe_running(const Sequence& sequence, bool memory_is_tight) const {
    const kv::SequenceState& state = *sequence.state;
    return {.id = sequence.id,
            .computed = state.position(),
            .known = sequence.known(),
            .answering = sequence.answered() > 0,
            .covered = state.covered(),
            .slice_max = slice_max(sequence, state.position()),
            .all_logits = sequence.reads_prompt_logits,
            .preemptions = sequence.preemptions,
            .reclaimable_blocks = memory_is_tight ? state.reclaimable_blocks() : 0};
}

WaitingSequence Core::describe_waiting(const Sequence& sequence) const {
    const uint32_t reuse_max = sequence.reads_prompt_logits ? 0 : sequence.known() - 1;
    const auto probe = kv_->probe(prefix_key(*sequence.request), sequence.tokens, reuse_max);
    return {.id = sequence.id,
            .known = sequence.known(),
            .cached = probe.tokens,
            .evictable_blocks = probe.evictable_blocks,
            .slice_max = slice_max(sequence, probe.tokens),
            .all_logits = sequence.reads_prompt_logits};
}

BatchPlan Core::make_plan() {
    const SchedulerConfig& limits = scheduler_.config();
    const kv::KvUsage usage = kv_->usage();
    // The most that one step can take: below it nobody needs to be preempted.
    const uint64_t step_blocks =
        (uint64_t{limits.batch_tokens_max} / limits.block_tokens + limits.sequences_max) *
        limits.groups;
    const bool memory_is_tight = usage.blocks_available() < step_blocks;
    std::vector<RunningSequence> running;
    std::vector<WaitingSequence> waiting_now;
    for (auto& [id, sequence] : sequences_) {
        if (sequence.state) {
            running.push_back(describe_running(sequence, memory_is_tight));
        }
    }
    const size_t places =
        limits.sequences_max - std::min<size_t>(limits.sequences_max, running.size());
    for (auto& [id, sequence] : sequences_) {
        if (waiting_now.size() >= std::min(places, kProbesPerStep)) {
            break;
        }
        if (!sequence.state && !sequence.is_held()) {
            waiting_now.push_back(describe_waiting(sequence));
        }
    }
    return scheduler_.plan({.running = running,
                            .waiting = waiting_now,
                            .blocks_available = usage.blocks_available(),
                            .slots_available = kv_->spec().recurrent_bytes > 0
                                                   ? usage.recurrent_available()
                                                   : UINT32_MAX,
                            .cost = cost_.cost()});
}

void Core::preempt(Sequence& sequence) {
    if (sequence.state->position() == sequence.known()) {
        WEIR_BUG("a sequence without a next token was preempted");
    }
    publish(sequence);
    sequence.computed_once = sequence.state->position();
    sequence.state.reset();
    sequence.prompt_logprobs.clear();
    ++sequence.preemptions;
    metrics_.preemptions.add();
}

void Core::preempt_all() {
    for (auto& [id, sequence] : sequences_) {
        if (sequence.state) {
            preempt(sequence);
        }
    }
}

void Core::begin(Sequence& sequence) {
    Request& request = *sequence.request;
    const uint32_t reuse_max = sequence.reads_prompt_logits ? 0 : sequence.known() - 1;
    auto state = kv_->begin(prefix_key(request), sequence.tokens, reuse_max);
    if (!state) {
        return;  // no recurrent slot after all: it goes on waiting
    }
    sequence.state.emplace(std::move(*state));
    const uint32_t found = sequence.state->position();
    const Clock::TimePoint now = clock_.now();
    if (sequence.computed_once > found) {
        metrics_.recomputed_tokens.add(sequence.computed_once - found);
    }
    if (!sequence.scheduled) {
        sequence.scheduled = now;
        if (sequence.leads()) {
            request.usage.cached_tokens += found;
        }
    }
    if (!request.started) {
        request.started = now;
        metrics_.queue_time.observe(seconds(request.arrived, now));
        request.sink->on_started();
    }
}

void Core::apply(const BatchPlan& plan) {
    for (const SequenceId id : plan.preempted) {
        preempt(*find(id));
    }
    for (const SequenceId id : plan.impossible) {
        if (const Sequence* const sequence = find(id)) {
            fail(sequence->request,
                 make_error(ErrorCode::ResourceExhausted, "the request does not fit the KV cache"));
        }
    }
    for (const SequenceId id : plan.admitted) {
        begin(*find(id));
    }
}

std::vector<Core::Slice> Core::assemble(const BatchPlan& plan) {
    std::vector<Slice> slices;
    for (const PlannedSlice& planned : plan.slices) {
        Sequence* const sequence = find(planned.id);
        if (sequence == nullptr || !sequence->state) {
            continue;
        }
        kv::SequenceState& state = *sequence->state;
        const uint32_t left = sequence->known() - state.position();
        const uint32_t tokens = std::min(planned.tokens, left);
        if (!state.reserve(state.position() + tokens)) {
            WEIR_BUG("the plan counted blocks that are not there");
            fail(sequence->request,
                 make_error(ErrorCode::ResourceExhausted, "the KV cache is full"));
            return {};  // others may have gone with the request: plan anew
        }
        auto wanted = model::LogitsWanted::None;
        if (sequence->reads_prompt_logits) {
            wanted = model::LogitsWanted::All;
        } else if (tokens == left) {
            wanted = model::LogitsWanted::Last;
        }
        slices.push_back({sequence, tokens, wanted});
    }
    return slices;
}

Result<void> Core::compute(std::span<const Slice> slices) {
    std::vector<model::SequenceSlice> batch;
    batch.reserve(slices.size());
    for (const Slice& slice : slices) {
        Sequence& sequence = *slice.sequence;
        const uint32_t position = sequence.state->position();
        batch.push_back(
            {.tokens = std::span<const TokenId>(sequence.tokens).subspan(position, slice.tokens),
             .position = position,
             .state = sequence.state->view(),
             .logits = slice.logits});
    }
    const size_t rows = model::logit_rows(batch);
    WEIR_ASSERT(rows * vocabulary_ <= logits_.size());
    return model_.forward(batch, std::span<float>(logits_).first(rows * vocabulary_));
}

void Core::record(std::span<const Slice> slices) {
    // Recording may end a request, and with it sequences further on in the batch.
    std::vector<std::pair<SequenceId, Slice>> left;
    for (const Slice& slice : slices) {
        left.emplace_back(slice.sequence->id, slice);
    }
    size_t row = 0;
    for (const auto& [id, slice] : left) {
        const size_t rows = slice.logits == model::LogitsWanted::All    ? slice.tokens
                            : slice.logits == model::LogitsWanted::Last ? 1
                                                                        : 0;
        if (find(id) != nullptr) {
            record_slice(slice,
                         std::span<float>(logits_).subspan(row * vocabulary_, rows * vocabulary_));
        }
        row += rows;
    }
}

void Core::record_slice(const Slice& slice, std::span<float> rows) {
    Sequence& sequence = *slice.sequence;
    const std::shared_ptr<Request> request = sequence.request;
    const uint32_t position = sequence.state->position();
    sequence.state->advance(slice.tokens);
    publish(sequence);
    sequence.state->drop_passed_blocks();
    if (sequence.reads_prompt_logits) {
        if (const auto done = record_prompt_rows(sequence, position, slice.tokens, rows); !done) {
            fail(request, done.error());
            return;
        }
    }
    if (sequence.state->position() < sequence.known()) {
        return;
    }
    if (!request->prompt_is_read[sequence.prompt()]) {
        request->prompt_is_read[sequence.prompt()] = true;
    }
    if (sequence.reads_prompt_logits) {
        sequence.reads_prompt_logits = false;
        request->sink->on_prompt_logprobs(sequence.prompt(), std::move(sequence.prompt_logprobs));
    }
    if (sequence.known() == sequence.tokens_limit) {  // nothing was to be said
        finish(sequence, chat::FinishReason::Length);
        return;
    }
    if (const auto done = record_token(sequence, rows.last(vocabulary_)); !done) {
        metrics_.corrupted.add();
        fail(request, done.error());
    }
}

Result<void> Core::record_prompt_rows(Sequence& sequence, uint32_t position, uint32_t tokens,
                                      std::span<float> rows) {
    const uint32_t top = *sequence.request->generation.prompt_logprobs;
    for (uint32_t i = 0; i < tokens; ++i) {
        const uint32_t predicted = position + i + 1;
        if (predicted >= sequence.prompt_tokens) {
            break;
        }
        const auto row = rows.subspan(i * vocabulary_, token_ids_end_);
        WEIR_TRY_ASSIGN(TokenLogprobs logprobs,
                        raw_logprobs(row, sequence.tokens[predicted], top, scratch_));
        sequence.prompt_logprobs.push_back(std::move(logprobs));
    }
    return {};
}

Result<void> Core::record_token(Sequence& sequence, std::span<float> row) {
    Request& request = *sequence.request;
    const Generation& generation = request.generation;
    request.sink->on_logits(sequence.choice, sequence.known(), row);
    WEIR_TRY_ASSIGN(const SampledToken sampled,
                    sequence.sampler.sample(row, sequence.known(), scratch_));
    ++request.usage.completion_tokens;
    metrics_.generation_tokens.add();
    note_token_times(sequence);
    const auto contains = [&](const std::vector<TokenId>& set) {
        return std::find(set.begin(), set.end(), sampled.token) != set.end();
    };
    if ((!generation.sampling.ignore_eos && contains(generation.end_tokens)) ||
        contains(generation.sampling.stop_token_ids)) {
        finish(sequence, chat::FinishReason::Stop);
        return {};
    }
    sequence.tokens.push_back(sampled.token);
    const auto verdict = request.sink->on_token(sequence.choice, sampled);
    if (verdict == GenerationSink::Verdict::Stop) {
        finish(sequence, chat::FinishReason::Stop);
    } else if (sequence.known() == sequence.tokens_limit) {
        finish(sequence, chat::FinishReason::Length);
    }
    return {};
}

void Core::note_token_times(Sequence& sequence) {
    const Clock::TimePoint now = clock_.now();
    if (!sequence.first_token) {
        sequence.first_token = now;
        metrics_.time_to_first_token.observe(seconds(sequence.request->arrived, now));
        metrics_.prefill_time.observe(seconds(*sequence.scheduled, now));
    } else {
        metrics_.inter_token.observe(seconds(sequence.last_token, now));
    }
    sequence.last_token = now;
}

// Whole blocks go into the tree as soon as they are full. A recurrent state is kept for good where
// prompts are likely to meet again, else only the newest of each sequence.
void Core::publish(Sequence& sequence) {
    const uint32_t block_tokens = kv_->spec().block_tokens;
    const uint32_t position = sequence.state->position();
    const uint32_t prompt_end = (sequence.prompt_tokens - 1) / block_tokens * block_tokens;
    const bool is_durable =
        position == prompt_end || position % std::max(config_.checkpoint_tokens, 1u) == 0;
    sequence.state->publish(sequence.tokens, is_durable ? kv::SequenceState::Checkpoint::Durable
                                                        : kv::SequenceState::Checkpoint::Rolling);
}

void Core::finish(Sequence& sequence, chat::FinishReason reason) {
    const std::shared_ptr<Request> request = sequence.request;
    const Clock::TimePoint now = clock_.now();
    const uint32_t choice = sequence.choice;
    metrics_.finished(reason).add();
    metrics_.request_generation_tokens.observe(sequence.answered());
    metrics_.inference_time.observe(seconds(*sequence.scheduled, now));
    if (sequence.first_token) {
        const double decoding = seconds(*sequence.first_token, now);
        metrics_.decode_time.observe(decoding);
        if (sequence.answered() > 1) {
            metrics_.time_per_output_token.observe(decoding / (sequence.answered() - 1));
        }
    }
    sequences_.erase(sequence.id);
    --request->unfinished;
    request->sink->on_choice_finished(choice, reason);
    if (request->unfinished == 0) {
        metrics_.e2e.observe(seconds(request->arrived, now));
        request->sink->on_finished(request->usage);
    }
}

void Core::fail(const std::shared_ptr<Request>& request, const Error& error) {
    const std::shared_ptr<Request> kept = request;  // may be a member of what is erased
    std::erase_if(sequences_, [&](const auto& item) { return item.second.request == kept; });
    metrics_.finished_abort.add();
    kept->sink->on_failed(error);
}

void Core::fail_all(const Error& error) {
    while (!sequences_.empty()) {
        fail(sequences_.begin()->second.request, error);
    }
}

}  // namespace weir::engine
