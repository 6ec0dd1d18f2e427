#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::text {

// SentencePiece's precompiled character map: a double-array trie (Darts-clone) from byte strings to
// offsets into a pool of replacements that end in NUL. Layout: the trie's size in bytes, 32 bits;
// the trie; the pool. Source: sentencepiece's normalizer.cc, Darts-clone's README.
//
// Threads: immutable. Ownership: copies the bytes.
// Invariant: every offset that the trie can lead to lies in the pool and its text ends there; the
// trie's own jumps are checked as they are taken.
class Charsmap {
  public:
    // Errors: DataCorrupt, naming the part that is wrong.
    static Result<Charsmap> create(std::span<const std::byte> bytes);

    size_t replacement_bytes_max() const { return replacement_bytes_max_; }  // at least 1

    // SentencePiece's rule: the longest match at every place.
    std::string apply_longest(std::string_view text) const;
    // Hugging Face's rule: a grapheme cluster of less than 6 bytes is replaced by what its shortest
    // beginning that the map knows becomes; a longer one, or one that has none, is mapped character
    // by character by the same rule.
    std::string apply_to_graphemes(std::string_view text) const;

  private:
    struct Match {
        size_t bytes;
        std::string_view replacement;
    };
    enum class Wanted { Shortest, Longest };
    std::optional<Match> match(std::string_view text, Wanted wanted) const;
    // Nothing where there is no replacement, or none that ends soon.
    std::optional<std::string_view> replacement_at(uint32_t offset) const;

    bool is_plain(char character) const;
    size_t plain_run_end(std::string_view text, size_t at) const;

    std::array<bool, 0x80> plain_{};  // see is_plain
    std::vector<uint32_t> units_;
    std::string pool_;
    size_t replacement_bytes_max_ = 1;
};

}  // namespace weir::text
