#pragma once

#include <string>
#include <string_view>

#include "json/value.h"

namespace weir::json {

// Appends `text` as a JSON string with its quotes. Escapes what RFC 8259 demands and nothing else;
// bytes that are no UTF-8 become U+FFFD.
void append_string(std::string& out, std::string_view text);

// The shortest form that reads back as the same double, always with a point or an exponent.
// Infinity and NaN have no JSON form and become null.
void append_number(std::string& out, double number);

std::string to_text(const Value& value);
void append_value(std::string& out, const Value& value);

// Writes objects and arrays straight into a string; commas are its business.
//
//     Writer w(out);
//     w.begin_object().member("id", id).key("choices").begin_array() … .end_array().end_object();
class Writer {
  public:
    explicit Writer(std::string& out) : out_(out) {}

    Writer& begin_object() { return open('{'); }
    Writer& end_object() { return close('}'); }
    Writer& begin_array() { return open('['); }
    Writer& end_array() { return close(']'); }
    Writer& key(std::string_view name);

    Writer& value(std::string_view text);
    Writer& value(const char* text) { return value(std::string_view(text)); }
    Writer& value(const std::string& text) { return value(std::string_view(text)); }
    Writer& value(bool flag);
    Writer& value(int64_t number);
    Writer& value(uint64_t number);
    Writer& value(int number) { return value(int64_t{number}); }
    Writer& value(uint32_t number) { return value(uint64_t{number}); }
    Writer& value(double number);
    Writer& value(const Value& tree);
    Writer& null();
    Writer& raw(std::string_view json);  // already JSON text

    template <typename T>
    Writer& member(std::string_view name, const T& content) {
        return key(name).value(content);
    }

  private:
    Writer& open(char bracket);
    Writer& close(char bracket);
    void separate();

    std::string& out_;
    bool first_ = true;       // nothing yet in the innermost container
    bool after_key_ = false;  // the next value belongs to a key just written
};

}  // namespace weir::json
