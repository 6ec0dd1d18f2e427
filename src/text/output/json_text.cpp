#include "text/output/json_text.h"

#include <fmt/format.h>

#include <iterator>
#include <utility>

#include "base/utf8.h"

namespace weir::text {
namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

size_t skip_digits(std::string_view text, size_t at) {
    while (at < text.size() && is_digit(text[at])) {
        ++at;
    }
    return at;
}

uint32_t hex_value(std::string_view digits) {
    uint32_t value = 0;
    for (const char c : digits) {
        const char lower = static_cast<char>(c | 0x20);
        value = value * 16 + static_cast<uint32_t>(is_digit(c) ? c - '0' : lower - 'a' + 10);
    }
    return value;
}

bool is_hex(char c) {
    const char lower = static_cast<char>(c | 0x20);
    return is_digit(c) || (lower >= 'a' && lower <= 'f');
}

}  // namespace

void append_json_byte(std::string& out, char c) {
    switch (c) {
        case '"':
            out += "\\\"";
            return;
        case '\\':
            out += "\\\\";
            return;
        case '\n':
            out += "\\n";
            return;
        case '\r':
            out += "\\r";
            return;
        case '\t':
            out += "\\t";
            return;
        default:
            if (static_cast<unsigned char>(c) < 0x20) {
                fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
            } else {
                out.push_back(c);
            }
    }
}

void append_json_bytes(std::string& out, std::string_view bytes) {
    for (const char c : bytes) {
        append_json_byte(out, c);
    }
}

std::string json_string(std::string_view text) {
    std::string out = "\"";
    append_json_bytes(out, text);
    out.push_back('"');
    return out;
}

// -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?
bool is_json_number(std::string_view text) {
    size_t at = text.starts_with('-') ? 1 : 0;
    const size_t whole = at;
    at = skip_digits(text, at);
    if (at == whole || (text[whole] == '0' && at > whole + 1)) {
        return false;
    }
    if (at < text.size() && text[at] == '.') {
        const size_t fraction = at + 1;
        at = skip_digits(text, fraction);
        if (at == fraction) {
            return false;
        }
    }
    if (at < text.size() && (text[at] | 0x20) == 'e') {
        ++at;
        if (at < text.size() && (text[at] == '+' || text[at] == '-')) {
            ++at;
        }
        const size_t exponent = at;
        at = skip_digits(text, exponent);
        if (at == exponent) {
            return false;
        }
    }
    return at == text.size();
}

bool JsonCursor::feed(char c) {
    if (in_string_) {
        if (escaped_) {
            escaped_ = false;
        } else if (c == '\\') {
            escaped_ = true;
        } else if (c == '"') {
            in_string_ = false;
        }
        return false;
    }
    if (c == '"') {
        in_string_ = true;
    } else if (c == '{' || c == '[') {
        ++depth_;
    } else if (c == '}' || c == ']') {
        --depth_;
    }
    return depth_ == 0;
}

std::optional<uint32_t> SurrogatePairs::join(uint32_t unit, std::string& out) {
    if (unit >= 0xDC00 && unit < 0xE000 && high_ != 0) {
        return 0x10000 + ((std::exchange(high_, 0) - 0xD800) << 10) + (unit - 0xDC00);
    }
    flush(out);
    if (unit >= 0xD800 && unit < 0xDC00) {
        high_ = unit;
        return std::nullopt;
    }
    return unit;
}

void SurrogatePairs::flush(std::string& out) {
    if (std::exchange(high_, 0) != 0) {
        utf8::append(out, utf8::kReplacement);
    }
}

void JsonStringDecoder::feed_escape(char c, std::string& out) {
    escaped_ = false;
    if (c == 'u') {
        digits_ = "u";
        return;
    }
    surrogates_.flush(out);
    switch (c) {
        case 'n':
            out.push_back('\n');
            return;
        case 't':
            out.push_back('\t');
            return;
        case 'r':
            out.push_back('\r');
            return;
        case 'b':
            out.push_back('\b');
            return;
        case 'f':
            out.push_back('\f');
            return;
        default:
            out.push_back(c);
    }
}

bool JsonStringDecoder::feed(char c, std::string& out) {
    if (!digits_.empty()) {
        if (is_hex(c)) {
            digits_.push_back(c);
            if (digits_.size() < 5) {
                return false;
            }
            const uint32_t unit = hex_value(std::string_view(digits_).substr(1));
            digits_.clear();
            if (const auto code_point = surrogates_.join(unit, out)) {
                utf8::append(out, *code_point);
            }
            return false;
        }
        surrogates_.flush(out);
        out += digits_;
        digits_.clear();
    }
    if (escaped_) {
        feed_escape(c, out);
        return false;
    }
    if (c == '\\') {
        escaped_ = true;
        return false;
    }
    surrogates_.flush(out);
    if (c == '"') {
        return true;
    }
    out.push_back(c);
    return false;
}

}  // namespace weir::text
