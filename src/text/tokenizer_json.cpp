#include "text/tokenizer_json.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include "json/parse.h"

namespace weir::text {
namespace {

using json::Fields;

struct Added {
    AddedToken token;
    bool normalized = true;
    bool special = false;
};

Result<Added> read_added(const json::Value& value, size_t index) {
    WEIR_TRY_ASSIGN(Fields fields, Fields::of(value, fmt::format("added_tokens[{}]", index)));
    Added added;
    std::optional<int64_t> id;
    WEIR_TRY_ASSIGN(added.token.content, fields.require_string("content"));
    WEIR_TRY(fields.read("id", json::in_range<int64_t>(0, kVocabTokensMax - 1), id));
    WEIR_TRY(fields.read("lstrip", added.token.lstrip));
    WEIR_TRY(fields.read("rstrip", added.token.rstrip));
    WEIR_TRY(fields.read("single_word", added.token.single_word));
    WEIR_TRY(fields.read("special", added.special));
    added.normalized = !added.special;
    WEIR_TRY(fields.read("normalized", added.normalized));
    if (!id) {
        return data_corrupt("{} is missing", fields.path_of("id"));
    }
    if (added.token.content.size() > AddedTokens::kContentBytesMax) {
        return data_corrupt("{} has {} bytes", fields.path_of("content"),
                            added.token.content.size());
    }
    added.token.id = static_cast<TokenId>(*id);
    added.token.guarded = added.special || looks_like_markup(added.token.content);
    return added;
}

Result<std::vector<Added>> read_added_tokens(Fields& root) {
    std::vector<Added> all;
    WEIR_TRY_ASSIGN(const json::Array* values, root.array("added_tokens"));
    if (values == nullptr) {
        return all;
    }
    if (values->size() > kVocabTokensMax) {
        return data_corrupt("added_tokens has {} tokens", values->size());
    }
    std::unordered_map<TokenId, size_t> by_id;
    for (const json::Value& value : *values) {
        WEIR_TRY_ASSIGN(Added added, read_added(value, all.size()));
        const auto [same, is_new] = by_id.try_emplace(added.token.id, all.size());
        if (!is_new && all[same->second].token.content != added.token.content) {
            return data_corrupt("added_tokens[{}] and [{}] have the same id {}", same->second,
                                all.size(), added.token.id);
        }
        all.push_back(std::move(added));
    }
    return all;
}

// What the vocabulary and the added tokens say about every id.
Result<void> fill_tokens(std::span<const VocabularyEntry> vocabulary, std::span<const Added> added,
                         const TokenDecoder& decoder, Tokenizer::Parts& parts) {
    size_t ids_end = 0;
    for (const VocabularyEntry& entry : vocabulary) {
        ids_end = std::max(ids_end, size_t{entry.id} + 1);
    }
    for (const Added& token : added) {
        ids_end = std::max(ids_end, size_t{token.token.id} + 1);
    }
    // Ids far above the number of tokens would be allocated for nothing.
    const size_t count = vocabulary.size() + added.size();
    if (ids_end > count * 4 + 1024) {
        return data_corrupt("tokenizer.json's ids go up to {} for {} tokens", ids_end - 1, count);
    }
    parts.tokens.resize(ids_end);
    std::vector<std::string_view> texts(ids_end);
    std::vector<bool> present(ids_end);
    for (const VocabularyEntry& entry : vocabulary) {
        if (present[entry.id]) {
            return data_corrupt("model.vocab has '{}' and '{}' with the same id {}",
                                texts[entry.id].substr(0, 64), entry.text.substr(0, 64), entry.id);
        }
        present[entry.id] = true;
        texts[entry.id] = entry.text;
    }
    for (const Added& token : added) {
        const TokenId id = token.token.id;
        if (present[id] && texts[id] != token.token.content) {
            return data_corrupt("the id {} is '{}' in model.vocab and '{}' in added_tokens", id,
                                texts[id].substr(0, 64), token.token.content.substr(0, 64));
        }
        present[id] = true;
        texts[id] = token.token.content;
        parts.tokens[id].control |= token.special;
    }
    for (TokenId id = 0; id < ids_end; ++id) {
        if (!present[id]) {
            parts.tokens[id].control = true;  // a gap is nothing that a model says
            continue;
        }
        std::string bytes = decoder.bytes_of(texts[id], TokenDecoder::Place::Behind);
        if (decoder.leading_spaces() > 0) {
            std::string opening = decoder.bytes_of(texts[id], TokenDecoder::Place::First);
            if (std::string_view(bytes).substr(bytes.starts_with(' ') ? 1 : 0) != opening) {
                parts.openings.emplace(id, std::move(opening));
            }
        }
        if (parts.tokens[id].control && bytes != texts[id]) {
            parts.control_bytes.emplace(id, std::move(bytes));
            bytes = std::string(texts[id]);
        }
        parts.tokens[id].bytes = std::move(bytes);
    }
    return {};
}

Result<void> place_added_tokens(std::vector<Added> added, Tokenizer::Parts& parts) {
    for (Added& token : added) {
        if (token.normalized) {
            token.token.content =
                parts.normalizer.apply(token.token.content, Normalizer::Place::TextStart);
            WEIR_TRY(parts.added_normalized.add(std::move(token.token)));
        } else {
            WEIR_TRY(parts.added.add(std::move(token.token)));
        }
    }
    return {};
}

// The order matters: added tokens say which entries of the vocabulary are control tokens, and only
// what is not may come out of the model.
Result<Tokenizer::Parts> read_file(Fields& root, const json::Flat& vocab,
                                   const json::Flat& merges) {
    Tokenizer::Parts parts;
    PreTokenizerSteps pre;
    WEIR_TRY(read_normalizer(root.get("normalizer"), parts.normalizer));
    WEIR_TRY(read_pre_tokenizer(root.get("pre_tokenizer"), pre));
    WEIR_TRY_ASSIGN(const TokenDecoder decoder, TokenDecoder::read(root.get("decoder")));
    WEIR_TRY_ASSIGN(std::vector<Added> added, read_added_tokens(root));
    WEIR_TRY_ASSIGN(const json::Object* model_object, root.object("model"));
    if (model_object == nullptr) {
        return data_corrupt("tokenizer.json has no model");
    }
    ModelContext context{
        .vocab = vocab, .merges = merges, .byte_level = pre.byte_level, .guarded = {}};
    for (const Added& token : added) {
        if (token.token.guarded) {
            context.guarded.insert(token.token.id);
        }
    }
    Fields model_fields(*model_object, "model");
    WEIR_TRY_ASSIGN(JsonModel model, read_model(model_fields, context));
    WEIR_TRY(fill_tokens(model.vocabulary, added, decoder, parts));
    parts.model = std::move(model.model);
    parts.unknown = model.unknown;
    WEIR_TRY(read_post_processor(root.get("post_processor"), parts));
    WEIR_TRY(place_added_tokens(std::move(added), parts));
    parts.pre_tokenizer = PreTokenizer(std::move(pre.steps));
    parts.leading_spaces = decoder.leading_spaces();
    return parts;
}

// A token by its name, as tokenizer_config.json gives it: "…" or {"content": "…"}.
Result<std::optional<TokenId>> named_token(Fields& config, std::string_view name,
                                           const Tokenizer::Parts& parts) {
    const json::Value* value = config.get(name);
    if (value == nullptr) {
        return std::nullopt;
    }
    std::string text;
    if (const std::string* plain = value->if_string()) {
        text = *plain;
    } else {
        WEIR_TRY_ASSIGN(Fields fields, Fields::of(*value, std::string(name)));
        WEIR_TRY_ASSIGN(text, fields.require_string("content"));
    }
    if (const auto id = parts.added.find(text)) {
        return id;
    }
    if (const auto id = parts.added_normalized.find(text)) {
        return id;
    }
    return parts.model->find(text);
}

Result<void> read_config(std::string_view text, bool has_template, Tokenizer::Parts& parts) {
    WEIR_TRY_ASSIGN(const json::Value value, json::parse(text, json::kModelFile));
    WEIR_TRY_ASSIGN(Fields config, Fields::of(value, "tokenizer_config"));
    WEIR_TRY_ASSIGN(parts.bos, named_token(config, "bos_token", parts));
    WEIR_TRY_ASSIGN(parts.eos, named_token(config, "eos_token", parts));
    if (config.get("eos_token") != nullptr && !parts.eos) {  // then no answer would end with it
        return data_corrupt("eos_token: the vocabulary has no such token");
    }
    WEIR_TRY_ASSIGN(parts.padding, named_token(config, "pad_token", parts));
    if (!parts.unknown) {
        WEIR_TRY_ASSIGN(parts.unknown, named_token(config, "unk_token", parts));
    }
    if (has_template) {
        return {};
    }
    bool add_bos = false;
    bool add_eos = false;
    WEIR_TRY(config.read("add_bos_token", add_bos));
    WEIR_TRY(config.read("add_eos_token", add_eos));
    if (add_bos && parts.bos) {
        parts.prefix.push_back(*parts.bos);
    }
    if (add_eos && parts.eos) {
        parts.suffix.push_back(*parts.eos);
    }
    return {};
}

}  // namespace

Result<Tokenizer> Tokenizer::from_tokenizer_json(std::string_view json,
                                                 std::string_view config_json) {
    json::FlatMember large[] = {{"model", "vocab"}, {"model", "merges"}};
    const auto value = json::parse(json, large, json::kModelFile);
    if (!value) {
        return std::unexpected(as_corrupt(value.error(), "tokenizer.json"));
    }
    auto root = Fields::of(*value, "");
    if (!root) {
        return std::unexpected(as_corrupt(std::move(root).error(), "tokenizer.json"));
    }
    const bool has_template = root->get("post_processor") != nullptr;
    auto parts = read_file(*root, large[0].flat, large[1].flat);
    if (!parts) {
        return std::unexpected(as_corrupt(std::move(parts).error(), "tokenizer.json"));
    }
    if (!config_json.empty()) {
        auto config = read_config(config_json, has_template, *parts);
        if (!config) {
            return std::unexpected(as_corrupt(std::move(config).error(), "tokenizer_config.json"));
        }
    } else if (!parts->prefix.empty()) {
        parts->bos = parts->prefix.front();
    }
    return from_parts(*std::move(parts));
}

}  // namespace weir::text
