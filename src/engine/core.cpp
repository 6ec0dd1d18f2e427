#include "engine/core.h"

#include <algorithm>
#include <new>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "engine/core_sequence.h"
#include "kernels/thread_pool.h"

namespace weir::engine {
namespace {

// Waiting sequences that one step looks up in the prefix tree.
constexpr size_t kProbesPerStep = 16;

}  // namespace

Error out_of_memory() {
    return make_error(ErrorCode::ResourceExhausted, "out of memory");
}

void log_exception(const std::exception& exception) noexcept {
    try {
        log(LogLevel::Error, "the engine caught: {}", exception.what());
    } catch (const std::exception&) {  // not even for that
    }
}

void tell_failed(GenerationSink& sink, const Error& error) noexcept {
    try {
        sink.on_failed(error);
    } catch (const std::exception& exception) {
        log_exception(exception);
    }
}

SchedulerConfig scheduler_config(const EngineConfig& config, const kv::StateSpec& spec,
                                 uint32_t model_batch_tokens_max) {
    const uint32_t batch = config.batch_tokens_max == 0
                               ? model_batch_tokens_max
                               : std::min(config.batch_tokens_max, model_batch_tokens_max);
    const uint32_t sequences = std::min(config.sequences_max, batch);
    std::vector<uint32_t> windows;
    std::vector<uint32_t> chunks;
    for (const kv::AttentionGroup& group : spec.groups) {
        if (group.window_tokens) {
            (group.window_stands ? chunks : windows).push_back(*group.window_tokens);
        }
    }
    return {.sequences_max = sequences,
            .batch_tokens_max = batch,
            .logit_rows_max = sequences + config.prompt_logit_rows,
            .block_tokens = spec.block_tokens,
            .groups = static_cast<uint32_t>(spec.groups.size()),
            .windows = std::move(windows),
            .chunks = std::move(chunks),
            .inter_token_target = config.inter_token_target,
            .prompt_step_target = config.prompt_step_target,
            .prompt_tokens_min = config.prompt_tokens_min};
}

Core::Core(model::Model& model, const EngineConfig& config, const MemoryPlan& memory,
           std::unique_ptr<kv::KvCache> kv, const Clock& clock, EngineMetrics metrics,
           kernels::ThreadPool* pool)
    : model_(model),
      config_(config),
      context_tokens_(memory.context_tokens),
      token_ids_end_(config.token_ids_end == 0 ? model.info().vocabulary : config.token_ids_end),
      vocabulary_(model.info().vocabulary),
      clock_(clock),
      metrics_(metrics),
      kv_(std::move(kv)),
      scheduler_(scheduler_config(config, model.state_spec(), model.batch_tokens_max())),
      logits_(size_t{scheduler_.config().logit_rows_max} * vocabulary_),
      pool_(pool),
      scratches_(pool == nullptr ? 1 : std::clamp<size_t>(config.threads, 1, pool->threads())) {
    for (SamplerScratch& scratch : scratches_) {
        scratch.reserve(vocabulary_);
    }
}

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

// By the longest that it may become, so that its keys and what it finds in the tree agree to its
// end.
model::RopeVariant Core::rope_variant(const Sequence& sequence) const {
    return model_.info().rope_variant(sequence.tokens_limit);
}

kv::PrefixKey Core::prefix_key(const Sequence& sequence) const {
    return {.tenant = sequence.request->generation.tenant,
            .model = config_.model_key,
            .rope = rope_variant(sequence) == model::RopeVariant::Long ? "long" : ""};
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
    std::map<SequenceId, Sequence> admitted;
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
        sequence.place = next_place_++;
        if (sequence.leads()) {
            request->usage.prompt_tokens += length;
        }
        admitted.emplace(sequence.id, std::move(sequence));
        if (choice > 0 && WEIR_FAILPOINT("engine.admit")) {
            throw std::bad_alloc();
        }
    }
    sequences_.merge(admitted);  // from here on nothing is allocated
    metrics_.prompt_tokens.add(request->usage.prompt_tokens);
    for (const auto& prompt : generation.prompts) {
        metrics_.request_prompt_tokens.observe(static_cast<double>(prompt.size()));
    }
    metrics_.request_n.observe(generation.sampling.choices);
    metrics_.request_max_tokens.observe(generation.sampling.tokens_max.value_or(context_tokens_));
}

