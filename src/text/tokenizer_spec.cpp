// Tokenizer::from_spec: what GGUF says about a tokenizer.

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "text/tokenizer_parts.h"
#include "text/unigram.h"
#include "text/wordpiece.h"

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
    Result<Tokenizer::Parts> character_level();
    Result<Tokenizer::Parts> sentencepiece();
    Result<Tokenizer::Parts> unigram();
    Result<Tokenizer::Parts> wordpiece();

  private:
    Result<void> add_named(size_t id);
    void set_ids();
    void set_ends(bool bos_by_default);
    Result<void> read_byte_level_tokens(Bpe& bpe);
    enum class Spelling { Plain, ByteLevel };
    Result<void> read_merges(Spelling spelling, Bpe& bpe);
    Result<void> read_merge(size_t rank, Spelling spelling, MergeList& list);
    // Sets what the tokens of a SentencePiece vocabulary say; plain(id) is called for those that
    // text can become, byte(id, value) for the bytes.
    template <typename Plain, typename Byte>
    Result<void> read_pieces(const Plain& plain, const Byte& byte);
    Result<void> add_sentencepiece_normalizer(bool space_prefix_by_default);

    const VocabSpec& spec_;
    Tokenizer::Parts parts_;
    std::string left_;  // of a merge
    std::string right_;
};

