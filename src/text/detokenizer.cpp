#include "text/detokenizer.h"

#include <utility>

#include "base/utf8.h"

namespace weir::text {

Detokenizer::Detokenizer(const Tokenizer& tokenizer, DecodeOptions options)
    : tokenizer_(tokenizer),
      options_(options),
      spaces_to_drop_(options.continues ? 0 : tokenizer.leading_spaces_dropped()) {}

Result<std::string> Detokenizer::push(TokenId id) {
    if (id >= tokenizer_.vocab_size()) {
        return invalid_argument("ids", "token {} is not in the vocabulary of {}", id,
                                tokenizer_.vocab_size());
    }
    if (options_.skip_special && tokenizer_.is_control(id)) {
        return std::string();
    }
    std::string_view bytes = tokenizer_.token_bytes(id);
    if (spaces_to_drop_ > 0 && !bytes.empty()) {
        bytes.remove_prefix(bytes.starts_with(' ') ? 1 : 0);
        spaces_to_drop_ = 0;
    }
    held_back_ += bytes;
    const size_t certain = held_back_.size() - utf8::incomplete_tail_bytes(held_back_);
    std::string text = utf8::to_valid(std::string_view(held_back_).substr(0, certain));
    held_back_.erase(0, certain);
    return text;
}

std::string Detokenizer::finish() {
    spaces_to_drop_ = options_.continues ? 0 : tokenizer_.leading_spaces_dropped();
    return utf8::to_valid(std::exchange(held_back_, {}));
}

}  // namespace weir::text
