#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/token_id.h"

namespace weir::text {

// A token that stands in the text under its own name, beside the merges.
struct AddedToken {
    std::string content;
    TokenId id = 0;
    // Steers, or looks as if it did: found only where its whole text is trusted. What is not
    // guarded (runs of spaces, words) is found everywhere, as the models were trained.
    bool guarded = true;
    bool lstrip = false;       // takes the spaces before it along
    bool rstrip = false;       // and behind it
    bool single_word = false;  // not inside of a word
};

// A token without markup in its name can not be taken for a control token.
bool looks_like_markup(std::string_view content);

// Which bytes of a text are trusted: ascending, disjoint, not touching stretches [begin, end).
struct TrustedRange {
    size_t begin;
    size_t end;
};
using TrustedRanges = std::span<const TrustedRange>;

// Finds added tokens in a text: leftmost first, the longest of those that may stand there.
// A search costs at most the longest content per byte.
//
// Threads: immutable after filling. Ownership: copies the tokens.
class AddedTokens {
  public:
    // Longer names are refused by the readers; see search above.
    static constexpr size_t kContentBytesMax = 256;
    // All names together: a few hundred KiB in the largest vocabularies, and a byte takes 60 here.
    static constexpr size_t kBytesMax = size_t{1} << 22;

    // The first of equal contents counts; empty ones do not. Errors: DataCorrupt past kBytesMax.
    Result<void> add(AddedToken token);
    bool empty() const { return tokens_.empty(); }
    std::optional<TokenId> find(std::string_view content) const;

    struct Match {
        size_t begin;
        size_t end;
        TokenId id;
    };
    // Appends the matches in `text`, in the order in which they begin, stretched by lstrip and
    // rstrip. What rstrip took may hold the next match.
    void search(std::string_view text, TrustedRanges trusted, std::vector<Match>& out) const;

  private:
    const AddedToken* longest_at(std::string_view text, size_t at, size_t trusted_until) const;

    static constexpr uint32_t kRoot = 0;
    struct Node {
        uint32_t token = UINT32_MAX;  // in tokens_
    };
    std::optional<uint32_t> child(uint32_t node, unsigned char byte) const;

    std::vector<AddedToken> tokens_;
    std::vector<Node> nodes_ = std::vector<Node>(1);
    std::unordered_map<uint64_t, uint32_t> edges_;  // node * 256 + byte
    size_t bytes_ = 0;                              // of all contents
    std::array<bool, 256> begins_{};                // bytes that some content begins with
};

}  // namespace weir::text
