#include "text/sentencepiece_config.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <vector>

#include "json/fields.h"
#include "text/added_tokens.h"
#include "text/tokenizer_parts.h"

namespace weir::text {
namespace {

using json::Fields;

struct Added {
    uint32_t id = 0;
    std::string_view content;
    bool special = false;
};

// A member that is text, borrowed from the file.
Result<std::string_view> require_text(Fields& fields, std::string_view name) {
    const json::Value* value = fields.get(name);
    const std::string* text = value == nullptr ? nullptr : value->if_string();
    if (text == nullptr) {
        return data_corrupt("{} must be a text", fields.path_of(name));
    }
    return std::string_view(*text);
}

Result<Added> read_added(std::string_view key, const json::Value& value) {
    Added added;
    const auto read = std::from_chars(key.data(), key.data() + key.size(), added.id);
    if (read.ec != std::errc() || read.ptr != key.data() + key.size() ||
        added.id >= kVocabTokensMax) {
        return data_corrupt("added_tokens_decoder has a token whose key is no id");
    }
    WEIR_TRY_ASSIGN(Fields fields, Fields::of(value, "added_tokens_decoder." + std::string(key)));
    WEIR_TRY_ASSIGN(added.content, require_text(fields, "content"));
    if (added.content.empty() || added.content.size() > AddedTokens::kContentBytesMax) {
        return data_corrupt("{} has {} bytes", fields.path_of("content"), added.content.size());
    }
    WEIR_TRY(fields.read("special", added.special));
    for (const std::string_view name : {"lstrip", "rstrip", "single_word"}) {
        bool wanted = false;
        WEIR_TRY(fields.read(name, wanted));
        if (wanted) {
            return unsupported("{}: not supported beside a tokenizer.model", fields.path_of(name));
        }
    }
    return added;
}

// A piece that the file itself calls control, unknown or a byte stays what it is.
void set_type(int32_t& type, bool special) {
    if (type == static_cast<int32_t>(TokenType::Normal) ||
        type == static_cast<int32_t>(TokenType::UserDefined) ||
        type == static_cast<int32_t>(TokenType::Unused)) {
        type = static_cast<int32_t>(special ? TokenType::Control : TokenType::UserDefined);
    }
}

Result<void> add_tokens(const json::Object& decoder, VocabSpec& spec) {
    std::vector<Added> all;
    for (const auto& [key, value] : decoder) {
        WEIR_TRY_ASSIGN(all.emplace_back(), read_added(key, value));
    }
    std::ranges::sort(all, {}, &Added::id);
    for (const Added& added : all) {
        if (added.id > spec.tokens.size()) {
            return data_corrupt("added_tokens_decoder has token {}, but none before it from {} on",
                                added.id, spec.tokens.size());
        }
        if (added.id == spec.tokens.size()) {
            spec.tokens.emplace_back();
            spec.scores.push_back(0);
            spec.types.push_back(static_cast<int32_t>(TokenType::Normal));
        }
        spec.tokens[added.id] = added.content;
        set_type(spec.types[added.id], added.special);
    }
    return {};
}

// A token by its name: "…" or {"content": "…"}. False: there is none of that name, and nothing is
// changed.
Result<bool> read_named(Fields& config, std::string_view name, const VocabSpec& spec,
                        std::optional<uint32_t>& id) {
    const json::Value* value = config.get(name);
    if (value == nullptr) {
        return true;
    }
    std::string_view text;
    if (const std::string* plain = value->if_string()) {
        text = *plain;
    } else {
        WEIR_TRY_ASSIGN(Fields fields, Fields::of(*value, std::string(name)));
        WEIR_TRY_ASSIGN(text, require_text(fields, "content"));
    }
    const auto found = std::ranges::find(spec.tokens, text);
    if (found != spec.tokens.end()) {
        id = static_cast<uint32_t>(found - spec.tokens.begin());
    }
    return found != spec.tokens.end();
}

}  // namespace

Result<void> apply_tokenizer_config(const json::Object& object, VocabSpec& spec) {
    Fields config(object, "");
    WEIR_TRY_ASSIGN(const json::Object* added, config.object("added_tokens_decoder"));
    if (added != nullptr) {
        WEIR_TRY(add_tokens(*added, spec));
    }
    WEIR_TRY(read_named(config, "bos_token", spec, spec.bos_token_id));
    WEIR_TRY_ASSIGN(const bool has_end, read_named(config, "eos_token", spec, spec.eos_token_id));
    if (!has_end) {  // then no answer would end with it
        return data_corrupt("eos_token: the vocabulary has no such token");
    }
    WEIR_TRY(read_named(config, "unk_token", spec, spec.unknown_token_id));
    WEIR_TRY(read_named(config, "pad_token", spec, spec.padding_token_id));
    WEIR_TRY(config.read("add_bos_token", spec.add_bos_token));
    WEIR_TRY(config.read("add_eos_token", spec.add_eos_token));
    return config.read("add_prefix_space", spec.add_space_prefix);
}

}  // namespace weir::text