bool Core::step() {
    const Clock::TimePoint begun = clock_.now();
    finish_cancelled();
    end_turns();
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
    std::vector<Slice> slices = assemble(plan);
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
        cost_.observe(plan.tokens, plan.keys, seconds_between(from, clock_.now()));
        record(slices);
    }
    const size_t waiting_count = waiting();
    metrics_.requests_waiting.set(static_cast<double>(waiting_count));
    metrics_.requests_running.set(static_cast<double>(sequences_.size() - waiting_count));
    metrics_.iteration_tokens.observe(plan.tokens);
    metrics_.step_time.observe(seconds_between(begun, clock_.now()));
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

RunningSequence Core::describe_running(const Sequence& sequence, bool memory_is_tight) const {
    const kv::SequenceState& state = *sequence.state;
    return {.id = sequence.id,
            .computed = state.position(),
            .known = sequence.known(),
            .answering = sequence.answered() > 0,
            .covered = state.covered(),
            .all_logits = sequence.reads_prompt_logits,
            .preemptions = sequence.preemptions,
            .reclaimable_blocks = memory_is_tight ? state.reclaimable_blocks() : 0};
}

WaitingSequence Core::describe_waiting(const Sequence& sequence) const {
    const uint32_t reuse_max = sequence.reads_prompt_logits ? 0 : sequence.known() - 1;
    const auto probe = kv_->probe(prefix_key(sequence), sequence.tokens, reuse_max);
    return {.id = sequence.id,
            .known = sequence.known(),
            .cached = probe.tokens,
            .evictable_blocks = probe.evictable_blocks,
            .all_logits = sequence.reads_prompt_logits};
}

// The first in line. Who wants rows of logits that those before it use up would only take a place.
std::vector<WaitingSequence> Core::describe_line(size_t length) const {
    uint64_t rows = scheduler_.config().logit_rows_max - scheduler_.config().sequences_max;
    const auto take_rows = [&](uint64_t wanted) {
        rows -= std::min(rows, wanted);
    };
    for (const auto& [id, sequence] : sequences_) {
        if (sequence.state && sequence.reads_prompt_logits) {
            take_rows(sequence.known() - sequence.state->position());
        }
    }
    std::vector<const Sequence*> waiting_now;
    for (const auto& [id, sequence] : sequences_) {
        if (!sequence.state && !sequence.is_held()) {
            waiting_now.push_back(&sequence);
        }
    }
    std::sort(waiting_now.begin(), waiting_now.end(),
              [](const Sequence* a, const Sequence* b) { return a->place < b->place; });
    std::vector<WaitingSequence> line;
    for (const Sequence* const sequence : waiting_now) {
        if (line.size() >= length) {
            break;
        }
        if (sequence->reads_prompt_logits) {
            if (rows == 0) {
                continue;
            }
            take_rows(sequence->known());
        }
        line.push_back(describe_waiting(*sequence));
    }
    return line;
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
    for (auto& [id, sequence] : sequences_) {
        if (sequence.state) {
            running.push_back(describe_running(sequence, memory_is_tight));
        }
    }
    const size_t places =
        limits.sequences_max - std::min<size_t>(limits.sequences_max, running.size());
    const std::vector<WaitingSequence> waiting_now =
        describe_line(std::min(places, kProbesPerStep));
    return scheduler_.plan({.running = running,
                            .waiting = waiting_now,
                            .blocks_available = usage.blocks_available(),
                            .slots_available = kv_->spec().recurrent_bytes > 0
                                                   ? usage.recurrent_available()
                                                   : UINT32_MAX,
                            .cost = cost_.cost()});
}

// Its blocks stay in the tree until they are needed.
void Core::give_back(Sequence& sequence) {
    if (sequence.state->position() == sequence.known()) {
        WEIR_BUG("a sequence without a next token was preempted");
    }
    sequence.state->publish(sequence.tokens);
    sequence.computed_once = sequence.state->position();
    sequence.state.reset();
    sequence.prompt_logprobs.clear();
    metrics_.preemptions.add();
}

void Core::preempt(Sequence& sequence) {
    give_back(sequence);
    ++sequence.preemptions;
}

