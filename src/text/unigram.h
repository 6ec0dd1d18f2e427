#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "text/prefix_trie.h"
#include "text/text_index.h"
#include "text/token_model.h"

namespace weir::text {

// The unigram language model: of all ways to write a piece in tokens, the one with the highest sum
// of scores (Kudo 2018), by Viterbi's algorithm from left to right. Linear: at every place the
// tokens that begin there are tried, and they are bounded.
//
// Threads: immutable once built. Ownership: owns its tables.
class Unigram final : public TokenModel {
  public:
    // SentencePiece adds up in float32, everybody else in float64; it decides between ways that are
    // nearly as good.
    enum class Precision : uint8_t { Single, Double };

    struct Token {
        std::string_view text;
        TokenId id;
        double score;
    };
    struct Options {
        Precision precision = Precision::Double;
        std::optional<TokenId> unknown;
        double unknown_score = 0;
    };

    // A text costs its bytes times the longest piece, at worst; SentencePiece makes pieces of 16
    // characters unless it is told otherwise.
    static constexpr size_t kPieceBytesMax = 512;
    // `tokens` are those that text can become. `bytes` are the tokens of single bytes, which say
    // what no other token says if all of them are there. Errors: DataCorrupt for a token that is
    // too long, TooLarge for too many bytes of them.
    static Result<std::unique_ptr<Unigram>> create(
        const Options& options, std::span<const Token> tokens,
        const std::array<std::optional<TokenId>, 256>& bytes);

    Result<void> encode(std::string_view text, std::span<const Piece> pieces,
                        std::vector<TokenId>& out, EncodeScratch& scratch) const override;
    std::optional<TokenId> find(std::string_view text) const override;

  private:
    explicit Unigram(const Options& options) : options_(options) {}
    class Path;
    Result<void> append_unknown(std::string_view part, std::vector<TokenId>& out) const;

    Options options_;
    PrefixTrie trie_;  // to positions in ids_ and scores_
    std::vector<TokenId> ids_;
    std::vector<double> scores_;
    TextIndex texts_;
    std::array<std::optional<TokenId>, 256> bytes_;
};

}  // namespace weir::text
