#pragma once

#include <re2/re2.h>

#include <string_view>

namespace weir::policy {

// Every pattern of this room is RE2: time linear in the text, whoever wrote the text.
inline re2::StringPiece piece(std::string_view text) {
    return {text.data(), text.size()};
}

inline std::string_view view(const re2::StringPiece& text) {
    return {text.data(), text.size()};
}

// For patterns of letters: by bytes, every byte beyond ASCII counting as one of a letter's. RE2's
// tables for the letters of all scripts outgrow its memory, and it then goes the slow way.
inline re2::RE2::Options by_bytes() {
    re2::RE2::Options options;
    options.set_encoding(re2::RE2::Options::EncodingLatin1);
    return options;
}

inline bool has_match(const re2::RE2& pattern, std::string_view text) {
    return re2::RE2::PartialMatch(piece(text), pattern);
}

}  // namespace weir::policy
