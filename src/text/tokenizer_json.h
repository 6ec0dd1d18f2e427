#pragma once

#include <string_view>

#include "base/result.h"
#include "json/fields.h"
#include "text/tokenizer_parts.h"

// The parts of tokenizer.json (Hugging Face tokenizers) that stand on their own. Internal to
// Tokenizer::from_tokenizer_json. Everything that is not known is refused by its name: a step left
// out would give other tokens without anybody noticing.
namespace weir::text {

// `value` may be nullptr (absent or null). Errors: Unsupported, DataCorrupt.
Result<void> read_normalizer(const json::Value* value, Normalizer& out);

struct PreTokenizerSteps {
    std::vector<Splitter> splitters;
    Normalizer normalizer;
    bool byte_level = false;
};
// `normalizer` is what runs before; a Split that can then find nothing is left out.
Result<void> read_pre_tokenizer(const json::Value* value, const Normalizer& normalizer,
                                PreTokenizerSteps& out);

Result<void> read_post_processor(const json::Value* value, Tokenizer::Parts& parts);

struct DecoderSteps {
    bool byte_level = false;
    bool metaspace = false;      // ▁ is a space
    bool byte_fallback = false;  // <0x41> is a byte
    size_t leading_spaces = 0;
};
Result<void> read_decoder(const json::Value* value, DecoderSteps& out);

}  // namespace weir::text
