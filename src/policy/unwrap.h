#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weir::policy {

// What stands inside a text in another coding, one layer deep.
struct Unwrapped {
    std::vector<std::string> texts;  // decoded to readable text: look at these too
    std::vector<std::string> plain;  // the text without its escapes or its layout: these too
    bool unreadable = false;         // coded bytes that are compressed, or a long run of no text
    bool coded = false;              // one of `texts` is text from its beginning to its end
};

// Everything below, of folded text. Linear in `text`, as each part of it is.
Unwrapped unwrap(std::string_view text);

// Base64 (both alphabets, as it is, under rot13 and from its end), base32 and hexadecimal, over
// line breaks and even blanks; base85 in one word. What is UTF-16 inside is read too.
void unwrap_bases(std::string_view text, Unwrapped& out);

// The text with its escapes replaced, if it has any: percent, C's and JSON's backslashes,
// HTML's entities; and once more with quoted-printable's.
void unwrap_escapes(std::string_view text, Unwrapped& out);

// Lists of character codes: "34 31 31", "6A:6F", "0x34, 0x31", "U+0034 U+0031", "52 49 49".
void unwrap_code_lists(std::string_view text, Unwrapped& out);

// The text without what only lays it out: tags, Markdown's emphasis, the quotes and signs that join
// pieces of a string in a program, the margin of a quoted mail.
void unwrap_markup(std::string_view text, Unwrapped& out);

// Words spelled with the same sign between each two letters: "j o h n", "s.k.-.p".
void unwrap_spelled(std::string_view text, Unwrapped& out);

// What `text`, not yet folded, says by characters that draw nothing (tags, variation selectors),
// and what it shows where a bidirectional override turns it round. Unreadable: a long run of
// invisible characters, whatever it may mean. Linear in `text`.
Unwrapped unhide(std::string_view text);

}  // namespace weir::policy