// Where every place is taken and somebody waits, who has said enough goes to the end of the line;
// so a short answer waits for others' turns, not for the ends of long answers. It costs little: a
// place is what is given up, and what was computed is found again in the tree unless memory is
// short; for that case a turn grows with what would have to be computed again. And everybody still
// finishes: each turn is that much nearer to the end, and the line is first come, first served.
void Core::end_turns() {
    const size_t waits = waiting();
    if (waits == 0 || sequences_.size() - waits < scheduler_.config().sequences_max) {
        return;
    }
    size_t in_line = 0;
    std::vector<Sequence*> over;
    for (auto& [id, sequence] : sequences_) {
        if (!sequence.state) {
            in_line += sequence.is_held() ? 0 : 1;
        } else if (sequence.answered() > 0 && sequence.known() >= sequence.turn_end) {
            over.push_back(&sequence);
        }
    }
    std::sort(over.begin(), over.end(),
              [](const Sequence* a, const Sequence* b) { return a->place < b->place; });
    over.resize(std::min(over.size(), in_line));
    for (Sequence* const sequence : over) {
        give_back(*sequence);
        sequence->place = next_place_++;
    }
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
    auto state = kv_->begin(prefix_key(sequence), sequence.tokens, reuse_max);
    if (!state) {
        return;  // no recurrent slot after all: it goes on waiting
    }
    sequence.state.emplace(std::move(*state));
    sequence.turn_end =
        sequence.known() + std::max({1u, config_.turn_tokens, sequence.known() / 4});
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
        metrics_.queue_time.observe(seconds_between(request.arrived, now));
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

// Where the recurrent state is kept while the sequence is computed up to `end`. For good: where
// prompts have met before; at the last end of a block whose next token is still the prompt's, and
// one block earlier, since templates write the end of a prompt anew once there is an answer; and
// ever farther apart on the way there. Else only the newest, for the next turn or for itself after
// a preemption.
std::vector<kv::SequenceState::Checkpoint> Core::checkpoints(const Sequence& sequence,
                                                             uint32_t end) const {
    using Keep = kv::SequenceState::Keep;
    std::vector<kv::SequenceState::Checkpoint> found;
    if (kv_->spec().recurrent_bytes == 0) {
        return found;
    }
    const uint32_t block = kv_->spec().block_tokens;
    const uint32_t begin = sequence.state->position();
    const auto add = [&](uint64_t position, Keep keep) {
        if (position > begin && position <= end) {
            found.push_back({static_cast<uint32_t>(position), keep});
        }
    };
    const uint32_t prompt_end = (sequence.prompt_tokens - 1) / block * block;
    add(sequence.state->seen_tokens(), Keep::Durable);
    add(prompt_end, Keep::Durable);
    add(prompt_end - std::min(prompt_end, block), Keep::Durable);
    const uint32_t every = std::max(config_.checkpoint_tokens / block, 1u) * block;
    for (uint64_t position = every; position <= end; position *= 2) {
        add(position, Keep::Durable);
    }
    add(end / block * block, Keep::Rolling);
    std::stable_sort(found.begin(), found.end(),
                     [](const auto& a, const auto& b) { return a.position < b.position; });
    const auto same = [](const auto& a, const auto& b) {
        return a.position == b.position;  // of which the first is Durable, if one is
    };
    found.erase(std::unique(found.begin(), found.end(), same), found.end());
    return found;
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
        state.plan_checkpoints(checkpoints(*sequence, state.position() + tokens));
        auto wanted = model::LogitsWanted::None;
        if (sequence->reads_prompt_logits) {
            wanted = model::LogitsWanted::All;
        } else if (tokens == left) {
            wanted = model::LogitsWanted::Last;
        }
        slices.push_back({.sequence = sequence,
                          .tokens = tokens,
                          .logits = wanted,
                          .samples = tokens == left && sequence->known() < sequence->tokens_limit});
    }
    return slices;
}

Result<void> Core::compute(std::span<Slice> slices) {
    std::vector<model::SequenceSlice> batch;
    batch.reserve(slices.size());
    size_t rows = 0;
    for (Slice& slice : slices) {
        Sequence& sequence = *slice.sequence;
        const uint32_t position = sequence.state->position();
        batch.push_back(
            {.tokens = std::span<const TokenId>(sequence.tokens).subspan(position, slice.tokens),
             .position = position,
             .state = sequence.state->view(),
             .logits = slice.logits,
             .rope = rope_variant(sequence)});
        const size_t own = model::logit_rows({&batch.back(), 1});
        WEIR_ASSERT((rows + own) * vocabulary_ <= logits_.size());
        slice.rows = std::span<float>(logits_).subspan(rows * vocabulary_, own * vocabulary_);
        rows += own;
    }
    return model_.forward(batch, std::span<float>(logits_).first(rows * vocabulary_));
}

}  // namespace weir::engine
