#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "text/tokenizer_json.h"
#include "text/unigram.h"
#include "text/wordpiece.h"

namespace weir::text {
namespace {

using json::Fields;

// SentencePiece's price of a character that no token says, below the worst token.
constexpr double kUnknownPenalty = 10;

Result<TokenId> id_of(json::Flat::View value, std::string_view text) {
    const auto id = value.if_whole();
    if (!id || *id < 0 || static_cast<uint64_t>(*id) >= kVocabTokensMax) {
        return data_corrupt("model.vocab['{}'] is no token id", text.substr(0, 64));
    }
    return static_cast<TokenId>(*id);
}

Result<void> check_count(size_t count) {
    if (count == 0 || count > kVocabTokensMax) {
        return data_corrupt("model.vocab has {} tokens", count);
    }
    return {};
}

// The large member `name`; the error says what stands in its place.
Result<json::Flat::View> require(Fields& model, std::string_view name, const json::Flat& flat,
                                 json::Flat::Kind kind) {
    const std::string_view wanted = kind == json::Flat::Kind::Members ? "object" : "array";
    if (flat.empty()) {
        const json::Value* other = model.get(name);
        return data_corrupt("model.{} must be an {}, not {}", name, wanted,
                            other == nullptr ? "missing" : other->kind());
    }
    if (flat.root().kind() != kind) {
        return data_corrupt("model.{} must be an {}, not {}", name, wanted,
                            flat.root().kind_name());
    }
    return flat.root();
}

// {"text": id, …}
Result<std::vector<VocabularyEntry>> read_vocabulary(Fields& model, const ModelContext& context) {
    WEIR_TRY_ASSIGN(const json::Flat::View vocab,
                    require(model, "vocab", context.vocab, json::Flat::Kind::Members));
    const size_t count = vocab.size() / 2;
    WEIR_TRY(check_count(count));
    std::vector<VocabularyEntry> entries;
    entries.reserve(count);
    for (auto at = vocab.begin(); at != vocab.end(); ++at) {
        const std::string_view text = *(*at).if_string();
        ++at;
        if (text.size() > kTokenBytesMax) {
            return data_corrupt("a token of model.vocab has {} bytes", text.size());
        }
        WEIR_TRY_ASSIGN(const TokenId id, id_of(*at, text));
        entries.push_back({text, id});
    }
    return entries;
}

// Both values of an array that has two.
std::optional<std::pair<json::Flat::View, json::Flat::View>> pair_of(json::Flat::View value) {
    if (value.kind() != json::Flat::Kind::List || value.size() != 2) {
        return std::nullopt;
    }
    auto at = value.begin();
    const json::Flat::View first = *at;
    return std::pair(first, *++at);
}

// [["text", score], …]; an id is a position.
Result<std::vector<VocabularyEntry>> read_scored_vocabulary(Fields& model,
                                                            const ModelContext& context) {
    WEIR_TRY_ASSIGN(const json::Flat::View vocab,
                    require(model, "vocab", context.vocab, json::Flat::Kind::List));
    WEIR_TRY(check_count(vocab.size()));
    std::vector<VocabularyEntry> entries;
    entries.reserve(vocab.size());
    for (const json::Flat::View value : vocab) {
        const auto pair = pair_of(value);
        const auto text = pair ? pair->first.if_string() : std::nullopt;
        const auto score = text ? pair->second.if_number() : std::nullopt;
        if (!score || !std::isfinite(*score) || text->size() > kTokenBytesMax) {
            return data_corrupt("model.vocab[{}] is no text with a score", entries.size());
        }
        entries.push_back({*text, static_cast<TokenId>(entries.size()), *score});
    }
    return entries;
}

Result<std::optional<TokenId>> read_unknown(Fields& model,
                                            std::span<const VocabularyEntry> vocabulary) {
    std::optional<std::string> unknown;
    WEIR_TRY(model.read("unk_token", unknown));
    if (unknown) {
        const auto found = std::ranges::find(vocabulary, *unknown, &VocabularyEntry::text);
        if (found != vocabulary.end()) {
            return found->id;
        }
    }
    return std::nullopt;
}

// ---- BPE ----

class BpeReader {
  public:
    BpeReader(Fields& model, const ModelContext& context) : model_(model), context_(context) {}

    Result<JsonModel> read() {
        WEIR_TRY_ASSIGN(read_.vocabulary, read_vocabulary(model_, context_));
        WEIR_TRY(read_options());
        bpe_ = std::make_unique<Bpe>(options_);
        WEIR_TRY(add_tokens());
        WEIR_TRY(read_merges());
        size_t ids_end = 0;
        for (const VocabularyEntry& entry : read_.vocabulary) {
            ids_end = std::max(ids_end, size_t{entry.id} + 1);
        }
        bpe_->finish(ids_end);
        read_.model = std::move(bpe_);
        return std::move(read_);
    }

