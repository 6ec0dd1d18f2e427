// Tokenizer::from_spec: what GGUF says about a tokenizer.

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "text/tokenizer_parts.h"

namespace weir::text {
namespace {

bool is_known_type(int32_t type) {
    return type >= static_cast<int32_t>(TokenType::Normal) &&
           type <= static_cast<int32_t>(TokenType::Byte);
}

Result<void> check_counts(const VocabSpec& spec) {
    const size_t count = spec.tokens.size();
    if (count == 0 || count > kVocabTokensMax) {
        return data_corrupt("the vocabulary has {} tokens", count);
    }
    if (!spec.scores.empty() && spec.scores.size() != count) {
        return data_corrupt("{} scores for {} tokens", spec.scores.size(), count);
    }
    if (!spec.types.empty() && spec.types.size() != count) {
        return data_corrupt("{} token types for {} tokens", spec.types.size(), count);
    }
    if (spec.merges.size() > kMergesMax) {
        return data_corrupt("{} merges", spec.merges.size());
    }
    for (size_t id = 0; id < count; ++id) {
        if (spec.tokens[id].size() > kTokenBytesMax) {
            return data_corrupt("token {} has {} bytes", id, spec.tokens[id].size());
        }
        if (!spec.types.empty() && spec.types[id] != 0 && !is_known_type(spec.types[id])) {
            return data_corrupt("token {} has the unknown type {}", id, spec.types[id]);
        }
        if (!spec.scores.empty() && std::isnan(spec.scores[id])) {
            return data_corrupt("token {} has no number for a score", id);
        }
    }
    return {};
}

Result<void> check_ids(const VocabSpec& spec) {
    const std::pair<std::string_view, std::optional<uint32_t>> ids[] = {
        {"bos_token_id", spec.bos_token_id},
        {"eos_token_id", spec.eos_token_id},
        {"eot_token_id", spec.eot_token_id},
        {"eom_token_id", spec.eom_token_id},
        {"unknown_token_id", spec.unknown_token_id},
        {"padding_token_id", spec.padding_token_id},
        {"seperator_token_id", spec.separator_token_id},
        {"cls_token_id", spec.cls_token_id},
        {"mask_token_id", spec.mask_token_id}};
    for (const auto& [name, id] : ids) {
        if (id && *id >= spec.tokens.size()) {
            return data_corrupt("tokenizer.ggml.{} is {}, the vocabulary has {} tokens", name, *id,
                                spec.tokens.size());
        }
    }
    return {};
}

// Type 0 ("undefined") is what some writers leave for ordinary tokens.
TokenType type_of(const VocabSpec& spec, size_t id) {
    if (spec.types.empty() || spec.types[id] == 0) {
        return TokenType::Normal;
    }
    return static_cast<TokenType>(spec.types[id]);
}

// Control tokens, and what a model's own ids declare to be one.
bool is_control_token(const VocabSpec& spec, size_t id) {
    const TokenType type = type_of(spec, id);
    if (type == TokenType::Control || type == TokenType::Unknown) {
        return true;
    }
    const auto is = [id](std::optional<uint32_t> special) {
        return special && *special == id;
    };
    return is(spec.bos_token_id) || is(spec.eos_token_id) || is(spec.eot_token_id) ||
           is(spec.eom_token_id);
}

// Fills tokens, added tokens, ids; `bytes_of` says what an ordinary token adds to a text.
class SpecReader {
  public:
    explicit SpecReader(const VocabSpec& spec) : spec_(spec) {}

    Result<Tokenizer::Parts> byte_level();
    Result<Tokenizer::Parts> sentencepiece();

  private:
    void add_named(size_t id);
    void set_ids();
    void set_ends(bool bos_by_default);
    Result<void> read_byte_level_tokens(Bpe& bpe);
    Result<void> read_merges(Bpe& bpe);

