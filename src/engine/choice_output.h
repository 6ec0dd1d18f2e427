#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chat/event.h"
#include "engine/choice_text.h"
#include "text/output/parser.h"

namespace weir::engine {

// How the answers to one request are written, and what was asked about them.
struct OutputReading {
    // Null: the answer is text and nothing else, which is what completions are.
    std::shared_ptr<const text::OutputFormat> format;
    std::shared_ptr<const text::ToolTypes> tools;
    bool finds_calls = false;
    std::string prompt_tail;  // the template's own end of the prompt
    // Control tokens that are part of the format: their texts reach the parser, others are dropped.
    std::shared_ptr<const std::vector<TokenId>> format_tokens;  // ascending
    uint64_t id_seed = 0;                                       // what the ids of calls are made of
};

// The control tokens of which the format's markers are made, ascending.
std::vector<TokenId> format_tokens_of(const text::OutputFormat& format,
                                      const text::Tokenizer& tokenizer);

// An id that every chat template takes (Mistral's want nine letters and digits), the same for the
// same request, and another in the conversation's next turn.
std::string tool_call_id(uint64_t seed, uint32_t choice, uint32_t call);

// One choice of an answer, from tokens to events: text, thoughts, tool calls.
//
// The events depend on the tokens alone. Log probabilities stay with the text that their tokens
// make; those of thoughts, calls and markers are left out.
//
// Threads: one. Ownership: borrows the tokenizer.
class ChoiceOutput {
  public:
    ChoiceOutput(const text::Tokenizer& tokenizer, const std::vector<std::string>& stops,
                 const OutputReading& reading);

    // What is certain after this token. Errors: InvalidArgument for a token that the tokenizer does
    // not have.
    Result<void> push(uint32_t choice, const SampledToken& token,
                      std::vector<chat::ChatEvent>& events);
    // What was held back, and why the choice ended, given why the engine says it did.
    void finish(uint32_t choice, chat::FinishReason reason, std::vector<chat::ChatEvent>& events);

    bool stopped() const { return text_.stopped(); }
    uint64_t reasoning_tokens() const { return reasoning_tokens_; }

  private:
    void take(uint32_t choice, std::optional<chat::TextDelta> delta,
              std::vector<chat::ChatEvent>& events);
    void emit(uint32_t choice, std::vector<text::OutputPiece>& pieces,
              std::vector<chat::ChatEvent>& events);
    chat::TextDelta text_event(uint32_t choice, text::OutputPiece& piece);
    void drop_logprobs_before(uint64_t source);

    struct Pending {
        uint64_t begin;  // in the answer's text, markers and all
        chat::TokenLogprob logprob;
    };
    ChoiceText text_;
    std::optional<text::OutputParser> parser_;
    uint64_t id_seed_;
    bool ids_are_the_models_;
    std::deque<Pending> pending_;
    uint64_t reasoning_tokens_ = 0;
};

}  // namespace weir::engine
