#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "json/value.h"
#include "text/tokenizer.h"
#include "text/vocab.h"

namespace weir::text {

// What GGUF's own keys (`tokenizer.ggml.*`) say of a tokenizer that another file describes: for
// programs that read nothing else of a GGUF file, as llama.cpp.
//
// Ownership: `spec` borrows from the other members and from the file's text. Move-only.
struct VocabKeys {
    VocabSpec spec;
    // What the keys leave unsaid, each in a few words: texts that it concerns become other tokens
    // there.
    std::vector<std::string> lost;

    std::shared_ptr<const json::Value> file;
    std::deque<std::string> texts;

    VocabKeys() = default;
    VocabKeys(VocabKeys&&) = default;
    VocabKeys& operator=(VocabKeys&&) = default;
};

// Of tokenizer.json, which `tokenizer` was made of. The pre-tokenizer's name is that of the same
// cuts. `vocabulary`: how many tokens the model has; the list of tokens is made as long, for
// readers take its length for the model's. BOS, EOS, the unknown and the padding token are left to
// the caller, who may know them from other files.
//
// Errors: Unsupported, naming the step that the keys cannot say, or where the keys turn out to give
// other tokens: both are asked to encode texts in many scripts and of pieces of the vocabulary.
Result<VocabKeys> vocab_keys_of_json(std::string_view tokenizer_json, const Tokenizer& tokenizer,
                                     size_t vocabulary);

// Of SentencePiece's tokenizer.model, likewise; `config_json` is tokenizer_config.json, or empty.
Result<VocabKeys> vocab_keys_of_sentencepiece(std::span<const std::byte> model,
                                              std::string_view config_json, size_t vocabulary);

}  // namespace weir::text