// A token that is found by its name: control and user-defined ones.
Result<void> SpecReader::add_named(size_t id) {
    const std::string_view text = spec_.tokens[id];
    if (text.size() > AddedTokens::kContentBytesMax) {
        return {};
    }
    const bool control = is_control_token(spec_, id);
    return parts_.added.add({.content = control ? std::string(text) : spaces_of_metaspace(text),
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
    TokenList list(bpe);
    for (size_t id = 0; id < spec_.tokens.size(); ++id) {
        const std::string_view text = spec_.tokens[id];
        auto& token = parts_.tokens[id];
        const TokenType type = type_of(spec_, id);
        token.control = is_control_token(spec_, id);
        const bool named = token.control || type == TokenType::UserDefined;
        if (named || type == TokenType::Unused) {
            token.bytes = std::string(text);
            if (named) {
                WEIR_TRY(add_named(id));
            }
            continue;
        }
        if (!append_bytes_of_byte_level(text, token.bytes) || text.empty()) {
            token.bytes = std::string(text);  // as it stands; nothing merges to it
            continue;
        }
        WEIR_TRY(list.add(token.bytes, static_cast<TokenId>(id)));
        if (token.bytes.size() == 1) {
            bpe.set_byte_token(static_cast<uint8_t>(token.bytes[0]), static_cast<TokenId>(id));
        }
    }
    return list.finish();
}

Result<void> SpecReader::read_merge(size_t rank, Spelling spelling, MergeList& list) {
    const std::string_view text = spec_.merges[rank];
    const size_t space = text.find(' ', 1);
    if (space == std::string_view::npos) {
        return data_corrupt("tokenizer.ggml.merges[{}] is not two tokens", rank);
    }
    const std::string_view left = text.substr(0, space);
    const std::string_view right = text.substr(space + 1);
    if (spelling == Spelling::Plain) {
        return list.add(left, right, rank);
    }
    left_.clear();
    right_.clear();
    if (!append_bytes_of_byte_level(left, left_) || !append_bytes_of_byte_level(right, right_)) {
        return data_corrupt("tokenizer.ggml.merges[{}] is not written in the byte alphabet", rank);
    }
    return list.add(left_, right_, rank);
}

Result<void> SpecReader::read_merges(Spelling spelling, Bpe& bpe) {
    bpe.reserve_merges(spec_.merges.size());
    MergeList list(bpe, {.merges = "tokenizer.ggml.merges", .vocabulary = "tokenizer.ggml.tokens"});
    for (size_t rank = 0; rank < spec_.merges.size(); ++rank) {
        WEIR_TRY(read_merge(rank, spelling, list));
    }
    return list.finish();
}

Result<Tokenizer::Parts> SpecReader::byte_level() {
    WEIR_TRY_ASSIGN(parts_.pre_tokenizer, PreTokenizer::of_gguf_name(spec_.pre));
    auto bpe = std::make_unique<Bpe>(
        Bpe::Options{.unit = Bpe::Unit::Bytes, .ignore_merges = ignores_merges(spec_.pre)});
    size_t text_bytes = 0;
    for (const std::string_view text : spec_.tokens) {
        text_bytes += text.size();
    }
    bpe->reserve(spec_.tokens.size(), text_bytes);
    WEIR_TRY(read_byte_level_tokens(*bpe));
    WEIR_TRY(read_merges(Spelling::ByteLevel, *bpe));
    bpe->finish(parts_.tokens.size());
    parts_.model = std::move(bpe);
    if (spec_.add_space_prefix.value_or(false)) {
        parts_.normalizer.add({.kind = Normalizer::Kind::Prepend, .to = " "});
    }
    set_ids();
    set_ends(ignores_merges(spec_.pre));
    return std::move(parts_);
}

template <typename Plain, typename Byte>
Result<void> SpecReader::read_pieces(const Plain& plain, const Byte& byte) {
    parts_.tokens.resize(spec_.tokens.size());
    for (size_t id = 0; id < spec_.tokens.size(); ++id) {
        const std::string_view text = spec_.tokens[id];
        const TokenType type = type_of(spec_, id);
        auto& token = parts_.tokens[id];
        token.control = is_control_token(spec_, id);
        if (type == TokenType::Byte) {
            const auto value = byte_of_name(text);
            if (!value) {
                return data_corrupt("byte token {} is not written as two hexadecimal digits", id);
            }
            token.bytes = std::string(1, static_cast<char>(*value));
            byte(id, *value);
            continue;
        }
        const bool named = token.control || type == TokenType::UserDefined;
        token.bytes = token.control ? std::string(text) : spaces_of_metaspace(text);
        if (named) {
            WEIR_TRY(add_named(id));
        }
        // What is guarded must not come out of the model either.
        const bool guarded = token.control || (named && looks_like_markup(text));
        if (!guarded && !text.empty()) {
            WEIR_TRY(plain(id));
        }
    }
    return {};
}

// SentencePiece's order: the character map, spaces, the space before the text, the sign for spaces;
// a sign that is left at the end goes like a space.
Result<void> SpecReader::add_sentencepiece_normalizer(bool space_prefix_by_default) {
    using Kind = Normalizer::Kind;
    if (!spec_.precompiled_charsmap.empty()) {
        WEIR_TRY_ASSIGN(Charsmap map, Charsmap::create(spec_.precompiled_charsmap));
        parts_.normalizer.add({.kind = Kind::CharsmapLongest,
                               .charsmap = std::make_shared<const Charsmap>(std::move(map))});
    }
    const bool squeeze = spec_.remove_extra_whitespaces.value_or(false);
    if (squeeze) {
        parts_.normalizer.add({.kind = Kind::Squeeze});
    }
    if (spec_.add_space_prefix.value_or(space_prefix_by_default)) {
        parts_.normalizer.add({.kind = Kind::Prepend, .to = " "});
        parts_.leading_spaces = 1;
    }
    parts_.normalizer.add({.kind = Kind::Replace, .from = " ", .to = std::string(kMetaspace)});
    if (squeeze) {
        parts_.normalizer.add({.kind = Kind::TrimEnd, .to = std::string(kMetaspace)});
    }
    return {};
}

Result<Tokenizer::Parts> SpecReader::sentencepiece() {
    if (spec_.scores.empty()) {
        return data_corrupt("a SentencePiece vocabulary needs scores");
    }
    auto bpe = std::make_unique<Bpe>(
        Bpe::Options{.unit = Bpe::Unit::Characters, .unknown = spec_.unknown_token_id});
    std::vector<bool> mergeable(spec_.tokens.size());
    WEIR_TRY(read_pieces(
        [&](size_t id) {
            mergeable[id] = true;
            return bpe->add_token(spec_.tokens[id], static_cast<TokenId>(id));
        },
        [&](size_t id, uint8_t byte) { bpe->set_byte_token(byte, static_cast<TokenId>(id)); }));
    WEIR_TRY(add_scored_merges(*bpe, spec_.tokens, spec_.scores, mergeable));
    bpe->finish(parts_.tokens.size());
    parts_.model = std::move(bpe);
    WEIR_TRY(add_sentencepiece_normalizer(true));
    set_ids();
    set_ends(true);
    return std::move(parts_);
}

// Gemma 4's form: characters and byte tokens as in SentencePiece, but ranked merges.
Result<Tokenizer::Parts> SpecReader::character_level() {
    WEIR_TRY_ASSIGN(parts_.pre_tokenizer,
                    PreTokenizer::of_gguf_name(spec_.pre.empty() ? spec_.model : spec_.pre));
    auto bpe = std::make_unique<Bpe>(Bpe::Options{.unit = Bpe::Unit::Characters,
                                                  .fallback = Bpe::Fallback::BeforeMerging,
                                                  .unknown = spec_.unknown_token_id});
    WEIR_TRY(read_pieces(
        [&](size_t id) { return bpe->add_token(spec_.tokens[id], static_cast<TokenId>(id)); },
        [&](size_t id, uint8_t byte) { bpe->set_byte_token(byte, static_cast<TokenId>(id)); }));
    WEIR_TRY(read_merges(Spelling::Plain, *bpe));
    bpe->finish(parts_.tokens.size());
    parts_.model = std::move(bpe);
    WEIR_TRY(add_sentencepiece_normalizer(false));
    set_ids();
    set_ends(true);
    return std::move(parts_);
}

// SentencePiece's price of a character that no token says, below the worst token, and what a
// user-defined piece is worth for each of its bytes, so that it always wins.
constexpr float kUnknownPenalty = 10;
constexpr double kUserDefinedMalus = 0.1;

Result<Tokenizer::Parts> SpecReader::unigram() {
    if (spec_.scores.empty()) {
        return data_corrupt("a Unigram vocabulary needs scores");
    }
    float worst = std::numeric_limits<float>::max();
    float best = std::numeric_limits<float>::lowest();
    for (size_t id = 0; id < spec_.tokens.size(); ++id) {
        if (type_of(spec_, id) == TokenType::Normal) {
            worst = std::min(worst, spec_.scores[id]);
            best = std::max(best, spec_.scores[id]);
        }
    }
    std::vector<Unigram::Token> tokens;
    std::array<std::optional<TokenId>, 256> bytes;
    WEIR_TRY(read_pieces(
        [&](size_t id) -> Result<void> {
            const TokenType type = type_of(spec_, id);
            if (type == TokenType::Unused) {
                return {};
            }
            const auto length = static_cast<float>(spec_.tokens[id].size());
            const double score = type == TokenType::UserDefined
                                     ? double{length * best} - kUserDefinedMalus
                                     : double{spec_.scores[id]};
            tokens.push_back({spec_.tokens[id], static_cast<TokenId>(id), score});
            return {};
        },
        [&](size_t id, uint8_t byte) { bytes[byte] = static_cast<TokenId>(id); }));
    WEIR_TRY_ASSIGN(parts_.model,
                    Unigram::create({.precision = Unigram::Precision::Single,
                                     .unknown = spec_.unknown_token_id,
                                     .unknown_score = double{worst - kUnknownPenalty}},
                                    tokens, bytes));
    WEIR_TRY(add_sentencepiece_normalizer(true));
    set_ids();
    set_ends(false);
    return std::move(parts_);
}

// The converters write the beginnings of words with U+2581 and continuations without a sign. [CLS]
// and [SEP] stand where other tokenizers have BOS and EOS, and go around every text.
Result<Tokenizer::Parts> SpecReader::wordpiece() {
    parts_.tokens.resize(spec_.tokens.size());
    std::vector<WordPiece::Token> beginnings;
    std::vector<WordPiece::Token> continuations;
    std::vector<WordPiece::Token> texts;
    std::optional<TokenId> unknown = spec_.unknown_token_id;
    for (size_t id = 0; id < spec_.tokens.size(); ++id) {
        const std::string_view text = spec_.tokens[id];
        const auto token = static_cast<TokenId>(id);
        const bool begins = text.starts_with(kMetaspace);
        parts_.tokens[id].control = is_control_token(spec_, id);
        unknown = !unknown && text == "[UNK]" ? token : unknown;
        if (parts_.tokens[id].control) {
            parts_.tokens[id].bytes = std::string(text);
            WEIR_TRY(add_named(id));
            continue;
        }
        parts_.tokens[id].bytes = spaces_of_metaspace(text);
        const std::string_view word = begins ? text.substr(kMetaspace.size()) : text;
        (begins ? beginnings : continuations).push_back({word, token});
        texts.push_back({text, token});
    }
    parts_.model = std::make_unique<WordPiece>(WordPiece::Options{.unknown = unknown}, beginnings,
                                               continuations, texts);
    const bool lowercase = spec_.normalizer_lowercase.value_or(true);
    add_bert_normalizer({.strip_accents = spec_.normalizer_strip_accents.value_or(lowercase),
                         .lowercase = lowercase},
                        parts_.normalizer);
    parts_.pre_tokenizer =
        PreTokenizer({CutStep{.splitter = Splitter::Spaces, .behavior = SplitBehavior::Removed},
                      CutStep{.splitter = Splitter::ReferencePunctuation}});
    parts_.leading_spaces = 1;
    set_ids();
    parts_.unknown = unknown;
    const auto begin = spec_.cls_token_id ? spec_.cls_token_id : spec_.bos_token_id;
    const auto end = spec_.separator_token_id ? spec_.separator_token_id : spec_.eos_token_id;
    if (spec_.add_bos_token.value_or(true) && begin) {
        parts_.prefix.push_back(*begin);
    }
    if (spec_.add_sep_token.value_or(spec_.add_eos_token.value_or(true)) && end) {
        parts_.suffix.push_back(*end);
    }
    return std::move(parts_);
}

}  // namespace

bool ignores_merges(std::string_view pre) {
    constexpr std::string_view kNames[] = {"llama-bpe",
                                           "llama3",
                                           "llama-v3",
                                           "falcon3",
                                           "falcon-h1",
                                           "pixtral",
                                           "midm-2.0",
                                           "lfm2",
                                           "tekken",
                                           "youtu",
                                           "minicpm5",
                                           "jina-v5-nano",
                                           "granite-embed-multi-97m"};
    return std::ranges::find(kNames, pre) != std::end(kNames);
}

Result<Tokenizer> Tokenizer::from_spec(const VocabSpec& spec) {
    WEIR_TRY(check_counts(spec));
    WEIR_TRY(check_ids(spec));
    constexpr std::pair<std::string_view, Result<Parts> (SpecReader::*)()> kModels[] = {
        {"gpt2", &SpecReader::byte_level},
        {"llama", &SpecReader::sentencepiece},
        {"t5", &SpecReader::unigram},
        {"bert", &SpecReader::wordpiece},
        {"gemma4", &SpecReader::character_level}};
    for (const auto& [name, read] : kModels) {
        if (name == spec.model) {
            SpecReader reader(spec);
            WEIR_TRY_ASSIGN(Parts parts, (reader.*read)());
            return from_parts(std::move(parts));
        }
    }
    return unsupported(
        "the tokenizer model '{}' is not known; known are gpt2, llama, t5, bert, gemma4",
        spec.model.substr(0, 64));
}

}  // namespace weir::text
