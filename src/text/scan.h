#pragma once

#include <cstddef>
#include <string_view>

#include "base/utf8.h"
#include "text/unicode.h"

namespace weir::text {

// A text as the scanners see it: characters with their classes. Internal to the
// pre-tokenizer and to the search for added tokens.
class ClassedText {
  public:
    explicit ClassedText(std::string_view text) : text_(text), table_(CharTable::get()) {}

    struct Char {
        char32_t code_point;
        CharClass char_class;
        uint32_t bytes;

        bool is(CharClass wanted) const { return (char_class & wanted) != 0; }
        bool is_newline() const { return code_point == U'\n' || code_point == U'\r'; }
    };

    size_t size() const { return text_.size(); }
    std::string_view text() const { return text_; }
    unsigned char byte(size_t at) const { return static_cast<unsigned char>(text_[at]); }

    Char at(size_t offset) const {  // offset < size()
        const unsigned char first = byte(offset);
        if (first < 0x80) {
            return {first, table_.ascii(first), 1};
        }
        const utf8::Decoded decoded = utf8::decode(text_, offset);
        const CharClass char_class = decoded.valid ? table_.of(decoded.code_point) : CharClass{0};
        return {decoded.code_point, char_class, decoded.bytes};
    }

    // The end of the run of characters with one of the wanted classes (or none, for run_not).
    size_t run(size_t offset, CharClass wanted) const {
        while (true) {
            while (offset < size() && (table_.ascii(byte(offset)) & wanted) != 0) {
                ++offset;
            }
            if (offset >= size() || byte(offset) < 0x80) {
                return offset;
            }
            const Char next = at(offset);
            if (!next.is(wanted)) {
                return offset;
            }
            offset += next.bytes;
        }
    }
    size_t run_not(size_t offset, CharClass unwanted) const {
        while (offset < size()) {
            const Char next = at(offset);
            if (next.is(unwanted)) {
                break;
            }
            offset += next.bytes;
        }
        return offset;
    }
    size_t run_bytes(size_t offset, std::string_view wanted) const {
        while (offset < size() && wanted.find(text_[offset]) != std::string_view::npos) {
            ++offset;
        }
        return offset;
    }
    bool is_at(size_t offset, CharClass wanted) const {
        return offset < size() && at(offset).is(wanted);
    }

  private:
    std::string_view text_;
    const CharTable& table_;
};

// \w
inline bool is_word_character(const ClassedText::Char& character) {
    return character.is(kLetter | kMark) || is_in(CharSet::WordExtras, character.code_point);
}

}  // namespace weir::text
