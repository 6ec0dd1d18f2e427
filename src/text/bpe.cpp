#include "text/bpe.h"

#include <algorithm>
#include <functional>

#include "base/utf8.h"

namespace weir::text {
namespace {

// Up to here a plain scan for the lowest rank beats the heap; most pieces are words.
constexpr size_t kScanSymbolsMax = 40;

// Quadratic in a bounded number of symbols, without any bookkeeping.
void merge_by_scanning(const MergeTable& table, BpeScratch& scratch) {
    std::vector<uint32_t>& symbols = scratch.symbols;
    std::array<Merge, kScanSymbolsMax> merges;  // of symbol i with symbol i + 1
    size_t count = symbols.size();
    for (size_t i = 0; i + 1 < count; ++i) {
        merges[i] = table.find(symbols[i], symbols[i + 1]);
    }
    scratch.steps += count;
    while (count > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < count; ++i) {
            if (merges[i].rank < merges[best].rank) {
                best = i;
            }
        }
        if (merges[best].rank == Merge::kNever) {
            break;
        }
        symbols[best] = merges[best].result;
        for (size_t i = best + 1; i + 1 < count; ++i) {
            symbols[i] = symbols[i + 1];
            merges[i - 1] = merges[i];
        }
        --count;
        if (best + 1 < count) {
            merges[best] = table.find(symbols[best], symbols[best + 1]);
        }
        if (best > 0) {
            merges[best - 1] = table.find(symbols[best - 1], symbols[best]);
        }
        scratch.steps += 2;
    }
    symbols.resize(count);
}

// The heap's entries are never removed when their pair changes: an entry counts only if the pair at
// its position still has its rank. Each merge makes at most two new pairs, so that at most 3n
// entries go through the heap.
class HeapMerger {
  public:
    HeapMerger(const MergeTable& table, BpeScratch& scratch) : table_(table), scratch_(scratch) {}

    void run() {
        link();
        auto& heap = scratch_.heap;
        while (!heap.empty()) {
            std::pop_heap(heap.begin(), heap.end(), std::greater<>());
            const uint64_t top = heap.back();
            heap.pop_back();
            ++scratch_.steps;
            const auto at = static_cast<uint32_t>(top);
            if (scratch_.merges[at].rank == top >> 32) {
                merge(at);
            }
        }
        collect();
    }

  private:
    static constexpr uint32_t kEnd = UINT32_MAX;

    void link() {
        const auto count = static_cast<uint32_t>(scratch_.symbols.size());
        scratch_.previous.resize(count);
        scratch_.next.resize(count);
        scratch_.merges.assign(count, Merge{});
        scratch_.heap.clear();
        for (uint32_t i = 0; i < count; ++i) {
            scratch_.previous[i] = i == 0 ? kEnd : i - 1;
            scratch_.next[i] = i + 1 == count ? kEnd : i + 1;
            if (i + 1 < count) {
                look_up(i);
                if (scratch_.merges[i].rank != Merge::kNever) {
                    scratch_.heap.push_back(entry(i));
                }
            }
        }
        std::make_heap(scratch_.heap.begin(), scratch_.heap.end(), std::greater<>());
    }

    void look_up(uint32_t at) {
        scratch_.merges[at] =
            table_.find(scratch_.symbols[at], scratch_.symbols[scratch_.next[at]]);
        ++scratch_.steps;
    }

    uint64_t entry(uint32_t at) const { return uint64_t{scratch_.merges[at].rank} << 32 | at; }

    void renew(uint32_t at) {
        look_up(at);
        if (scratch_.merges[at].rank != Merge::kNever) {
            scratch_.heap.push_back(entry(at));
            std::push_heap(scratch_.heap.begin(), scratch_.heap.end(), std::greater<>());
            ++scratch_.steps;
        }
    }

    void merge(uint32_t at) {
        const uint32_t gone = scratch_.next[at];
        const uint32_t after = scratch_.next[gone];
        scratch_.symbols[at] = scratch_.merges[at].result;
        scratch_.merges[gone] = Merge{};
        scratch_.merges[at] = Merge{};
        scratch_.next[at] = after;
        if (after != kEnd) {
            scratch_.previous[after] = at;
            renew(at);
        }
        if (scratch_.previous[at] != kEnd) {
            renew(scratch_.previous[at]);
        }
    }

