#include "text/detokenizer.h"

#include <utility>

#include "base/utf8.h"

namespace weir::text {

Detokenizer::Detokenizer(const Tokenizer& tokenizer, DecodeOptions options)
    : tokenizer_(tokenizer), options_(options), begins_(!options.continues) {}

Result<std::string> Detokenizer::push(TokenId id) {
    if (id >= tokenizer_.vocab_size()) {
        return invalid_argument("ids", "token {} is not in the vocabulary of {}", id,
                                tokenizer_.vocab_size());
    }
    if (options_.skip_special && tokenizer_.is_control(id)) {
        return std::string();
    }
    held_back_ +=
        std::exchange(begins_, false) ? tokenizer_.opening_bytes(id) : tokenizer_.decoded_bytes(id);
    const size_t certain = held_back_.size() - utf8::incomplete_tail_bytes(held_back_);
    std::string text = utf8::to_valid(std::string_view(held_back_).substr(0, certain));
    held_back_.erase(0, certain);
    return text;
}

std::string Detokenizer::finish() {
    begins_ = !options_.continues;
    return utf8::to_valid(std::exchange(held_back_, {}));
}

}  // namespace weir::text
