#include "engine/answer.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

namespace weir::engine {

void EventOrder::push(uint32_t choice, chat::ChatEvent event) {
    choices_[choice].events.push_back(std::move(event));
    give_out();
}

void EventOrder::close(uint32_t choice) {
    choices_[choice].is_closed = true;
    give_out();
}

void EventOrder::give_out() {
    uint32_t passed = 0;  // closed choices in a row
    while (passed < choices_.size()) {
        Choice& next = choices_[turn_];
        if (!next.events.empty()) {
            sink_.on_event(std::move(next.events.front()));
            next.events.pop_front();
            passed = 0;
        } else if (next.is_closed) {
            ++passed;
        } else {
            return;  // its event is still to come
        }
        turn_ = (turn_ + 1) % static_cast<uint32_t>(choices_.size());
    }
}

Answer::Answer(Setup setup)
    : setup_(std::move(setup)),
      ranks_(setup_.candidates_each > setup_.request->sampling.choices),
      order_(chat::choice_count(*setup_.request), *setup_.sink) {
    const size_t count = setup_.prompts.size() * setup_.candidates_each;
    for (size_t i = 0; i < count; ++i) {
        candidates_.push_back(
            {.output =
                 ChoiceOutput(*setup_.tokenizer, setup_.request->sampling.stop, setup_.reading)});
    }
}

void Answer::emit(uint32_t candidate, chat::ChatEvent event) {
    if (ranks_) {
        candidates_[candidate].kept.push_back(std::move(event));
    } else {
        order_.push(candidate, std::move(event));
    }
}

void Answer::on_started() {
    setup_.sink->on_event(setup_.started);
    if (!setup_.echo.empty() && !setup_.request->sampling.logprobs) {
        for (uint32_t prompt = 0; prompt < setup_.prompts.size(); ++prompt) {
            emit_echo(prompt, {});
        }
    }
}

void Answer::on_prompt_logprobs(uint32_t prompt, std::vector<TokenLogprobs> logprobs) {
    emit_echo(prompt, std::move(logprobs));
}

// With log probabilities there is one for each prompt token; a text's first has none (NaN).
void Answer::emit_echo(uint32_t prompt, std::vector<TokenLogprobs> logprobs) {
    chat::TextDelta delta{.text = setup_.echo[prompt]};
    const auto& tokens = setup_.prompts[prompt];
    if (setup_.request->sampling.logprobs) {
        const TokenLogprobs none{.logprob = std::numeric_limits<float>::quiet_NaN()};
        // A BOS that the tokenizer put there is no part of what the client wrote.
        const std::string_view first = setup_.tokenizer->token_bytes(tokens.front());
        const bool is_added =
            setup_.tokenizer->is_control(tokens.front()) && !setup_.echo[prompt].starts_with(first);
        for (size_t i = is_added ? 1 : 0; i < tokens.size(); ++i) {
            delta.logprobs.push_back(
                to_chat(*setup_.tokenizer, tokens[i], i == 0 ? none : logprobs[i - 1]));
        }
    }
    for (uint32_t k = 0; k < setup_.candidates_each; ++k) {
        const uint32_t candidate = prompt * setup_.candidates_each + k;
        delta.choice = candidate;
        emit(candidate, delta);
    }
}

Result<GenerationSink::Verdict> Answer::on_token(uint32_t choice, const SampledToken& token) {
    Candidate& candidate = candidates_[choice];
    candidate.logprob_sum += token.logprob_for_rank;
    ++candidate.tokens;
    std::vector<chat::ChatEvent> events;
    if (auto pushed = candidate.output.push(choice, token, events); !pushed) {
        // No fault of the request, and no end that the model meant.
        return fail(ErrorCode::Internal, "the model said token {}, which its tokenizer lacks",
                    token.token);
    }
    for (chat::ChatEvent& event : events) {
        emit(choice, std::move(event));
    }
    return candidate.output.stopped() ? Verdict::Stop : Verdict::Continue;
}

void Answer::on_choice_finished(uint32_t choice, chat::FinishReason reason) {
    std::vector<chat::ChatEvent> events;
    candidates_[choice].output.finish(choice, reason, events);
    for (chat::ChatEvent& event : events) {
        emit(choice, std::move(event));
    }
    if (!ranks_) {
        order_.close(choice);
    }
}

void Answer::give_out_best() {
    const uint32_t wanted = setup_.request->sampling.choices;
    for (uint32_t prompt = 0; prompt < setup_.prompts.size(); ++prompt) {
        std::vector<uint32_t> ranked(setup_.candidates_each);
        std::iota(ranked.begin(), ranked.end(), prompt * setup_.candidates_each);
        const auto mean = [&](uint32_t index) {
            const Candidate& one = candidates_[index];
            return one.tokens == 0 ? 0.0 : one.logprob_sum / one.tokens;
        };
        std::stable_sort(ranked.begin(), ranked.end(),
                         [&](uint32_t a, uint32_t b) { return mean(a) > mean(b); });
        for (uint32_t k = 0; k < wanted; ++k) {
            const uint32_t choice = prompt * wanted + k;
            for (chat::ChatEvent& event : candidates_[ranked[k]].kept) {
                if (auto* const delta = std::get_if<chat::TextDelta>(&event)) {
                    delta->choice = choice;
                } else if (auto* const finished = std::get_if<chat::ChoiceFinished>(&event)) {
                    finished->choice = choice;
                }
                order_.push(choice, std::move(event));
            }
            order_.close(choice);
        }
    }
}

void Answer::on_finished(const chat::Usage& usage) {
    if (ranks_) {
        give_out_best();
    }
    chat::Usage all = usage;
    for (const Candidate& candidate : candidates_) {
        all.reasoning_tokens += candidate.output.reasoning_tokens();
    }
    setup_.sink->on_event(chat::Finished{all});
}

void Answer::on_failed(const Error& error) {
    setup_.sink->on_event(error);
}

}  // namespace weir::engine