    void collect() {
        size_t count = 0;
        for (uint32_t at = 0; at != kEnd; at = scratch_.next[at]) {
            scratch_.symbols[count++] = scratch_.symbols[at];
        }
        scratch_.symbols.resize(count);
    }

    const MergeTable& table_;
    BpeScratch& scratch_;
};

uint64_t neighbour_hash(char32_t left, char32_t right) {
    return (uint64_t{left} << 21 | right) * 0x9E3779B97F4A7C15 >> 40;
}

}  // namespace

void merge_symbols(const MergeTable& table, BpeScratch& scratch) {
    if (scratch.symbols.size() <= kScanSymbolsMax) {
        merge_by_scanning(table, scratch);
    } else {
        HeapMerger(table, scratch).run();
    }
}

Result<void> Bpe::add_token(std::string_view bytes, TokenId id) {
    if (!tokens_.insert(bytes, id)) {
        return data_corrupt("tokens {} and {} have the same text", tokens_.find(bytes), id);
    }
    if (token_bytes_.size() <= id) {
        token_bytes_.resize(size_t{id} + 1);
    }
    token_bytes_[id] = static_cast<uint32_t>(bytes.size());
    return {};
}

void Bpe::add_merge(TokenId left, TokenId right, Merge merge) {
    merges_.insert(left, right, merge);
}

uint32_t Bpe::symbol_of(std::string_view bytes) {
    const uint32_t known = tokens_.find(bytes);
    if (known != TextIndex::kNone) {
        return known;
    }
    tokens_.insert(bytes, next_symbol_);
    return next_symbol_--;
}

void Bpe::note_neighbours(std::string_view token) {
    std::optional<char32_t> left;
    for (size_t at = 0; at < token.size();) {
        const utf8::Decoded next = utf8::decode(token, at);
        if (left) {
            const uint64_t bit = neighbour_hash(*left, next.code_point) % kNeighbourBits;
            neighbours_[bit / 64] |= uint64_t{1} << (bit % 64);
        }
        left = next.code_point;
        at += next.bytes;
    }
}

void Bpe::finish(size_t vocab_size) {
    vocab_size_ = vocab_size;
    token_bytes_.resize(vocab_size);
    whole_ = std::make_unique<std::atomic<Whole>[]>(vocab_size);
    for (size_t byte = 0; byte < ascii_symbols_.size(); ++byte) {
        const char character = static_cast<char>(byte);
        ascii_symbols_[byte] = tokens_.find({&character, 1});
    }
    if (options_.unit == Unit::Characters) {
        neighbours_.assign(kNeighbourBits / 64, 0);
        tokens_.for_each([this](std::string_view text, uint32_t) { note_neighbours(text); });
    }
}

bool Bpe::may_join(char32_t left, char32_t right) const {
    const uint64_t bit = neighbour_hash(left, right) % kNeighbourBits;
    return (neighbours_[bit / 64] >> (bit % 64) & 1) != 0;
}

Result<void> Bpe::encode(std::string_view piece, std::vector<TokenId>& out,
                         BpeScratch& scratch) const {
    if (options_.unit == Unit::Bytes) {
        return encode_unit(piece, out, scratch);
    }
    const size_t before = out.size();
    WEIR_TRY(encode_characters(piece, out, scratch));
    if (options_.fuse_unknown && options_.unknown) {
        const auto both_unknown = [this](TokenId a, TokenId b) {
            return a == b && a == *options_.unknown;
        };
        const auto begin = out.begin() + static_cast<ptrdiff_t>(before);
        out.erase(std::unique(begin, out.end(), both_unknown), out.end());
    }
    return {};
}

// A SentencePiece text is one piece; it is cut where no merge can reach.
Result<void> Bpe::encode_characters(std::string_view piece, std::vector<TokenId>& out,
                                    BpeScratch& scratch) const {
    if (options_.ignore_merges) {
        return encode_unit(piece, out, scratch);
    }
    size_t begin = 0;
    std::optional<char32_t> left;
    for (size_t at = 0; at < piece.size();) {
        const utf8::Decoded next = utf8::decode(piece, at);
        if (left && !may_join(*left, next.code_point)) {
            WEIR_TRY(encode_unit(piece.substr(begin, at - begin), out, scratch));
            begin = at;
        }
        left = next.code_point;
        at += next.bytes;
    }
    return encode_unit(piece.substr(begin), out, scratch);
}

