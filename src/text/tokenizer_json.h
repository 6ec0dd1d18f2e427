#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "json/fields.h"
#include "json/flat.h"
#include "text/token_decoder.h"
#include "text/tokenizer_parts.h"

// The parts of tokenizer.json (Hugging Face tokenizers) that stand on their own. Internal to
// Tokenizer::from_tokenizer_json. Everything that is not known is refused by its name: a step left
// out would give other tokens without anybody noticing. `truncation` and `padding` are not read:
// they are what some caller once asked for, not what the model needs.
namespace weir::text {

// ---- Steps ----

// Sequences of sequences are legal; nobody nests them deeply.
inline constexpr int kStepNestingMax = 4;
// Of one kind; BERT's need seven. And how many bytes they may make of one, which bounds what a text
// can cost: a character map takes 33, and Albert's steps together 700.
inline constexpr size_t kStepsMax = 64;
inline constexpr double kGrowthMax = 1024;

std::unexpected<Error> unknown_step(std::string_view kind, std::string_view type);

// The literal of {"String": "…"}; nothing for {"Regex": "…"}, whose text goes to `regex`.
Result<std::optional<std::string>> read_pattern_field(json::Fields& fields, std::string& regex);

// Nothing where it is none.
std::optional<std::string> bytes_of_base64(std::string_view text);

// Calls read(member) for each value of the array `name`.
template <typename Read>
Result<void> read_each_step(json::Fields& fields, std::string_view name, const Read& read) {
    WEIR_TRY_ASSIGN(const json::Array* values, fields.require_array(name));
    for (const json::Value& value : *values) {
        WEIR_TRY(read(value));
    }
    return {};
}

// `value` may be nullptr (absent or null). Errors: Unsupported, DataCorrupt.
Result<void> read_normalizer(const json::Value* value, Normalizer& out);

struct PreTokenizerSteps {
    std::vector<PreTokenizer::Step> steps;
    bool byte_level = false;
};
Result<void> read_pre_tokenizer(const json::Value* value, PreTokenizerSteps& out);

Result<void> read_post_processor(const json::Value* value, Tokenizer::Parts& parts);

// ---- Models ----

// The entry of a vocabulary; texts are borrowed from the file.
struct VocabularyEntry {
    std::string_view text;
    TokenId id;
    double score = 0;
};

// What a model's reader needs to know of the rest of the file.
struct ModelContext {
    // The members of that name where they are arrays or objects; else empty, and in their places.
    const json::Flat& vocab;
    const json::Flat& merges;
    bool byte_level = false;
    std::unordered_set<TokenId> guarded;  // added tokens that must not come out of the model
};

struct JsonModel {
    std::unique_ptr<const TokenModel> model;
    std::vector<VocabularyEntry> vocabulary;
    std::optional<TokenId> unknown;
};

// `model` is the member of that name. Errors: Unsupported for a model that is not known by its
// type, DataCorrupt.
Result<JsonModel> read_model(json::Fields& model, const ModelContext& context);

}  // namespace weir::text
