#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/vocab_spec.h"
#include "model/gguf.h"
#include "model/hf_folder.h"

namespace weir::model {

// What a GGUF file says about its tokenizer (`tokenizer.ggml.*`; the model "none": there is none)
// and its chat templates. What a kind of vocabulary needs is there; types and counts are checked
// (scores and types: none, or one per token); what the values mean is the tokenizer's business.
//
// Ownership: all text is views into the file.
struct TokenizerMetadata : VocabSpec {
    std::string_view chat_template;
    // `tokenizer.chat_template.NAME`, sorted by name.
    std::vector<std::pair<std::string_view, std::string_view>> named_templates;
};

// A GGUF file that was made of a folder carries the tokenizer's files as they are, for the keys
// above cannot say all that tokenizer.json does. They win over those keys, which are there for
// other programs; where they can say too little for that, the model's name is kCarriedTokenizer.
// The first key is of the format's specification; the other two, and that name, are Weir's own.
inline constexpr std::string_view kCarriedTokenizer = "huggingface";  // tokenizer.ggml.model
inline constexpr std::string_view kCarriedJson = "tokenizer.huggingface.json";
inline constexpr std::string_view kCarriedConfig = "tokenizer.huggingface.config";
inline constexpr std::string_view kCarriedSentencePiece = "tokenizer.huggingface.sentencepiece";

// Those files; empty where there are none.
Result<HfTokenizerFiles> read_carried_tokenizer(const GgufFile& file);

// Works on any architecture, and on a file without weights. 128k tokens take milliseconds: no text
// is copied.
Result<TokenizerMetadata> read_tokenizer_metadata(const GgufFile& file);

}  // namespace weir::model
