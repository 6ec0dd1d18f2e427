#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/event.h"
#include "engine/sampler.h"
#include "engine/stop_matcher.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"

namespace weir::engine {

// The text of one choice: tokens to characters, stop strings taken out, log probabilities kept with
// the text of their tokens.
//
// Threads: one. Ownership: borrows the tokenizer.
class ChoiceText {
  public:
    ChoiceText(const text::Tokenizer& tokenizer, const std::vector<std::string>& stops);

    // What is certain after this token; nothing if that is no text. Errors: InvalidArgument for a
    // token that the tokenizer does not have.
    Result<std::optional<chat::TextDelta>> push(uint32_t choice, const SampledToken& token);
    // What was held back and is text after all.
    std::optional<chat::TextDelta> finish(uint32_t choice);
    bool stopped() const { return matcher_.stopped(); }

  private:
    struct Pending {
        size_t begin;  // where the token's text begins, in bytes
        chat::TokenLogprob logprob;
    };
    std::optional<chat::TextDelta> release(uint32_t choice, std::string text);

    const text::Tokenizer& tokenizer_;
    text::Detokenizer detokenizer_;
    StopMatcher matcher_;
    size_t decoded_bytes_ = 0;
    std::vector<Pending> pending_;
};

chat::TokenLogprob to_chat(const text::Tokenizer& tokenizer, TokenId token,
                           const TokenLogprobs& logprobs);

}  // namespace weir::engine
