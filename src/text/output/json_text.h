#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace weir::text {

// `c` as it stands inside a JSON string. Bytes of a longer character pass: the text is UTF-8.
void append_json_byte(std::string& out, char c);
void append_json_bytes(std::string& out, std::string_view bytes);

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

// Decodes the inside of a JSON string, byte by byte. An escape that JSON does not have stands for
// itself; half of a surrogate pair becomes U+FFFD.
class JsonStringDecoder {
  public:
    // Takes the next byte after the opening quote. True: this byte was the closing quote.
    bool feed(char c, std::string& out);

  private:
    void feed_escape(char c, std::string& out);
    void flush_surrogate(std::string& out);

    bool escaped_ = false;
    std::string digits_;  // of \u, with the u
    uint32_t high_surrogate_ = 0;
};

}  // namespace weir::text
