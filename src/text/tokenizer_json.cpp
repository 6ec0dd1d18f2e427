#include "text/tokenizer_json.h"

#include <algorithm>
#include <string>
#include <unordered_set>
#include <utility>

#include "json/parse.h"

namespace weir::text {
namespace {

using json::Fields;

// One reading of tokenizer.json. The order matters: added tokens say which entries of the
// vocabulary are control tokens, and only what is not may come out of merges.
class JsonReader {
  public:
    explicit JsonReader(Fields root) : root_(std::move(root)) {}

    Result<Tokenizer::Parts> read();

  private:
    struct Added {
        AddedToken token;
        bool normalized;
        bool special;
    };

    Result<void> read_added_tokens();
    Result<void> read_vocabulary(Fields& model);
    Result<void> note_id(int64_t id);
    Result<Bpe::Options> read_options(Fields& model);
    Result<void> fill_tokens(Bpe& bpe, const Bpe::Options& options);
    Result<void> add_ordinary(Bpe& bpe, const std::string& text, TokenId id,
                              const Bpe::Options& options);
    Result<void> read_merges(Fields& model, Bpe& bpe);
    Result<void> read_merge(const json::Value& value, size_t rank, Bpe& bpe);
    std::string own_bytes(std::string_view text) const;
    void place_added_tokens();

