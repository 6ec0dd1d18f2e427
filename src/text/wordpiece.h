#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "text/prefix_trie.h"
#include "text/text_index.h"
#include "text/token_model.h"

namespace weir::text {

// BERT's WordPiece: each word is the longest token that it begins with, then the longest
// continuation, and so on; a word of which a part is no token is unknown as a whole (Wu et al.
// 2016, the greedy form of Devlin et al. 2018). WordLevel is the case without continuations and
// without parts.
//
// Threads: immutable once built. Ownership: owns its tables.
class WordPiece final : public TokenModel {
  public:
    struct Token {
        std::string_view text;  // without the sign of a continuation
        TokenId id;
    };
    struct Options {
        std::optional<TokenId> unknown;
        size_t characters_max = 100;  // a longer word is unknown
        bool whole_words_only = false;
    };

    // `texts` are the tokens as they are written, for find().
    WordPiece(const Options& options, std::span<const Token> beginnings,
              std::span<const Token> continuations, std::span<const Token> texts);

    Result<void> encode(std::string_view text, std::span<const Piece> pieces,
                        std::vector<TokenId>& out, EncodeScratch& scratch) const override;
    std::optional<TokenId> find(std::string_view text) const override;

  private:
    bool append_parts(std::string_view word, std::vector<TokenId>& out) const;

    Options options_;
    PrefixTrie beginnings_;
    PrefixTrie continuations_;
    TextIndex texts_;
};

}  // namespace weir::text
