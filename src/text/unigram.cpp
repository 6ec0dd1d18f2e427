#include "text/unigram.h"

#include <algorithm>
#include <limits>

#include "base/utf8.h"

namespace weir::text {
namespace {

constexpr uint32_t kUnreached = UINT32_MAX;
constexpr uint32_t kUnknown = UINT32_MAX;  // in place of a token's position in the tables

// What is kept of a text at once is 16 bytes for each of its bytes between two places that no token
// reaches across.
constexpr size_t kReachBytesMax = size_t{1} << 26;
constexpr uint64_t kVocabularyBytesMax = uint64_t{1} << 31;

}  // namespace

Result<std::unique_ptr<Unigram>> Unigram::create(
    const Options& options, std::span<const Token> tokens,
    const std::array<std::optional<TokenId>, 256>& bytes) {
    std::unique_ptr<Unigram> model(new Unigram(options));
    std::vector<PrefixTrie::Entry> entries;
    uint64_t text_bytes = 0;
    for (const Token& token : tokens) {
        if (token.text.size() > kPieceBytesMax) {
            return data_corrupt("token {} has {} bytes; a Unigram piece may have {}", token.id,
                                token.text.size(), kPieceBytesMax);
        }
        text_bytes += token.text.size();
        entries.push_back({token.text, static_cast<uint32_t>(model->ids_.size())});
        model->ids_.push_back(token.id);
        model->scores_.push_back(token.score);
    }
    if (text_bytes > kVocabularyBytesMax) {
        return fail(ErrorCode::TooLarge, "the vocabulary's tokens have {} bytes", text_bytes);
    }
    model->texts_.reserve(tokens.size(), text_bytes);
    for (const Token& token : tokens) {
        model->texts_.insert(token.text, token.id);
    }
    model->trie_ = PrefixTrie(std::move(entries));
    model->bytes_ = bytes;
    return model;
}

std::optional<TokenId> Unigram::find(std::string_view text) const {
    const uint32_t id = texts_.find(text);
    return id == TextIndex::kNone ? std::nullopt : std::optional<TokenId>(id);
}

// A run of characters that no token says.
Result<void> Unigram::append_unknown(std::string_view part, std::vector<TokenId>& out) const {
    if (const auto whole = find(part)) {  // each was less likely than unknown, but not all of them
        out.push_back(*whole);
        return {};
    }
    const auto token_of = [this](char byte) {
        return bytes_[static_cast<unsigned char>(byte)];
    };
    if (std::ranges::all_of(part, [&](char byte) { return token_of(byte).has_value(); })) {
        for (const char byte : part) {
            out.push_back(*token_of(byte));
        }
        return {};
    }
    if (!options_.unknown) {
        return invalid_argument("", "the vocabulary has no token for a character of the text");
    }
    out.push_back(*options_.unknown);
    return {};
}

// One piece. The table of best steps begins anew at every place that all ways go through, so that
// it stays small; the score goes on, for rounding depends on it.
class Unigram::Path {
  public:
    Path(const Unigram& model, std::string_view piece, EncodeScratch& scratch,
         std::vector<TokenId>& out)
        : model_(model), piece_(piece), steps_(scratch.path), way_(scratch.way), out_(out) {
        begin_anew(0);
    }

    Result<void> run() {
        for (size_t at = 0; at < piece_.size();) {
            if (furthest_ == at && at > base_) {
                WEIR_TRY(emit(at));
            }
            if (furthest_ - base_ > kReachBytesMax) {
                return fail(ErrorCode::TooLarge, "a piece of the text can not be cut in {} bytes",
                            kReachBytesMax);
            }
            const auto first = static_cast<unsigned char>(piece_[at]);
            const size_t character = first < 0x80 ? 1 : utf8::decode(piece_, at).bytes;
            try_tokens(at, character);
            at += character;
        }
        WEIR_TRY(emit(piece_.size()));
        return flush_unknown();
    }

  private:
    void try_tokens(size_t at, size_t character) {
        const double till_here = steps_[at - base_].score;
        bool has_character = false;
        model_.trie_.each_prefix(piece_.substr(at), [&](size_t bytes, uint32_t token) {
            offer(at, at + bytes, till_here + model_.scores_[token], token);
            has_character |= bytes == character;
        });
        if (!has_character) {
            offer(at, at + character, till_here + model_.options_.unknown_score, kUnknown);
        }
    }

    void offer(size_t begin, size_t end, double score, uint32_t token) {
        if (model_.options_.precision == Precision::Single) {
            score = static_cast<float>(score);
        }
        if (end > furthest_) {
            if (end - base_ >= steps_.size()) {
                steps_.resize(end - base_ + 64);
            }
            for (size_t at = furthest_ + 1; at <= end; ++at) {
                steps_[at - base_].begin = kUnreached;
            }
            furthest_ = end;
        }
        BestStep& step = steps_[end - base_];
        if (step.begin == kUnreached || score > step.score) {
            step = {score, static_cast<uint32_t>(begin), token};
        }
    }

    // The tokens of the best way from base_ to `end`, which becomes the new base.
    Result<void> emit(size_t end) {
        way_.clear();
        for (size_t at = end; at > base_;) {
            const BestStep& step = steps_[at - base_];
            way_.push_back({step.score, static_cast<uint32_t>(at), step.token});
            at = step.begin;
        }
        size_t begin = base_;
        for (auto step = way_.rbegin(); step != way_.rend(); begin = step->begin, ++step) {
            const bool unknown =
                step->token == kUnknown ||
                (model_.options_.unknown && model_.ids_[step->token] == *model_.options_.unknown);
            if (unknown) {
                unknown_begin_ = std::min(unknown_begin_, begin);
                unknown_end_ = step->begin;
                continue;
            }
            WEIR_TRY(flush_unknown());
            out_.push_back(model_.ids_[step->token]);
        }
        const double score = steps_[end - base_].score;
        base_ = end;
        begin_anew(score);
        return {};
    }

    // What lies behind is written when it is reached.
    void begin_anew(double score) {
        steps_.resize(std::max<size_t>(steps_.size(), 1));
        steps_[0] = {score, 0, kUnknown};
    }

    Result<void> flush_unknown() {
        if (unknown_begin_ == kNowhere) {
            return {};
        }
        const auto part = piece_.substr(unknown_begin_, unknown_end_ - unknown_begin_);
        unknown_begin_ = kNowhere;
        return model_.append_unknown(part, out_);
    }

    static constexpr size_t kNowhere = std::numeric_limits<size_t>::max();
    const Unigram& model_;
    std::string_view piece_;
    std::vector<BestStep>& steps_;  // to the places from base_ on
    std::vector<BestStep>& way_;    // backwards; `begin` holds where the step ends
    std::vector<TokenId>& out_;
    size_t base_ = 0;
    size_t furthest_ = 0;
    size_t unknown_begin_ = kNowhere;
    size_t unknown_end_ = 0;
};

Result<void> Unigram::encode(std::string_view text, std::span<const Piece> pieces,
                             std::vector<TokenId>& out, EncodeScratch& scratch) const {
    for (const Piece& piece : pieces) {
        const std::string_view part = text.substr(piece.begin, piece.end - piece.begin);
        WEIR_TRY(Path(*this, part, scratch, out).run());
    }
    return {};
}

}  // namespace weir::text