    Fields root_;
    Tokenizer::Parts parts_;
    PreTokenizerSteps pre_;
    DecoderSteps decoder_;
    std::vector<Added> added_;
    std::vector<std::pair<std::string, TokenId>> vocabulary_;
    std::unordered_set<TokenId> guarded_;  // added tokens that merges must not give
    std::unordered_set<std::string> guarded_texts_;
    size_t ids_end_ = 0;  // the highest id and one
    bool byte_fallback_ = false;
};

Result<void> JsonReader::note_id(int64_t id) {
    if (id < 0 || static_cast<uint64_t>(id) >= kVocabTokensMax) {
        return data_corrupt("tokenizer.json has the token id {}", id);
    }
    ids_end_ = std::max(ids_end_, static_cast<size_t>(id) + 1);
    return {};
}

Result<void> JsonReader::read_added_tokens() {
    WEIR_TRY_ASSIGN(const json::Array* values, root_.array("added_tokens"));
    if (values == nullptr) {
        return {};
    }
    for (const json::Value& value : *values) {
        WEIR_TRY_ASSIGN(Fields fields, Fields::of(value, "added_tokens"));
        Added added{};
        std::optional<int64_t> id;
        WEIR_TRY_ASSIGN(added.token.content, fields.require_string("content"));
        WEIR_TRY(fields.read("id", json::in_range<int64_t>(0, kVocabTokensMax - 1), id));
        WEIR_TRY(fields.read("lstrip", added.token.lstrip));
        WEIR_TRY(fields.read("rstrip", added.token.rstrip));
        WEIR_TRY(fields.read("single_word", added.token.single_word));
        added.normalized = true;
        WEIR_TRY(fields.read("normalized", added.normalized));
        WEIR_TRY(fields.read("special", added.special));
        if (!id || added.token.content.size() > AddedTokens::kContentBytesMax) {
            return data_corrupt("added token {} has no id or is too long", added_.size());
        }
        WEIR_TRY(note_id(*id));
        added.token.id = static_cast<TokenId>(*id);
        added.token.guarded = added.special || looks_like_markup(added.token.content);
        if (added.token.guarded) {
            guarded_.insert(added.token.id);
        }
        added_.push_back(std::move(added));
    }
    return {};
}

Result<void> JsonReader::read_vocabulary(Fields& model) {
    WEIR_TRY_ASSIGN(const json::Object* vocab, model.object("vocab"));
    if (vocab == nullptr || vocab->empty() || vocab->size() > kVocabTokensMax) {
        return data_corrupt("tokenizer.json has no vocabulary, or too large a one");
    }
    vocabulary_.reserve(vocab->size());
    for (const auto& [text, value] : *vocab) {
        const auto* id = std::get_if<int64_t>(&value.storage());
        if (id == nullptr || text.size() > kTokenBytesMax) {
            return data_corrupt("an entry of tokenizer.json's vocabulary is no token");
        }
        WEIR_TRY(note_id(*id));
        vocabulary_.emplace_back(text, static_cast<TokenId>(*id));
    }
    // Ids far above the number of tokens would be allocated for nothing.
    const size_t count = vocabulary_.size() + added_.size();
    if (ids_end_ > count * 4 + 1024) {
        return data_corrupt("tokenizer.json's ids go up to {} for {} tokens", ids_end_ - 1, count);
    }
    parts_.tokens.resize(ids_end_);
    return {};
}

Result<Bpe::Options> JsonReader::read_options(Fields& model) {
    for (const std::string_view name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
        std::optional<std::string> affix;
        WEIR_TRY(model.read(name, affix));
        if (affix && !affix->empty()) {
            return unsupported("tokenizer.json has a {}", name);
        }
    }
    double dropout = 0;
    WEIR_TRY(model.read("dropout", json::in_range(0.0, 1.0), dropout));
    if (dropout > 0) {
        return unsupported("tokenizer.json drops merges at random");
    }
    Bpe::Options options;
    std::optional<std::string> unknown;
    WEIR_TRY(model.read("unk_token", unknown));
    WEIR_TRY(model.read("byte_fallback", byte_fallback_));
    WEIR_TRY(model.read("ignore_merges", options.ignore_merges));
    options.fuse_unknown = false;
    WEIR_TRY(model.read("fuse_unk", options.fuse_unknown));
    options.unit = pre_.byte_level ? Bpe::Unit::Bytes : Bpe::Unit::Characters;
    options.fallback = Bpe::Fallback::BeforeMerging;
    if (unknown) {
        for (const auto& [text, id] : vocabulary_) {
            if (text == *unknown) {
                options.unknown = id;
            }
        }
        parts_.unknown = options.unknown;
    }
    return options;
}

Result<void> JsonReader::add_ordinary(Bpe& bpe, const std::string& text, TokenId id,
                                      const Bpe::Options& options) {
    auto& token = parts_.tokens[id];
    if (!token.bytes.empty()) {
        return data_corrupt("two tokens of tokenizer.json have the id {}", id);
    }
    const bool guarded = guarded_.contains(id);
    if (options.unit == Bpe::Unit::Bytes) {
        auto bytes = bytes_of_byte_level(text);
        token.bytes = bytes ? *std::move(bytes) : text;
        if (guarded) {
            guarded_texts_.insert(token.bytes);
        }
        if (guarded || token.bytes.empty()) {
            return {};
        }
        if (token.bytes.size() == 1) {
            bpe.set_byte_token(static_cast<uint8_t>(token.bytes[0]), id);
        }
        return bpe.add_token(token.bytes, id);
    }
    const auto byte = byte_fallback_ ? byte_of_name(text) : std::nullopt;
    if (byte) {
        bpe.set_byte_token(*byte, id);
    }
    if (byte && decoder_.byte_fallback) {
        token.bytes = std::string(1, static_cast<char>(*byte));
    } else {
        token.bytes = decoder_.metaspace ? spaces_of_metaspace(text) : text;
    }
    if (guarded) {
        guarded_texts_.insert(text);
    }
    return guarded || byte || text.empty() ? Result<void>() : bpe.add_token(text, id);
}

Result<void> JsonReader::fill_tokens(Bpe& bpe, const Bpe::Options& options) {
    for (const auto& [text, id] : vocabulary_) {
        WEIR_TRY(add_ordinary(bpe, text, id, options));
    }
    std::vector<bool> present(parts_.tokens.size());
    for (const auto& [text, id] : vocabulary_) {
        present[id] = true;
    }
    for (const Added& added : added_) {
        present[added.token.id] = true;
        parts_.tokens[added.token.id] = {added.token.content, added.special};
    }
    for (size_t id = 0; id < present.size(); ++id) {
        parts_.tokens[id].control |= !present[id];  // a gap is nothing that a model says
    }
    return {};
}

// A text of the file as the symbols spell it.
std::string JsonReader::own_bytes(std::string_view text) const {
    if (pre_.byte_level) {
        if (auto bytes = bytes_of_byte_level(text)) {
            return *std::move(bytes);
        }
    }
    return std::string(text);
}

Result<void> JsonReader::read_merge(const json::Value& value, size_t rank, Bpe& bpe) {
    std::string_view left;
    std::string_view right;
    if (const std::string* text = value.if_string()) {
        const size_t space = text->find(' ');
        if (space == std::string::npos) {
            return data_corrupt("merge {} is not two tokens", rank);
        }
        left = std::string_view(*text).substr(0, space);
        right = std::string_view(*text).substr(space + 1);
    } else if (const json::Array* pair = value.if_array(); pair != nullptr && pair->size() == 2 &&
                                                           (*pair)[0].if_string() != nullptr &&
                                                           (*pair)[1].if_string() != nullptr) {
        left = *(*pair)[0].if_string();
        right = *(*pair)[1].if_string();
    } else {
        return data_corrupt("merge {} is not two tokens", rank);
    }
    const std::string left_bytes = own_bytes(left);
    const std::string right_bytes = own_bytes(right);
    const std::string joined = left_bytes + right_bytes;
    if (guarded_texts_.contains(left_bytes) || guarded_texts_.contains(right_bytes) ||
        guarded_texts_.contains(joined)) {
        return {};  // a control token must not come out of merges
    }
    const uint32_t left_id = bpe.find(left_bytes);
    const uint32_t right_id = bpe.find(right_bytes);
    const uint32_t result = bpe.find(joined);
    if (left_id == TextIndex::kNone || right_id == TextIndex::kNone || result == TextIndex::kNone) {
        return data_corrupt("merge {} names a token that is not in the vocabulary", rank);
    }
    bpe.add_merge(left_id, right_id, {static_cast<uint32_t>(rank), result});
    return {};
}

Result<void> JsonReader::read_merges(Fields& model, Bpe& bpe) {
    WEIR_TRY_ASSIGN(const json::Array* merges, model.require_array("merges"));
    if (merges->size() > kMergesMax) {
        return data_corrupt("tokenizer.json has {} merges", merges->size());
    }
    for (size_t rank = 0; rank < merges->size(); ++rank) {
        WEIR_TRY(read_merge((*merges)[rank], rank, bpe));
    }
    return {};
}

void JsonReader::place_added_tokens() {
    for (Added& added : added_) {
        if (added.normalized) {
            added.token.content =
                parts_.normalizer.apply(added.token.content, Normalizer::Place::TextStart);
            parts_.added_normalized.add(std::move(added.token));
        } else {
            parts_.added.add(std::move(added.token));
        }
    }
}

Result<Tokenizer::Parts> JsonReader::read() {
    WEIR_TRY_ASSIGN(const json::Object* model_object, root_.object("model"));
    if (model_object == nullptr) {
        return data_corrupt("tokenizer.json has no model");
    }
    Fields model(*model_object, "model");
    std::string type = "BPE";
    WEIR_TRY(model.read("type", type));
    if (type != "BPE") {
        return unsupported("tokenizer.json has the model '{}', which is not known",
                           type.substr(0, 64));
    }
    WEIR_TRY(read_normalizer(root_.get("normalizer"), parts_.normalizer));
    WEIR_TRY(read_pre_tokenizer(root_.get("pre_tokenizer"), parts_.normalizer, pre_));
    WEIR_TRY(read_decoder(root_.get("decoder"), decoder_));
    WEIR_TRY(read_added_tokens());
    WEIR_TRY(read_vocabulary(model));
    WEIR_TRY_ASSIGN(const Bpe::Options options, read_options(model));
    auto bpe = std::make_unique<Bpe>(options);
    WEIR_TRY(fill_tokens(*bpe, options));
    WEIR_TRY(read_merges(model, *bpe));
    bpe->finish(parts_.tokens.size());
    parts_.bpe = std::move(bpe);
    WEIR_TRY(read_post_processor(root_.get("post_processor"), parts_));
    place_added_tokens();
    parts_.pre_tokenizer = PreTokenizer(std::move(pre_.splitters));
    parts_.piece_normalizer = std::move(pre_.normalizer);
    parts_.leading_spaces = decoder_.leading_spaces;
    return std::move(parts_);
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
    const uint32_t id = parts.bpe->find(text);
    return id < parts.tokens.size() ? std::optional(id) : std::nullopt;
}

Result<void> read_config(std::string_view text, bool has_template, Tokenizer::Parts& parts) {
    WEIR_TRY_ASSIGN(const json::Value value, json::parse(text));
    WEIR_TRY_ASSIGN(Fields config, Fields::of(value, "tokenizer_config"));
    WEIR_TRY_ASSIGN(parts.bos, named_token(config, "bos_token", parts));
    WEIR_TRY_ASSIGN(parts.eos, named_token(config, "eos_token", parts));
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
    const auto value = json::parse(json);
    if (!value) {
        return std::unexpected(as_corrupt(value.error(), "tokenizer.json"));
    }
    auto root = Fields::of(*value, "");
    if (!root) {
        return std::unexpected(as_corrupt(std::move(root).error(), "tokenizer.json"));
    }
    const bool has_template = root->get("post_processor") != nullptr;
    auto parts = JsonReader(*std::move(root)).read();
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
