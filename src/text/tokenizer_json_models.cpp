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

Result<TokenId> id_of(const json::Value& value, std::string_view text) {
    const auto* id = std::get_if<int64_t>(&value.storage());
    if (id == nullptr || *id < 0 || static_cast<uint64_t>(*id) >= kVocabTokensMax) {
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

// {"text": id, …}
Result<std::vector<VocabularyEntry>> read_vocabulary(Fields& model) {
    WEIR_TRY_ASSIGN(const json::Object* vocab, model.object("vocab"));
    if (vocab == nullptr) {
        return data_corrupt("model.vocab is missing");
    }
    WEIR_TRY(check_count(vocab->size()));
    std::vector<VocabularyEntry> entries;
    entries.reserve(vocab->size());
    for (const auto& [text, value] : *vocab) {
        if (text.size() > kTokenBytesMax) {
            return data_corrupt("a token of model.vocab has {} bytes", text.size());
        }
        WEIR_TRY_ASSIGN(const TokenId id, id_of(value, text));
        entries.push_back({text, id});
    }
    return entries;
}

std::optional<double> number_of(const json::Value& value) {
    if (const auto* number = std::get_if<double>(&value.storage())) {
        return *number;
    }
    const auto* whole = std::get_if<int64_t>(&value.storage());
    return whole == nullptr ? std::nullopt : std::optional(static_cast<double>(*whole));
}

// [["text", score], …]; an id is a position.
Result<std::vector<VocabularyEntry>> read_scored_vocabulary(Fields& model) {
    WEIR_TRY_ASSIGN(const json::Array* vocab, model.require_array("vocab"));
    WEIR_TRY(check_count(vocab->size()));
    std::vector<VocabularyEntry> entries;
    entries.reserve(vocab->size());
    for (const json::Value& value : *vocab) {
        const json::Array* pair = value.if_array();
        const std::string* text =
            pair != nullptr && pair->size() == 2 ? (*pair)[0].if_string() : nullptr;
        const auto score = text != nullptr ? number_of((*pair)[1]) : std::nullopt;
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
        WEIR_TRY_ASSIGN(read_.vocabulary, read_vocabulary(model_));
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
            if (auto bytes = bytes_of_byte_level(text)) {
                buffer = *std::move(bytes);
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
            WEIR_TRY(bpe_->add_token(bytes, id));
        }
        return {};
    }

    Result<void> read_merges() {
        WEIR_TRY_ASSIGN(const json::Array* merges, model_.require_array("merges"));
        if (merges->size() > kMergesMax) {
            return data_corrupt("model.merges has {} merges", merges->size());
        }
        bpe_->reserve_merges(merges->size());
        MergeList list(*bpe_, {.merges = "model.merges", .vocabulary = "model.vocab"});
        for (size_t rank = 0; rank < merges->size(); ++rank) {
            WEIR_TRY(read_merge((*merges)[rank], rank, list));
        }
        return list.finish();
    }

    Result<void> read_merge(const json::Value& value, size_t rank, MergeList& list) {
        std::string_view left;
        std::string_view right;
        if (const std::string* text = value.if_string()) {
            const size_t space = text->find(' ');
            if (space == std::string::npos) {
                return data_corrupt("model.merges[{}] is not two tokens", rank);
            }
            left = std::string_view(*text).substr(0, space);
            right = std::string_view(*text).substr(space + 1);
        } else if (const json::Array* pair = value.if_array();
                   pair != nullptr && pair->size() == 2 && (*pair)[0].if_string() != nullptr &&
                   (*pair)[1].if_string() != nullptr) {
            left = *(*pair)[0].if_string();
            right = *(*pair)[1].if_string();
        } else {
            return data_corrupt("model.merges[{}] is not two tokens", rank);
        }
        left = own_bytes(left, left_);
        right = own_bytes(right, right_);
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
    WEIR_TRY_ASSIGN(read.vocabulary, read_scored_vocabulary(model));
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
    WEIR_TRY_ASSIGN(read.vocabulary, read_vocabulary(model));
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
        const json::Value* vocab = model.get("vocab");
        const bool is_list = vocab != nullptr && vocab->if_array() != nullptr;
        type = model.get("merges") != nullptr ? "BPE" : is_list ? "Unigram" : "WordPiece";
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
