#include "model/tokenizer_metadata.h"

#include <array>
#include <limits>
#include <string>

namespace weir::model {

namespace {

constexpr std::string_view kPrefix = "tokenizer.ggml.";
constexpr std::string_view kTemplate = "tokenizer.chat_template";

std::string key_of(std::string_view name) {
    return std::string(kPrefix).append(name);
}

template <typename Id>
using IdField = std::pair<std::string_view, std::optional<Id> TokenizerMetadata::*>;

constexpr std::array<IdField<uint32_t>, 9> kIds = {{
    {"bos_token_id", &TokenizerMetadata::bos_token_id},
    {"eos_token_id", &TokenizerMetadata::eos_token_id},
    {"eot_token_id", &TokenizerMetadata::eot_token_id},
    {"eom_token_id", &TokenizerMetadata::eom_token_id},
    {"unknown_token_id", &TokenizerMetadata::unknown_token_id},
    {"padding_token_id", &TokenizerMetadata::padding_token_id},
    {"seperator_token_id", &TokenizerMetadata::separator_token_id},  // the format spells it so
    {"cls_token_id", &TokenizerMetadata::cls_token_id},
    {"mask_token_id", &TokenizerMetadata::mask_token_id},
}};

constexpr std::array<IdField<bool>, 7> kFlags = {{
    {"add_bos_token", &TokenizerMetadata::add_bos_token},
    {"add_eos_token", &TokenizerMetadata::add_eos_token},
    {"add_sep_token", &TokenizerMetadata::add_sep_token},
    {"add_space_prefix", &TokenizerMetadata::add_space_prefix},
    {"remove_extra_whitespaces", &TokenizerMetadata::remove_extra_whitespaces},
    {"normalizer.lowercase", &TokenizerMetadata::normalizer_lowercase},
    {"normalizer.strip_accents", &TokenizerMetadata::normalizer_strip_accents},
}};

// What a kind of vocabulary means nothing without. Old converters left some of it out, and every
// guess gives other tokens for some texts, which no answer shows: without `pre` a text is cut into
// other words, without types the control tokens are words that anybody may write.
struct NeededKey {
    std::string_view model;
    std::string_view name;
};
constexpr NeededKey kNeeded[] = {
    {"gpt2", "pre"},          {"gpt2", "token_type"}, {"gpt2", "merges"},      {"gemma4", "merges"},
    {"gemma4", "token_type"}, {"llama", "scores"},    {"llama", "token_type"}, {"t5", "scores"},
    {"t5", "token_type"},     {"bert", "token_type"}};

Result<void> check_needed(const GgufFile& file, const TokenizerMetadata& metadata) {
    for (const auto& [model, name] : kNeeded) {
        const bool is_empty = name == "pre" && metadata.pre.empty();
        if (model == metadata.model && (is_empty || file.find(key_of(name)) == nullptr)) {
            return data_corrupt(
                "key {} is missing, and what this vocabulary means cannot be known without it: "
                "convert the model again with a newer converter",
                key_of(name));
        }
    }
    return {};
}

Result<void> read_vocabulary(const GgufFile& file, TokenizerMetadata& out) {
    WEIR_TRY_ASSIGN(out.tokens, file.find_texts(key_of("tokens")));
    WEIR_TRY_ASSIGN(out.scores, file.find_floats(key_of("scores")));
    WEIR_TRY_ASSIGN(out.types, file.find_ints(key_of("token_type")));
    WEIR_TRY_ASSIGN(out.merges, file.find_texts(key_of("merges")));
    if (!out.scores.empty() && out.scores.size() != out.tokens.size()) {
        return data_corrupt("key {}: {} scores for {} tokens", key_of("scores"), out.scores.size(),
                            out.tokens.size());
    }
    if (!out.types.empty() && out.types.size() != out.tokens.size()) {
        return data_corrupt("key {}: {} types for {} tokens", key_of("token_type"),
                            out.types.size(), out.tokens.size());
    }
    return {};
}

// Whether an id names a token is for the tokenizer to say.
Result<void> read_ids(const GgufFile& file, TokenizerMetadata& out) {
    constexpr uint64_t kNone = std::numeric_limits<uint32_t>::max();  // some converters write it
    for (const auto& [name, member] : kIds) {
        WEIR_TRY_ASSIGN(const auto id, file.find_unsigned(key_of(name)));
        if (id && *id > kNone) {
            return data_corrupt("key {}: {} is no token id", key_of(name), *id);
        }
        if (id && *id != kNone) {
            out.*member = static_cast<uint32_t>(*id);
        }
    }
    for (const auto& [name, member] : kFlags) {
        WEIR_TRY_ASSIGN(out.*member, file.find_bool(key_of(name)));
    }
    return {};
}

Result<void> read_templates(const GgufFile& file, TokenizerMetadata& out) {
    for (const GgufEntry& entry : file.entries()) {
        if (!entry.key.starts_with(kTemplate) || entry.type != GgufValueType::String) {
            continue;  // `tokenizer.chat_templates` lists the names
        }
        WEIR_TRY_ASSIGN(const auto text, file.find_text(entry.key));
        if (entry.key.size() == kTemplate.size()) {
            out.chat_template = *text;
        } else if (entry.key[kTemplate.size()] == '.') {
            out.named_templates.emplace_back(entry.key.substr(kTemplate.size() + 1), *text);
        }
    }
    return {};
}

}  // namespace

Result<HfTokenizerFiles> read_carried_tokenizer(const GgufFile& file) {
    HfTokenizerFiles files;
    WEIR_TRY_ASSIGN(const auto model, file.find_text(key_of("model")));
    WEIR_TRY_ASSIGN(const auto config, file.find_text(kCarriedConfig));
    if (model != kCarriedTokenizer && !config) {
        return files;  // somebody else's tokenizer.json, if any, lacks the names of special tokens
    }
    WEIR_TRY_ASSIGN(const auto json, file.find_text(kCarriedJson));
    WEIR_TRY_ASSIGN(const auto sentencepiece, file.find_bytes(kCarriedSentencePiece));
    files.tokenizer_json = json.value_or(std::string_view());
    files.tokenizer_config_json = config.value_or(std::string_view());
    files.tokenizer_model.assign(reinterpret_cast<const char*>(sentencepiece.data()),
                                 sentencepiece.size());
    if (files.tokenizer_json.empty() && files.tokenizer_model.empty()) {
        return data_corrupt("key {} is missing", kCarriedJson);
    }
    return files;
}

Result<TokenizerMetadata> read_tokenizer_metadata(const GgufFile& file) {
    TokenizerMetadata out;
    WEIR_TRY_ASSIGN(const auto model, file.find_text(key_of("model")));
    WEIR_TRY_ASSIGN(const auto pre, file.find_text(key_of("pre")));
    out.model = model.value_or(std::string_view());
    out.pre = pre.value_or(std::string_view());
    WEIR_TRY(check_needed(file, out));
    WEIR_TRY(read_vocabulary(file, out));
    WEIR_TRY(read_ids(file, out));
    WEIR_TRY(read_templates(file, out));
    WEIR_TRY_ASSIGN(out.precompiled_charsmap, file.find_bytes(key_of("precompiled_charsmap")));
    return out;
}

}  // namespace weir::model