  private:
    Result<void> read_options() {
        for (const std::string_view name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
            std::optional<std::string> affix;
            WEIR_TRY(model_.read(name, affix));
            if (affix && !affix->empty()) {
                return unsupported("tokenizer.json has a {}", name);
            }
        }
        double dropout = 0;
        WEIR_TRY(model_.read("dropout", json::in_range(0.0, 1.0), dropout));
        if (dropout > 0) {
            return unsupported("tokenizer.json drops merges at random");
        }
        options_.fuse_unknown = false;
        WEIR_TRY(model_.read("byte_fallback", byte_fallback_));
        WEIR_TRY(model_.read("ignore_merges", options_.ignore_merges));
        WEIR_TRY(model_.read("fuse_unk", options_.fuse_unknown));
        options_.unit = context_.byte_level ? Bpe::Unit::Bytes : Bpe::Unit::Characters;
        options_.fallback = Bpe::Fallback::BeforeMerging;
        WEIR_TRY_ASSIGN(options_.unknown, read_unknown(model_, read_.vocabulary));
        read_.unknown = options_.unknown;
        return {};
    }

    // A text of the file as the symbols spell it. Borrowed where it is the same.
    std::string_view own_bytes(std::string_view text, std::string& buffer) const {
        if (context_.byte_level) {
            buffer.clear();
            if (append_bytes_of_byte_level(text, buffer)) {
                return buffer;
            }
        }
        return text;
    }

    Result<void> add_tokens() {
        size_t bytes_total = 0;
        for (const VocabularyEntry& entry : read_.vocabulary) {
            bytes_total += entry.text.size();
        }
        bpe_->reserve(read_.vocabulary.size(), bytes_total);
        TokenList list(*bpe_);
        std::string buffer;
        for (const auto& [text, id, score] : read_.vocabulary) {
            const std::string_view bytes = own_bytes(text, buffer);
            if (context_.guarded.contains(id)) {
                guarded_texts_.insert(bytes, id);
                continue;
            }
            if (bytes.empty()) {
                continue;
            }
            if (context_.byte_level && bytes.size() == 1) {
                bpe_->set_byte_token(static_cast<uint8_t>(bytes[0]), id);
            }
            if (byte_fallback_ && !context_.byte_level) {
                if (const auto byte = byte_of_name(text)) {
                    bpe_->set_byte_token(*byte, id);
                    continue;
                }
            }
            WEIR_TRY(list.add(bytes, id));
        }
        return list.finish();
    }

    Result<void> read_merges() {
        WEIR_TRY_ASSIGN(const json::Flat::View merges,
                        require(model_, "merges", context_.merges, json::Flat::Kind::List));
        if (merges.size() > kMergesMax) {
            return data_corrupt("model.merges has {} merges", merges.size());
        }
        bpe_->reserve_merges(merges.size());
        MergeList list(*bpe_, {.merges = "model.merges", .vocabulary = "model.vocab"});
        size_t rank = 0;
        for (const json::Flat::View merge : merges) {
            WEIR_TRY(read_merge(merge, rank++, list));
        }
        return list.finish();
    }

    Result<void> read_merge(json::Flat::View value, size_t rank, MergeList& list) {
        const auto halves = halves_of(value);
        if (!halves) {
            return data_corrupt("model.merges[{}] is not two tokens", rank);
        }
        const std::string_view left = own_bytes(halves->first, left_);
        const std::string_view right = own_bytes(halves->second, right_);
        if (guarded_texts_.size() > 0) {
            joined_.assign(left).append(right);
            for (const std::string_view text : {left, right, std::string_view(joined_)}) {
                if (guarded_texts_.find(text) != TextIndex::kNone) {
                    return {};  // a control token must not come out of merges
                }
            }
        }
        return list.add(left, right, rank);
    }

    // Of "left right" or ["left", "right"].
    static std::optional<std::pair<std::string_view, std::string_view>> halves_of(
        json::Flat::View value) {
        if (const auto text = value.if_string()) {
            const size_t space = text->find(' ');
            return space == std::string_view::npos
                       ? std::nullopt
                       : std::optional(std::pair(text->substr(0, space), text->substr(space + 1)));
        }
        const auto pair = pair_of(value);
        const auto left = pair ? pair->first.if_string() : std::nullopt;
        const auto right = pair ? pair->second.if_string() : std::nullopt;
        return left && right ? std::optional(std::pair(*left, *right)) : std::nullopt;
    }

