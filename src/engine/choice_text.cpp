#include "engine/choice_text.h"

#include <algorithm>
#include <utility>

namespace weir::engine {

chat::TokenLogprob to_chat(const text::Tokenizer& tokenizer, TokenId token,
                           const TokenLogprobs& logprobs) {
    chat::TokenLogprob made{.bytes = std::string(tokenizer.token_bytes(token)),
                            .logprob = logprobs.logprob};
    for (const auto& [id, logprob] : logprobs.top) {
        made.top.push_back({std::string(tokenizer.token_bytes(id)), logprob});
    }
    return made;
}

// An answer continues its prompt: a first token's leading space is text.
ChoiceText::ChoiceText(const text::Tokenizer& tokenizer, const std::vector<std::string>& stops,
                       std::shared_ptr<const std::vector<TokenId>> kept)
    : tokenizer_(tokenizer),
      kept_(std::move(kept)),
      detokenizer_(tokenizer, {.skip_special = true, .continues = true}),
      matcher_(stops) {}

Result<std::string> ChoiceText::text_of(TokenId token) {
    if (kept_ == nullptr || !std::binary_search(kept_->begin(), kept_->end(), token)) {
        return detokenizer_.push(token);
    }
    // A character that a control token interrupts will never be whole.
    return detokenizer_.finish() + std::string(tokenizer_.token_bytes(token));
}

Result<std::optional<chat::TextDelta>> ChoiceText::push(uint32_t choice,
                                                        const SampledToken& token) {
    if (token.logprobs) {
        pending_.push_back({decoded_bytes_ + detokenizer_.held_back_bytes(),
                            to_chat(tokenizer_, token.token, *token.logprobs)});
    }
    WEIR_TRY_ASSIGN(const std::string piece, text_of(token.token));
    decoded_bytes_ += piece.size();
    std::string text = matcher_.push(piece);
    if (text.empty()) {
        return std::nullopt;
    }
    return release(choice, std::move(text));
}

std::optional<chat::TextDelta> ChoiceText::finish(uint32_t choice) {
    std::string text = matcher_.push(detokenizer_.finish());
    text += matcher_.finish();
    if (!matcher_.stopped()) {
        decoded_bytes_ = SIZE_MAX;  // whatever is pending belongs to the text
    }
    auto delta = release(choice, std::move(text));
    if (delta->text.empty() && delta->logprobs.empty()) {
        return std::nullopt;
    }
    return delta;
}

std::optional<chat::TextDelta> ChoiceText::release(uint32_t choice, std::string text) {
    chat::TextDelta delta{.choice = choice, .text = std::move(text)};
    const size_t released = decoded_bytes_ == SIZE_MAX ? SIZE_MAX : matcher_.released_bytes();
    released_begins_.clear();
    size_t count = 0;
    while (count < pending_.size() && pending_[count].begin < released) {
        released_begins_.push_back(pending_[count].begin);
        delta.logprobs.push_back(std::move(pending_[count].logprob));
        ++count;
    }
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(count));
    return delta;
}

}  // namespace weir::engine
