#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/token_id.h"
#include "text/name_finder.h"
#include "text/text_index.h"

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

// Finds added tokens in a text: leftmost first, the longest of those that may stand there. A search
// is linear in the text.
//
// Threads: immutable after filling. Ownership: copies the tokens.
class AddedTokens {
  public:
    // Longer names are refused by the readers.
    static constexpr size_t kContentBytesMax = 256;
    // All names together: a few hundred KiB in the largest vocabularies, and a byte takes 20
    // here, and 60 while the finders are built.
    static constexpr size_t kBytesMax = size_t{1} << 22;

    // The first of equal contents counts; empty ones do not. Errors: DataCorrupt past kBytesMax.
    Result<void> add(AddedToken token);
    // Ends filling; only then search.
    void finish();

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
    struct Place;
    struct Progress;
    void find_places(std::string_view text, TrustedRanges trusted, Place& place) const;
    void take(std::string_view text, const NameFinder::Found& found, Progress& progress,
              std::vector<Match>& out) const;

    std::vector<AddedToken> tokens_;
    TextIndex by_content_;  // in tokens_
    size_t bytes_ = 0;      // of all contents
    NameFinder anywhere_;   // what is found in any text
    NameFinder guarded_;    // and what in trusted text alone
};

}  // namespace weir::text
