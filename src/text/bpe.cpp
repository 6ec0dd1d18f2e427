#include "text/bpe.h"

#include <algorithm>

#include "base/utf8.h"

namespace weir::text {
namespace {

uint64_t neighbour_hash(char32_t left, char32_t right) {
    return (uint64_t{left} << 21 | right) * 0x9E3779B97F4A7C15 >> 40;
}

}  // namespace

Result<void> Bpe::add_token(std::string_view bytes, const TextIndex::Key& key, TokenId id) {
    if (!tokens_.insert(bytes, key, id)) {
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

std::optional<TokenId> Bpe::find(std::string_view bytes) const {
    const uint32_t id = tokens_.find(bytes);
    return id < vocab_size_ ? std::optional<TokenId>(id) : std::nullopt;
}

Result<void> Bpe::encode(std::string_view text, std::span<const Piece> pieces,
                         std::vector<TokenId>& out, EncodeScratch& scratch) const {
    const bool bytes = options_.unit == Unit::Bytes;
    for (const Piece& piece : pieces) {
        const std::string_view part = text.substr(piece.begin, piece.end - piece.begin);
        WEIR_TRY(bytes ? encode_unit(part, out, scratch.bpe)
                       : encode_piece(part, out, scratch.bpe));
    }
    return {};
}

// Only behind a character that is a token: it can be no part of a run of unknown ones, which is one
// token wherever it is cut.
void Bpe::cut(std::string_view text, Piece piece, size_t bytes_min, std::vector<Piece>& out) const {
    const std::string_view part = text.substr(piece.begin, piece.end - piece.begin);
    size_t begin = 0;
    if (options_.unit == Unit::Characters && !options_.ignore_merges) {
        std::optional<utf8::Decoded> left;
        for (size_t at = 0; at < part.size();) {
            const utf8::Decoded next = utf8::decode(part, at);
            if (left && at - begin >= bytes_min && !may_join(left->code_point, next.code_point) &&
                find(part.substr(at - left->bytes, left->bytes))) {
                out.push_back({piece.begin + static_cast<uint32_t>(begin),
                               piece.begin + static_cast<uint32_t>(at)});
                begin = at;
            }
            left = next;
            at += next.bytes;
        }
    }
    out.push_back({piece.begin + static_cast<uint32_t>(begin), piece.end});
}

Result<void> Bpe::encode_piece(std::string_view piece, std::vector<TokenId>& out,
                               BpeScratch& scratch) const {
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
    const TextIndex::Key key = TextIndex::key_of(piece);
    const uint32_t token = tokens_.find(piece, key);
    if (token >= vocab_size_) {
        return merge_again(piece, key, out, scratch);
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

Result<void> Bpe::merge_again(std::string_view piece, const TextIndex::Key& key,
                              std::vector<TokenId>& out, BpeScratch& scratch) const {
    if (piece.size() > PieceMemo::kPieceBytesMax || piece.empty()) {
        return merge_piece(piece, out, scratch);
    }
    const std::span<const TokenId> known = scratch.memo.find(key);
    if (!known.empty()) {
        out.insert(out.end(), known.begin(), known.end());
        return {};
    }
    const size_t before = out.size();
    WEIR_TRY(merge_piece(piece, out, scratch));
    scratch.memo.keep(key, std::span(out).subspan(before));
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
