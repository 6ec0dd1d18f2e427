#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/token_id.h"
#include "text/merge.h"
#include "text/pretokenizer.h"

namespace weir::text {

// One step of the best path to a place of a text; see unigram.cpp.
struct BestStep {
    double score;
    uint32_t begin;
    TokenId token;
};

// What one thread needs while it encodes; kept between pieces to save allocations.
struct EncodeScratch {
    BpeScratch bpe;
    std::vector<BestStep> path;
    std::vector<BestStep> way;
};

// The part of a tokenizer that turns the pieces of a text, as normalised and cut, into tokens. The
// pieces know nothing of each other.
//
// Threads: immutable once built; every method may be called from any thread with a scratch of its
// own.
class TokenModel {
  public:
    TokenModel() = default;
    virtual ~TokenModel() = default;
    TokenModel(const TokenModel&) = delete;
    TokenModel& operator=(const TokenModel&) = delete;

    // Appends the tokens of the pieces, one piece after the other.
    // Errors: InvalidArgument where the vocabulary can not say a part of the text.
    virtual Result<void> encode(std::string_view text, std::span<const Piece> pieces,
                                std::vector<TokenId>& out, EncodeScratch& scratch) const = 0;

    // The token that is written so inside the model.
    virtual std::optional<TokenId> find(std::string_view text) const = 0;

    // Cuts the piece where nothing that the model does can reach across, so that its parts can be
    // encoded apart; every part but the last has at least `bytes_min` bytes. Without such places:
    // one part.
    virtual void cut(std::string_view text, Piece piece, size_t bytes_min,
                     std::vector<Piece>& out) const {
        (void)text;
        (void)bytes_min;
        out.push_back(piece);
    }
};

}  // namespace weir::text