    Fields& model_;
    const ModelContext& context_;
    JsonModel read_;
    Bpe::Options options_;
    bool byte_fallback_ = false;
    std::unique_ptr<Bpe> bpe_;
    TextIndex guarded_texts_;
    std::string left_;
    std::string right_;
    std::string joined_;
};

// ---- The others ----

Result<JsonModel> read_unigram(Fields& model, const ModelContext& context) {
    JsonModel read;
    WEIR_TRY_ASSIGN(read.vocabulary, read_scored_vocabulary(model, context));
    std::optional<int64_t> unknown;
    bool byte_fallback = false;
    WEIR_TRY(model.read("unk_id", json::in_range<int64_t>(0, kVocabTokensMax), unknown));
    WEIR_TRY(model.read("byte_fallback", byte_fallback));
    if (unknown && static_cast<uint64_t>(*unknown) >= read.vocabulary.size()) {
        return data_corrupt("model.unk_id is {}, model.vocab has {} tokens", *unknown,
                            read.vocabulary.size());
    }
    if (unknown) {
        read.unknown = static_cast<TokenId>(*unknown);
    }
    double worst = std::numeric_limits<double>::infinity();
    std::vector<Unigram::Token> tokens;
    std::array<std::optional<TokenId>, 256> bytes;
    for (const auto& [text, id, score] : read.vocabulary) {
        worst = std::min(worst, score);
        if (const auto byte = byte_fallback ? byte_of_name(text) : std::nullopt) {
            bytes[*byte] = id;
        }
        if (!context.guarded.contains(id) && !text.empty()) {
            tokens.push_back({text, id, score});
        }
    }
    WEIR_TRY_ASSIGN(read.model, Unigram::create({.precision = Unigram::Precision::Double,
                                                 .unknown = read.unknown,
                                                 .unknown_score = worst - kUnknownPenalty},
                                                tokens, bytes));
    return read;
}

// WordPiece, and WordLevel, which knows whole words alone.
Result<JsonModel> read_wordpiece(Fields& model, const ModelContext& context, bool whole_words) {
    JsonModel read;
    WEIR_TRY_ASSIGN(read.vocabulary, read_vocabulary(model, context));
    WEIR_TRY_ASSIGN(read.unknown, read_unknown(model, read.vocabulary));
    std::string prefix = "##";
    WordPiece::Options options{.unknown = read.unknown, .whole_words_only = whole_words};
    if (whole_words) {
        options.characters_max = std::numeric_limits<size_t>::max();
    } else {
        WEIR_TRY(model.read("continuing_subword_prefix", prefix));
        WEIR_TRY(model.read("max_input_chars_per_word", json::in_range<size_t>(0, kTokenBytesMax),
                            options.characters_max));
    }
    std::vector<WordPiece::Token> beginnings;
    std::vector<WordPiece::Token> continuations;
    for (const auto& [text, id, score] : read.vocabulary) {
        if (context.guarded.contains(id)) {
            continue;
        }
        beginnings.push_back({text, id});
        if (!whole_words && text.starts_with(prefix)) {
            continuations.push_back({text.substr(prefix.size()), id});
        }
    }
    read.model = std::make_unique<WordPiece>(options, beginnings, continuations, beginnings);
    return read;
}

}  // namespace

Result<JsonModel> read_model(Fields& model, const ModelContext& context) {
    std::optional<std::string> type;
    WEIR_TRY(model.read("type", type));
    // Old files leave the type out: only BPE has merges, only Unigram's vocabulary is a list.
    if (!type) {
        const json::Flat& vocab = context.vocab;
        const bool is_list = !vocab.empty() && vocab.root().kind() == json::Flat::Kind::List;
        const bool has_merges = !context.merges.empty() || model.get("merges") != nullptr;
        type = has_merges ? "BPE" : is_list ? "Unigram" : "WordPiece";
    }
    if (*type == "BPE") {
        return BpeReader(model, context).read();
    }
    if (context.byte_level) {
        return unsupported("tokenizer.json has the model '{}' behind a byte-level pre-tokenizer",
                           type->substr(0, 64));
    }
    if (*type == "Unigram") {
        return read_unigram(model, context);
    }
    if (*type == "WordPiece" || *type == "WordLevel") {
        return read_wordpiece(model, context, *type == "WordLevel");
    }
    return unsupported("tokenizer.json has the model '{}', which is not known",
                       type->substr(0, 64));
}

}  // namespace weir::text
