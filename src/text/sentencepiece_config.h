#pragma once

#include "base/result.h"
#include "json/value.h"
#include "text/vocab.h"

namespace weir::text {

// Lays what tokenizer_config.json says over what tokenizer.model says: the tokens of
// `added_tokens_decoder`, which the model's vocabulary has and the SentencePiece file does not, the
// names of BOS, EOS, unknown and padding, and what is put around a text. Internal to
// Tokenizer::from_sentencepiece.
//
// Ownership: afterwards `spec` borrows from `config` too.
// Errors: Unsupported for an added token that takes the spaces beside it along or must be a word of
// its own; DataCorrupt.
Result<void> apply_tokenizer_config(const json::Object& config, VocabSpec& spec);

}  // namespace weir::text
