#include <algorithm>
#include <utility>

#include "base/check.h"
#include "engine/core.h"
#include "engine/core_sequence.h"
#include "kernels/thread_pool.h"

namespace weir::engine {

// Side by side where there is a pool: no two slices have anything in common, and the logits of one
// token of a large vocabulary take a while to sum and to sort.
std::vector<Core::Reading> Core::read_rows(std::span<const Slice> slices) {
    std::vector<Reading> readings(slices.size());
    const size_t grain = (slices.size() + scratches_.size() - 1) / scratches_.size();
    const auto read_some = [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) {
            readings[i] = read_slice(slices[i], scratches_[begin / grain]);
        }
    };
    if (pool_ == nullptr) {
        read_some(0, slices.size());
    } else {
        pool_->parallel_for(slices.size(), grain, read_some);
    }
    return readings;
}

Core::Reading Core::read_slice(const Slice& slice, SamplerScratch& scratch) const try {
    Reading reading;
    Sequence& sequence = *slice.sequence;
    const uint32_t position = sequence.state->position();
    if (sequence.reads_prompt_logits) {
        const uint32_t top = *sequence.request->generation.prompt_logprobs;
        for (uint32_t i = 0; i < slice.tokens && position + i + 1 < sequence.prompt_tokens; ++i) {
            const auto row = slice.rows.subspan(i * vocabulary_, token_ids_end_);
            auto logprobs = raw_logprobs(row, sequence.tokens[position + i + 1], top, scratch);
            if (!logprobs) {
                reading.done = std::unexpected(std::move(logprobs).error());
                return reading;
            }
            reading.prompt_logprobs.push_back(*std::move(logprobs));
        }
    }
    if (slice.samples) {
        auto sampled =
            sequence.sampler.sample(slice.rows.last(vocabulary_), sequence.known(), scratch);
        if (!sampled) {
            reading.done = std::unexpected(std::move(sampled).error());
            return reading;
        }
        reading.sampled = *std::move(sampled);
    }
    return reading;
} catch (const std::exception& exception) {  // a task of the pool must not throw
    log_exception(exception);
    return {.done = std::unexpected(out_of_memory()), .prompt_logprobs = {}, .sampled = {}};
}

void Core::record(std::span<const Slice> slices) {
    std::vector<SequenceId> ids;
    for (const Slice& slice : slices) {
        ids.push_back(slice.sequence->id);
        if (slice.samples) {
            const Sequence& one = *slice.sequence;
            one.request->sink->on_logits(one.choice, one.known(), slice.rows.last(vocabulary_));
        }
    }
    std::vector<Reading> readings = read_rows(slices);
    for (size_t i = 0; i < slices.size(); ++i) {
        Sequence* const sequence = find(ids[i]);
        if (sequence == nullptr) {
            continue;  // another choice took its request along
        }
        const std::shared_ptr<Request> request = sequence->request;
        try {
            record_slice(slices[i], std::move(readings[i]));
        } catch (const std::exception& exception) {  // ends one request, not the batch
            fail(request, out_of_memory());
            log_exception(exception);
        }
    }
}

// The next turn goes on at the end of this prompt, or a block before it, where its template leaves
// something out of the history (checkpoints() has the same places).
void Core::expect_next_turn(Sequence& sequence, uint32_t begin) {
    const uint32_t block = kv_->spec().block_tokens;
    const uint32_t end = (sequence.prompt_tokens - 1) / block * block;
    if (begin < end && end <= sequence.state->position()) {
        sequence.state->expect_return(end - block);
        sequence.state->expect_return(end);
    }
}

void Core::record_slice(const Slice& slice, Reading reading) {
    Sequence& sequence = *slice.sequence;
    const std::shared_ptr<Request> request = sequence.request;
    const uint32_t begin = sequence.state->position();
    sequence.state->advance(slice.tokens);
    sequence.state->publish(sequence.tokens);
    expect_next_turn(sequence, begin);
    sequence.state->drop_passed_blocks();
    if (!reading.done) {
        if (reading.done.error().code == ErrorCode::Internal) {
            metrics_.corrupted.add();
        }
        fail(request, reading.done.error());
        return;
    }
    for (TokenLogprobs& logprobs : reading.prompt_logprobs) {
        sequence.prompt_logprobs.push_back(std::move(logprobs));
    }
    if (sequence.state->position() < sequence.known()) {
        return;
    }
    request->prompt_is_read[sequence.prompt()] = true;
    if (sequence.reads_prompt_logits) {
        sequence.reads_prompt_logits = false;
        request->sink->on_prompt_logprobs(sequence.prompt(), std::move(sequence.prompt_logprobs));
    }
    if (!reading.sampled) {  // nothing was to be said
        finish(sequence, chat::FinishReason::Length);
        return;
    }
    if (const auto done = record_token(sequence, *reading.sampled); !done) {
        fail(request, done.error());
    }
}

Result<void> Core::record_token(Sequence& sequence, const SampledToken& sampled) {
    Request& request = *sequence.request;
    const Generation& generation = request.generation;
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
    WEIR_TRY_ASSIGN(const auto verdict, request.sink->on_token(sequence.choice, sampled));
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
        metrics_.time_to_first_token.observe(seconds_between(sequence.request->arrived, now));
        metrics_.prefill_time.observe(seconds_between(*sequence.scheduled, now));
    } else {
        metrics_.inter_token.observe(seconds_between(sequence.last_token, now));
    }
    sequence.last_token = now;
}

void Core::finish(Sequence& sequence, chat::FinishReason reason) {
    const std::shared_ptr<Request> request = sequence.request;
    const Clock::TimePoint now = clock_.now();
    const bool is_last = request->unfinished == 1;
    metrics_.finished(reason).add();
    metrics_.request_generation_tokens.observe(sequence.answered());
    metrics_.inference_time.observe(seconds_between(*sequence.scheduled, now));
    if (sequence.first_token) {
        const double decoding = seconds_between(*sequence.first_token, now);
        metrics_.decode_time.observe(decoding);
        if (sequence.answered() > 1) {
            metrics_.time_per_output_token.observe(decoding / (sequence.answered() - 1));
        }
    }
    if (is_last) {
        metrics_.e2e.observe(seconds_between(request->arrived, now));
    }
    request->sink->on_choice_finished(sequence.choice, reason);
    if (is_last) {
        request->sink->on_finished(request->usage);
    }
    --request->unfinished;
    sequences_.erase(sequence.id);  // last: if a sink throws, fail() must find whom to tell
}

void Core::fail(const std::shared_ptr<Request>& request, const Error& error) {
    const std::shared_ptr<Request> kept = request;  // may be a member of what is erased
    const size_t ended =
        std::erase_if(sequences_, [&](const auto& item) { return item.second.request == kept; });
    metrics_.finished_abort.add(ended);
    tell_failed(*kept->sink, error);
}

void Core::fail_all(const Error& error) {
    while (!sequences_.empty()) {
        fail(sequences_.begin()->second.request, error);
    }
}

void Core::fail_running(const Error& error) {
    const auto runs = [](const auto& item) {
        return item.second.state.has_value();
    };
    auto first = std::find_if(sequences_.begin(), sequences_.end(), runs);
    if (first == sequences_.end()) {
        fail_all(error);
        return;
    }
    for (; first != sequences_.end();
         first = std::find_if(sequences_.begin(), sequences_.end(), runs)) {
        fail(first->second.request, error);
    }
}

}  // namespace weir::engine
