#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chat/backend.h"
#include "engine/choice_output.h"
#include "engine/generation.h"
#include "text/tokenizer.h"

namespace weir::engine {

// Puts the events of several choices into one order that depends on the events alone: first
// everybody's first, then everybody's second, and so on, by choice number. An event that comes too
// early waits.
//
// Threads: one.
class EventOrder {
  public:
    EventOrder(uint32_t choices, chat::ChatSink& sink) : choices_(choices), sink_(sink) {}

    void push(uint32_t choice, chat::ChatEvent event);
    void close(uint32_t choice);  // no more events of this one

  private:
    void give_out();

    struct Choice {
        std::deque<chat::ChatEvent> events;
        bool is_closed = false;
    };
    std::vector<Choice> choices_;
    uint32_t turn_ = 0;
    chat::ChatSink& sink_;
};

// Turns what the engine says about one request into chat events.
//
// best_of: every candidate is kept until all are there; then the ones with the highest mean log
// probability a token are given out, ties to the lower candidate number.
//
// Threads: the engine's. Ownership: keeps request, sink and tokenizer alive.
class Answer final : public GenerationSink {
  public:
    struct Setup {
        std::shared_ptr<const chat::ChatRequest> request;
        std::shared_ptr<chat::ChatSink> sink;
        std::shared_ptr<const text::Tokenizer> tokenizer;
        chat::Started started;
        std::vector<std::vector<TokenId>> prompts;
        std::vector<std::string> echo;  // the prompts' texts, if they are to be repeated
        uint32_t candidates_each = 1;   // answers that the engine makes to each prompt
        OutputReading reading = {};
    };
    explicit Answer(Setup setup);

    void on_started() override;
    void on_prompt_logprobs(uint32_t prompt, std::vector<TokenLogprobs> logprobs) override;
    Result<Verdict> on_token(uint32_t choice, const SampledToken& token) override;
    void on_choice_finished(uint32_t choice, chat::FinishReason reason) override;
    void on_finished(const chat::Usage& usage) override;
    void on_failed(const Error& error) override;

  private:
    struct Candidate {
        ChoiceOutput output;
        std::vector<chat::ChatEvent> kept;  // best_of only
        double logprob_sum = 0;
        uint32_t tokens = 0;
    };
    void emit(uint32_t candidate, chat::ChatEvent event);
    void emit_echo(uint32_t prompt, std::vector<TokenLogprobs> logprobs);
    void give_out_best();

    Setup setup_;
    const bool ranks_;
    std::vector<Candidate> candidates_;
    EventOrder order_;
};

}  // namespace weir::engine