    const VocabSpec& spec_;
    Tokenizer::Parts parts_;
};

// A token that is found by its name: control and user-defined ones.
void SpecReader::add_named(size_t id) {
    const std::string_view text = spec_.tokens[id];
    if (text.size() > AddedTokens::kContentBytesMax) {
        return;
    }
    const bool control = is_control_token(spec_, id);
    parts_.added.add({.content = control ? std::string(text) : spaces_of_metaspace(text),
                      .id = static_cast<TokenId>(id),
                      .guarded = control || looks_like_markup(text)});
}

void SpecReader::set_ids() {
    parts_.bos = spec_.bos_token_id;
    parts_.eos = spec_.eos_token_id;
    parts_.eot = spec_.eot_token_id;
    parts_.unknown = spec_.unknown_token_id;
    parts_.padding = spec_.padding_token_id;
    if (spec_.eom_token_id) {
        parts_.end_of_generation.push_back(*spec_.eom_token_id);
    }
}

void SpecReader::set_ends(bool bos_by_default) {
    if (spec_.add_bos_token.value_or(bos_by_default) && spec_.bos_token_id) {
        parts_.prefix.push_back(*spec_.bos_token_id);
    }
    if (spec_.add_eos_token.value_or(false) && spec_.eos_token_id) {
        parts_.suffix.push_back(*spec_.eos_token_id);
    }
}

Result<void> SpecReader::read_byte_level_tokens(Bpe& bpe) {
    parts_.tokens.resize(spec_.tokens.size());
    for (size_t id = 0; id < spec_.tokens.size(); ++id) {
        const std::string_view text = spec_.tokens[id];
        auto& token = parts_.tokens[id];
        const TokenType type = type_of(spec_, id);
        token.control = is_control_token(spec_, id);
        const bool named = token.control || type == TokenType::UserDefined;
        if (named || type == TokenType::Unused) {
            token.bytes = std::string(text);
            if (named) {
                add_named(id);
            }
            continue;
        }
        auto bytes = bytes_of_byte_level(text);
        if (!bytes || bytes->empty()) {
            token.bytes = std::string(text);  // as it stands; nothing merges to it
            continue;
        }
        token.bytes = *std::move(bytes);
        WEIR_TRY(bpe.add_token(token.bytes, static_cast<TokenId>(id)));
        if (token.bytes.size() == 1) {
            bpe.set_byte_token(static_cast<uint8_t>(token.bytes[0]), static_cast<TokenId>(id));
        }
    }
    return {};
}

Result<void> SpecReader::read_merges(Bpe& bpe) {
    for (size_t rank = 0; rank < spec_.merges.size(); ++rank) {
        const std::string_view text = spec_.merges[rank];
        const size_t space = text.find(' ', 1);
        if (space == std::string_view::npos) {
            return data_corrupt("merge {} is not two tokens", rank);
        }
        const auto left = bytes_of_byte_level(text.substr(0, space));
        const auto right = bytes_of_byte_level(text.substr(space + 1));
        if (!left || !right) {
            return data_corrupt("merge {} is not written in the byte alphabet", rank);
        }
        const uint32_t left_id = bpe.find(*left);
        const uint32_t right_id = bpe.find(*right);
        const uint32_t result = bpe.find(*left + *right);
        if (left_id == TextIndex::kNone || right_id == TextIndex::kNone ||
            result == TextIndex::kNone) {
            return data_corrupt("merge {} names a token that is not in the vocabulary", rank);
        }
        bpe.add_merge(left_id, right_id, {static_cast<uint32_t>(rank), result});
    }
    return {};
}

// llama.cpp's converters leave this out of the file; it follows from the pre-tokenizer's name.
bool ignores_merges(std::string_view pre) {
    constexpr std::string_view kNames[] = {"llama-bpe", "llama3",    "llama-v3",
                                           "falcon3",   "falcon-h1", "pixtral",
                                           "midm-2.0",  "lfm2",      "tekken"};
    return std::ranges::find(kNames, pre) != std::end(kNames);
}

Result<Tokenizer::Parts> SpecReader::byte_level() {
    WEIR_TRY_ASSIGN(parts_.pre_tokenizer, PreTokenizer::of_gguf_name(spec_.pre));
    auto bpe = std::make_unique<Bpe>(
        Bpe::Options{.unit = Bpe::Unit::Bytes, .ignore_merges = ignores_merges(spec_.pre)});
    WEIR_TRY(read_byte_level_tokens(*bpe));
    WEIR_TRY(read_merges(*bpe));
    bpe->finish(parts_.tokens.size());
    parts_.bpe = std::move(bpe);
    if (spec_.add_space_prefix.value_or(false)) {
        parts_.normalizer.add({.kind = Normalizer::Kind::Prepend, .to = " "});
    }
    set_ids();
    set_ends(ignores_merges(spec_.pre));
    return std::move(parts_);
}

Result<Tokenizer::Parts> SpecReader::sentencepiece() {
    if (spec_.scores.empty()) {
        return data_corrupt("a SentencePiece vocabulary needs scores");
    }
    parts_.tokens.resize(spec_.tokens.size());
    auto bpe = std::make_unique<Bpe>(
        Bpe::Options{.unit = Bpe::Unit::Characters, .unknown = spec_.unknown_token_id});
    std::vector<bool> mergeable(spec_.tokens.size());
    for (size_t id = 0; id < spec_.tokens.size(); ++id) {
        const std::string_view text = spec_.tokens[id];
        const TokenType type = type_of(spec_, id);
        auto& token = parts_.tokens[id];
        token.control = is_control_token(spec_, id);
        if (type == TokenType::Byte) {
            const auto byte = byte_of_name(text);
            if (!byte) {
                return data_corrupt("byte token {} is not written as two hexadecimal digits", id);
            }
            token.bytes = std::string(1, static_cast<char>(*byte));
            bpe->set_byte_token(*byte, static_cast<TokenId>(id));
            continue;
        }
        const bool named = token.control || type == TokenType::UserDefined;
        token.bytes = token.control ? std::string(text) : spaces_of_metaspace(text);
        if (named) {
            add_named(id);
        }
        // What is guarded must not come out of merging either.
        const bool guarded = token.control || (named && looks_like_markup(text));
        if (guarded || text.empty()) {
            continue;
        }
        WEIR_TRY(bpe->add_token(text, static_cast<TokenId>(id)));
        mergeable[id] = true;
    }
    WEIR_TRY(add_scored_merges(*bpe, spec_.tokens, spec_.scores, mergeable));
    bpe->finish(parts_.tokens.size());
    parts_.bpe = std::move(bpe);

    if (spec_.remove_extra_whitespaces.value_or(false)) {
        parts_.normalizer.add({.kind = Normalizer::Kind::Squeeze});
    }
    if (spec_.add_space_prefix.value_or(true)) {
        parts_.normalizer.add({.kind = Normalizer::Kind::Prepend, .to = " "});
        parts_.leading_spaces = 1;
    }
    parts_.normalizer.add(
        {.kind = Normalizer::Kind::Replace, .from = " ", .to = std::string(kMetaspace)});
    set_ids();
    set_ends(true);
    return std::move(parts_);
}

}  // namespace

Result<Tokenizer> Tokenizer::from_spec(const VocabSpec& spec) {
    WEIR_TRY(check_counts(spec));
    WEIR_TRY(check_ids(spec));
    SpecReader reader(spec);
    if (spec.model == "gpt2") {
        WEIR_TRY_ASSIGN(Parts parts, reader.byte_level());
        return from_parts(std::move(parts));
    }
    if (spec.model == "llama") {
        if (!spec.precompiled_charsmap.empty()) {
            return unsupported("a SentencePiece tokenizer with a precompiled character map");
        }
        WEIR_TRY_ASSIGN(Parts parts, reader.sentencepiece());
        return from_parts(std::move(parts));
    }
    return unsupported("the tokenizer model '{}' is not known", spec.model.substr(0, 64));
}

}  // namespace weir::text