Result<void> Bpe::encode_unit(std::string_view piece, std::vector<TokenId>& out,
                              BpeScratch& scratch) const {
    const uint32_t token = tokens_.find(piece);
    if (token >= vocab_size_) {
        return merge_piece(piece, out, scratch);
    }
    if (options_.ignore_merges) {
        out.push_back(token);
        return {};
    }
    // Relaxed: whoever finds it out finds the same.
    const Whole whole = whole_[token].load(std::memory_order_relaxed);
    if (whole == Whole::Yes) {
        out.push_back(token);
        return {};
    }
    const size_t before = out.size();
    WEIR_TRY(merge_piece(piece, out, scratch));
    if (whole == Whole::NotKnown) {
        const bool same = out.size() == before + 1 && out.back() == token;
        whole_[token].store(same ? Whole::Yes : Whole::No, std::memory_order_relaxed);
    }
    return {};
}

Result<void> Bpe::merge_piece(std::string_view piece, std::vector<TokenId>& out,
                              BpeScratch& scratch) const {
    scratch.symbols.clear();
    if (options_.unit == Unit::Bytes) {
        WEIR_TRY(byte_symbols(piece, scratch.symbols));
        merge_symbols(merges_, scratch);
        out.insert(out.end(), scratch.symbols.begin(), scratch.symbols.end());
        return {};
    }
    WEIR_TRY(character_symbols(piece, scratch.symbols));
    merge_symbols(merges_, scratch);
    return emit_characters(piece, out, scratch.symbols);
}

Result<void> Bpe::byte_symbols(std::string_view piece, std::vector<uint32_t>& symbols) const {
    for (const char character : piece) {
        const auto byte = static_cast<uint8_t>(character);
        const TokenId token = byte_tokens_[byte];
        if (token != kNoToken) {
            symbols.push_back(token);
        } else if (options_.unknown) {
            symbols.push_back(*options_.unknown);
        } else {
            return invalid_argument("", "the vocabulary has no token for byte 0x{:02x}", byte);
        }
    }
    return {};
}

Result<void> Bpe::character_symbols(std::string_view piece, std::vector<uint32_t>& symbols) const {
    for (size_t at = 0; at < piece.size();) {
        const auto first = static_cast<uint8_t>(piece[at]);
        const uint32_t bytes = first < 0x80 ? 1 : utf8::decode(piece, at).bytes;
        const std::string_view character = piece.substr(at, bytes);
        const uint32_t symbol = first < 0x80 ? ascii_symbols_[first] : tokens_.find(character);
        at += bytes;
        if (symbol != TextIndex::kNone || options_.fallback == Fallback::AfterMerging) {
            symbols.push_back(symbol);
            continue;
        }
        WEIR_TRY(append_fallback(character, symbols));
    }
    return {};
}

Result<void> Bpe::append_fallback(std::string_view character, std::vector<TokenId>& out) const {
    const bool all_bytes = std::all_of(character.begin(), character.end(), [this](char byte) {
        return byte_tokens_[static_cast<uint8_t>(byte)] != kNoToken;
    });
    if (all_bytes) {
        for (const char byte : character) {
            out.push_back(byte_tokens_[static_cast<uint8_t>(byte)]);
        }
        return {};
    }
    if (!options_.unknown) {
        return invalid_argument("", "the vocabulary has no token for a character of the text");
    }
    out.push_back(*options_.unknown);
    return {};
}

Result<void> Bpe::emit_characters(std::string_view piece, std::vector<TokenId>& out,
                                  const std::vector<uint32_t>& symbols) const {
    size_t at = 0;  // where the symbol's text begins; only followed for AfterMerging
    for (const uint32_t symbol : symbols) {
        if (symbol < vocab_size_) {
            out.push_back(symbol);
            at += token_bytes_[symbol];
            continue;
        }
        const uint32_t bytes = utf8::decode(piece, at).bytes;
        WEIR_TRY(append_fallback(piece.substr(at, bytes), out));
        at += bytes;
    }
    return {};
}

}  // namespace weir::text
