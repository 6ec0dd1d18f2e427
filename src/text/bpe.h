#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/token_id.h"
#include "text/merge.h"
#include "text/text_index.h"
#include "text/token_model.h"

namespace weir::text {

// Byte-pair encoding of one pre-tokenized piece, in the two forms that are in use: over bytes
// (GPT-2's family, where a symbol is a byte) and over characters (SentencePiece's, where a
// character without a token falls back to its bytes' tokens).
//
// Threads: encode may be called from any thread once built. Ownership: owns its tables.
class Bpe final : public TokenModel {
  public:
    enum class Unit : uint8_t { Bytes, Characters };
    // When a character without a token becomes bytes: after merging in SentencePiece, where a pair
    // of unknown characters may still be a token; before it in Hugging Face's tokenizers.
    enum class Fallback : uint8_t { AfterMerging, BeforeMerging };

    struct Options {
        Unit unit = Unit::Bytes;
        Fallback fallback = Fallback::AfterMerging;
        bool ignore_merges = false;  // a piece that is a token is that token, mergeable or not
        std::optional<TokenId> unknown;
        bool fuse_unknown = true;  // a run of unknown characters is one unknown token
    };

    explicit Bpe(Options options) : options_(options) {}

    // Building: first every token that text can become (no control tokens), then the merges.
    // Errors: DataCorrupt for a text that is there already.
    Result<void> add_token(std::string_view bytes, TokenId id) {
        return add_token(bytes, TextIndex::key_of(bytes), id);
    }
    Result<void> add_token(std::string_view bytes, const TextIndex::Key& key, TokenId id);
    void reserve(size_t tokens, size_t bytes) { tokens_.reserve(tokens, bytes); }
    void reserve_merges(size_t merges) { merges_.reserve(merges); }
    void set_byte_token(uint8_t byte, TokenId id) { byte_tokens_[byte] = id; }
    void prefetch_merge(TokenId left, TokenId right) const { merges_.prefetch(left, right); }
    void add_merge(TokenId left, TokenId right, Merge merge);
    // The symbol of a token or of a character that has none.
    uint32_t symbol_of(std::string_view bytes);
    // Ends building. `vocab_size` bounds all ids.
    void finish(size_t vocab_size);

    // Says that the symbol of this key is wanted soon; see TextIndex::prefetch.
    void prefetch_symbol(const TextIndex::Key& key) const { tokens_.prefetch(key); }
    // A token or a character that has none; TextIndex::kNone for what is neither.
    uint32_t find_symbol(std::string_view bytes) const { return tokens_.find(bytes); }
    uint32_t find_symbol(std::string_view bytes, const TextIndex::Key& key) const {
        return tokens_.find(bytes, key);
    }

    std::optional<TokenId> find(std::string_view bytes) const override;
    Result<void> encode(std::string_view text, std::span<const Piece> pieces,
                        std::vector<TokenId>& out, EncodeScratch& scratch) const override;
    void cut(std::string_view text, Piece piece, size_t bytes_min,
             std::vector<Piece>& out) const override;

  private:
    Result<void> encode_piece(std::string_view piece, std::vector<TokenId>& out,
                              BpeScratch& scratch) const;
    // Whether merging the bytes of a token gives that token again; found out when first asked.
    enum class Whole : uint8_t { NotKnown, Yes, No };

    Result<void> encode_characters(std::string_view piece, std::vector<TokenId>& out,
                                   BpeScratch& scratch) const;
    Result<void> merge_piece(std::string_view piece, std::vector<TokenId>& out,
                             BpeScratch& scratch) const;
    // The same, by memory where the piece was there before.
    Result<void> merge_again(std::string_view piece, const TextIndex::Key& key,
                             std::vector<TokenId>& out, BpeScratch& scratch) const;
    Result<void> byte_symbols(std::string_view piece, std::vector<uint32_t>& symbols) const;
    Result<void> character_symbols(std::string_view piece, std::vector<uint32_t>& symbols) const;
    Result<void> append_fallback(std::string_view character, std::vector<TokenId>& out) const;
    Result<void> emit_characters(std::string_view piece, std::vector<TokenId>& out,
                                 const std::vector<uint32_t>& symbols) const;
    Result<void> encode_unit(std::string_view piece, std::vector<TokenId>& out,
                             BpeScratch& scratch) const;
    bool may_join(char32_t left, char32_t right) const;
    void note_neighbours(std::string_view token);

    static constexpr uint32_t kNoSymbol = UINT32_MAX;
    static constexpr TokenId kNoToken = UINT32_MAX;
    static constexpr size_t kNeighbourBits = size_t{1} << 19;

    Options options_;
    TextIndex tokens_;  // also the characters without a token, from vocab_size_ on
    MergeTable merges_;
    std::array<TokenId, 256> byte_tokens_ = [] {
        std::array<TokenId, 256> none{};
        none.fill(kNoToken);
        return none;
    }();
    std::array<uint32_t, 128> ascii_symbols_{};
    size_t vocab_size_ = 0;
    uint32_t next_symbol_ = UINT32_MAX - 1;  // characters without a token count down from here
    std::vector<uint32_t> token_bytes_;      // length of each token's text
    // A filter over pairs of characters that stand side by side in some token: where a text has
    // a pair that no token has, no merge can cross, and the text may be cut.
    std::vector<uint64_t> neighbours_;
    std::unique_ptr<std::atomic<Whole>[]> whole_;
};

}  // namespace weir::text
