#pragma once

#include <cstddef>
#include <memory>
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
    // `kept`: control tokens whose text is wanted, ascending; null for none.
    ChoiceText(const text::Tokenizer& tokenizer, const std::vector<std::string>& stops,
               std::shared_ptr<const std::vector<TokenId>> kept = nullptr);

    // What is certain after this token; nothing if that is no text. Errors: InvalidArgument for a
    // token that the tokenizer does not have.
    Result<std::optional<chat::TextDelta>> push(uint32_t choice, const SampledToken& token);
    // What was held back and is text after all.
    std::optional<chat::TextDelta> finish(uint32_t choice);
    bool stopped() const { return matcher_.stopped(); }
    // Where the texts of the last delta's log probabilities begin, in bytes of all text so far.
    const std::vector<uint64_t>& released_begins() const { return released_begins_; }

  private:
    struct Pending {
        size_t begin;  // where the token's text begins, in bytes
        chat::TokenLogprob logprob;
    };
    Result<std::string> text_of(TokenId token);
    std::optional<chat::TextDelta> release(uint32_t choice, std::string text);

    const text::Tokenizer& tokenizer_;
    std::shared_ptr<const std::vector<TokenId>> kept_;
    text::Detokenizer detokenizer_;
    StopMatcher matcher_;
    size_t decoded_bytes_ = 0;
    std::vector<Pending> pending_;
    std::vector<uint64_t> released_begins_;
};

chat::TokenLogprob to_chat(const text::Tokenizer& tokenizer, TokenId token,
                           const TokenLogprobs& logprobs);

}  // namespace weir::engine
