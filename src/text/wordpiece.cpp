#include "text/wordpiece.h"

#include "base/utf8.h"

namespace weir::text {
namespace {

PrefixTrie trie_of(std::span<const WordPiece::Token> tokens) {
    std::vector<PrefixTrie::Entry> entries;
    entries.reserve(tokens.size());
    for (const WordPiece::Token& token : tokens) {
        if (!token.text.empty()) {
            entries.push_back({token.text, token.id});
        }
    }
    return PrefixTrie(std::move(entries));
}

bool has_more_characters(std::string_view word, size_t limit) {
    if (word.size() <= limit) {
        return false;
    }
    size_t characters = 0;
    for (size_t at = 0; at < word.size(); ++characters) {
        at += utf8::decode(word, at).bytes;
    }
    return characters > limit;
}

}  // namespace

WordPiece::WordPiece(const Options& options, std::span<const Token> beginnings,
                     std::span<const Token> continuations, std::span<const Token> texts)
    : options_(options), beginnings_(trie_of(beginnings)), continuations_(trie_of(continuations)) {
    for (const Token& token : texts) {
        texts_.insert(token.text, token.id);
    }
}

// Only tokens that end between two characters count, as in the reference, which takes characters
// away from the end until a token is left.
bool WordPiece::append_parts(std::string_view word, std::vector<TokenId>& out) const {
    for (size_t at = 0; at < word.size();) {
        size_t longest = 0;
        TokenId id = 0;
        const PrefixTrie& trie = at == 0 ? beginnings_ : continuations_;
        trie.each_prefix(word.substr(at), [&](size_t bytes, uint32_t token) {
            const size_t end = at + bytes;
            const bool inside = options_.whole_words_only
                                    ? end < word.size()
                                    : end < word.size() && (word[end] & 0xC0) == 0x80;
            if (!inside) {
                longest = bytes;
                id = token;
            }
        });
        if (longest == 0) {
            return false;
        }
        out.push_back(id);
        at += longest;
    }
    return true;
}

Result<void> WordPiece::encode(std::string_view text, std::span<const Piece> pieces,
                               std::vector<TokenId>& out, EncodeScratch& /*scratch*/) const {
    for (const Piece& piece : pieces) {
        const std::string_view word = text.substr(piece.begin, piece.end - piece.begin);
        const size_t before = out.size();
        if (!has_more_characters(word, options_.characters_max) && append_parts(word, out)) {
            continue;
        }
        out.resize(before);
        if (!options_.unknown) {
            return invalid_argument("", "the vocabulary has no token for a word of the text");
        }
        out.push_back(*options_.unknown);
    }
    return {};
}

std::optional<TokenId> WordPiece::find(std::string_view text) const {
    const uint32_t id = texts_.find(text);
    return id == TextIndex::kNone ? std::nullopt : std::optional<TokenId>(id);
}

}  // namespace weir::text
