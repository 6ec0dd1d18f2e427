#pragma once

#include <string>

#include "base/result.h"
#include "text/tokenizer.h"

namespace weir::text {

// Turns a stream of tokens into a stream of UTF-8 text. A character whose bytes are spread over
// several tokens is held back until it is whole; bytes that can not become one are given as U+FFFD.
// All chunks and finish() together are utf8::to_valid(Tokenizer::decode(all ids, options)).
//
// Threads: one stream, one thread. Ownership: borrows the tokenizer.
class Detokenizer {
  public:
    explicit Detokenizer(const Tokenizer& tokenizer, DecodeOptions options = {});

    // The text that is certain now; often empty. Errors: InvalidArgument for an unknown id, which
    // is then not part of the text.
    Result<std::string> push(TokenId id);
    // What is still held back, as U+FFFD; the stream starts anew after it.
    std::string finish();

    size_t held_back_bytes() const { return held_back_.size(); }

  private:
    const Tokenizer& tokenizer_;
    DecodeOptions options_;
    bool begins_;  // the next token is the first of its text
    std::string held_back_;
};

}  // namespace weir::text
