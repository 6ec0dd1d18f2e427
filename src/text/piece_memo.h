#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/token_id.h"
#include "text/text_index.h"

namespace weir::text {

// What short pieces were merged to, for one model and one text: the words of a text that are no
// tokens come again and again, and merging one costs twenty times as much as finding it here. A
// piece that shares its place with another one drives it out.
//
// Threads: one, the encoding one's.
class PieceMemo {
  public:
    static constexpr size_t kPieceBytesMax =
        TextIndex::kShortBytesMax;  // then the key is the whole text

    // Empty if it is not known.
    std::span<const TokenId> find(const TextIndex::Key& key) const {
        if (entries_.empty()) {
            return {};
        }
        const Entry& entry = entries_[place_of(key)];
        return entry.key == key ? std::span(entry.tokens).first(entry.count)
                                : std::span<const TokenId>();
    }
    void keep(const TextIndex::Key& key, std::span<const TokenId> tokens) {
        if (entries_.empty()) {
            if (++missed_ < kMissesFirst) {
                return;
            }
            entries_.resize(kPlaces);
        }
        if (tokens.size() <= kTokensMax) {
            Entry& entry = entries_[place_of(key)];
            entry.key = key;
            entry.count = static_cast<uint32_t>(tokens.size());
            std::ranges::copy(tokens, entry.tokens.begin());
        }
    }

  private:
    static constexpr size_t kPlaces = 1024;
    static constexpr size_t kTokensMax = 11;      // an entry is a cache line
    static constexpr uint32_t kMissesFirst = 32;  // a short text is done before it would pay
    struct Entry {
        TextIndex::Key key;  // of the empty text: no piece
        uint32_t count = 0;
        std::array<TokenId, kTokensMax> tokens{};
    };
    static size_t place_of(const TextIndex::Key& key) { return TextIndex::hash_of(key) % kPlaces; }

    std::vector<Entry> entries_;
    uint32_t missed_ = 0;
};

}  // namespace weir::text
