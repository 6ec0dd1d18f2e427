#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir::text {

// `c` as it stands inside a JSON string. Bytes of a longer character pass: the text is UTF-8.
void append_json_byte(std::string& out, char c);
void append_json_bytes(std::string& out, std::string_view bytes);
// The same with quotes around it.
std::string json_string(std::string_view text);

bool is_json_number(std::string_view text);

// Finds the end of one JSON object or list in a stream, without looking at what it says: brackets
// that stand in no string are counted. Constant memory, whatever the depth.
class JsonCursor {
  public:
    // Takes the next byte, the first of which opens the value. True: this byte closed it.
    bool feed(char c);

  private:
    uint64_t depth_ = 0;
    bool in_string_ = false;
    bool escaped_ = false;
};

// Puts together the halves in which escapes write a character beyond U+FFFF. Half a pair becomes
// U+FFFD.
class SurrogatePairs {
  public:
    // The character that this code unit is or completes; nothing: it is a first half. A first half
    // that is left alone goes to `out` before.
    std::optional<uint32_t> join(uint32_t unit, std::string& out);
    // What follows is no escape.
    void flush(std::string& out);

  private:
    uint32_t high_ = 0;
};

// Decodes the inside of a JSON string, byte by byte. An escape that JSON does not have stands for
// itself.
class JsonStringDecoder {
  public:
    // Takes the next byte after the opening quote. True: this byte was the closing quote.
    bool feed(char c, std::string& out);

  private:
    void feed_escape(char c, std::string& out);

    bool escaped_ = false;
    std::string digits_;  // of \u, with the u
    SurrogatePairs surrogates_;
};

}  // namespace weir::text
