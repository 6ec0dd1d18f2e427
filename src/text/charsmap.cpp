#include "text/charsmap.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/bytes.h"
#include "base/utf8.h"
#include "text/unicode.h"

namespace weir::text {
namespace {

// A unit of the double array. A leaf has the top bit set and a value; another unit has the label of
// the byte that leads to it and the distance to its children.
constexpr uint32_t kLeafBit = 1U << 31;
bool is_leaf(uint32_t unit) {
    return (unit & kLeafBit) != 0;
}
bool has_leaf(uint32_t unit) {
    return (unit >> 8 & 1) != 0;
}
uint32_t label_of(uint32_t unit) {
    return unit & (kLeafBit | 0xFF);
}
uint32_t offset_of(uint32_t unit) {
    return (unit >> 10) << ((unit & (1U << 9)) >> 6);
}

// NFKC's longest is 33 bytes; the bound keeps a map from blowing a text up.
constexpr size_t kReplacementBytesMax = 128;

// Grapheme clusters up to this size are replaced as one.
constexpr size_t kClusterBytesEnd = 6;

// The end of the grapheme cluster (UAX #29) that begins at `at`, or something at least
// kClusterBytesEnd further where it is that long. The rules that need more bytes to apply (Hangul
// syllables, emoji sequences, flags, conjuncts) are left out: what they join is longer than that.
size_t short_cluster_end(std::string_view text, size_t at) {
    const utf8::Decoded first = utf8::decode(text, at);
    size_t end = at + first.bytes;
    if (first.code_point == U'\r' && text.substr(end).starts_with('\n')) {
        return end + 1;
    }
    char32_t last = first.code_point;
    while (end < text.size() && end - at < kClusterBytesEnd &&
           !is_in(CharSet::GraphemeControl, last)) {
        const utf8::Decoded next = utf8::decode(text, end);
        const bool joins = is_in(CharSet::GraphemeExtend, next.code_point) ||
                           (is_in(CharSet::GraphemePrepend, last) &&
                            !is_in(CharSet::GraphemeControl, next.code_point));
        if (!next.valid || !joins) {
            break;
        }
        last = next.code_point;
        end += next.bytes;
    }
    return end;
}

}  // namespace

Result<Charsmap> Charsmap::create(std::span<const std::byte> bytes) {
    ByteReader in(bytes);
    const auto trie_bytes = in.read<uint32_t>();
    if (!trie_bytes || *trie_bytes % sizeof(uint32_t) != 0 || *trie_bytes == 0 ||
        *trie_bytes > in.remaining()) {
        return data_corrupt("precompiled_charsmap: its trie does not fit its {} bytes",
                            bytes.size());
    }
    Charsmap map;
    map.units_.resize(*trie_bytes / sizeof(uint32_t));
    for (uint32_t& unit : map.units_) {
        WEIR_TRY_ASSIGN(unit, in.read<uint32_t>());
    }
    WEIR_TRY_ASSIGN(const auto pool, in.read_bytes(in.remaining()));
    map.pool_.assign(reinterpret_cast<const char*>(pool.data()), pool.size());
    if (map.pool_.empty() || map.pool_.back() != '\0') {
        return data_corrupt("precompiled_charsmap: its replacements do not end");
    }
    for (const uint32_t unit : map.units_) {
        if (!is_leaf(unit)) {
            continue;
        }
        const auto replacement = map.replacement_at(unit & ~kLeafBit);
        if (!replacement) {
            return data_corrupt(
                "precompiled_charsmap: no replacement of at most {} bytes at {}; they end at {}",
                kReplacementBytesMax, unit & ~kLeafBit, map.pool_.size());
        }
        map.replacement_bytes_max_ = std::max(map.replacement_bytes_max_, replacement->size());
    }
    for (uint32_t byte = 1; byte < map.plain_.size(); ++byte) {
        map.plain_[byte] = map.is_plain(static_cast<char>(byte));
    }
    return map;
}

// Whether the character stays as it is and alone before any ASCII character: no entry begins with
// it but those that go on with something else (letters with their accents), and only a carriage
// return makes one cluster with what is ASCII, too.
bool Charsmap::is_plain(char character) const {
    for (char next = 1; next > 0; ++next) {
        if (match(std::string{character, next}, Wanted::Shortest)) {
            return false;
        }
    }
    return character != '\r';
}

// The end of the run of such characters, each before an ASCII character or the end of the text.
size_t Charsmap::plain_run_end(std::string_view text, size_t at) const {
    const auto byte = [text](size_t i) {
        return static_cast<unsigned char>(text[i]);
    };
    while (at < text.size() && byte(at) < plain_.size() && plain_[byte(at)] &&
           (at + 1 == text.size() || byte(at + 1) < plain_.size())) {
        ++at;
    }
    return at;
}

std::optional<std::string_view> Charsmap::replacement_at(uint32_t offset) const {
    if (offset >= pool_.size()) {
        return std::nullopt;
    }
    const auto text = std::string_view(pool_).substr(offset, kReplacementBytesMax + 1);
    const size_t end = text.find('\0');
    return end == std::string_view::npos ? std::nullopt : std::optional(text.substr(0, end));
}

std::optional<Charsmap::Match> Charsmap::match(std::string_view text, Wanted wanted) const {
    std::optional<Match> found;
    size_t at = offset_of(units_[0]);
    for (size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        at ^= byte;
        if (at >= units_.size() || label_of(units_[at]) != byte || byte == 0) {
            break;
        }
        const uint32_t unit = units_[at];
        at ^= offset_of(unit);
        // What is called a leaf may be none in a broken file.
        if (has_leaf(unit) && at < units_.size() && is_leaf(units_[at])) {
            if (const auto replacement = replacement_at(units_[at] & ~kLeafBit)) {
                found = Match{i + 1, *replacement};
                if (wanted == Wanted::Shortest) {
                    break;
                }
            }
        }
    }
    return found;
}

std::string Charsmap::apply_longest(std::string_view text) const {
    std::string out;
    out.reserve(text.size());
    for (size_t at = 0; at < text.size();) {
        const size_t plain_end = plain_run_end(text, at);
        out.append(text, at, plain_end - at);
        at = plain_end;
        if (const auto found = match(text.substr(at), Wanted::Longest)) {
            out += found->replacement;
            at += found->bytes;
            continue;
        }
        const uint32_t bytes = utf8::decode(text, at).bytes;
        out += text.substr(at, bytes);
        at += bytes;
    }
    return out;
}

std::string Charsmap::apply_to_graphemes(std::string_view text) const {
    std::string out;
    out.reserve(text.size());
    const auto replace = [&](std::string_view part) {
        const auto found = match(part, Wanted::Shortest);
        if (found) {
            out += found->replacement;
        }
        return found.has_value();
    };
    size_t cluster_end = 0;
    for (size_t at = 0; at < text.size();) {
        if (at >= cluster_end) {
            const size_t plain_end = plain_run_end(text, at);
            out.append(text, at, plain_end - at);
            at = plain_end;
        }
        // A cluster is asked for once, at its beginning.
        if (at >= cluster_end) {
            cluster_end = short_cluster_end(text, at);
            if (cluster_end - at < kClusterBytesEnd && replace(text.substr(at, cluster_end - at))) {
                at = cluster_end;
                continue;
            }
        }
        const std::string_view character = text.substr(at, utf8::decode(text, at).bytes);
        if (!replace(character)) {
            out += character;
        }
        at += character.size();
    }
    return out;
}

}  // namespace weir::text
