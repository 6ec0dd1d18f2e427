#include "json/write.h"

#include <fmt/format.h>

#include <cmath>

#include "base/utf8.h"

namespace weir::json {
namespace {

void append_escaped(std::string& out, char c) {
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
        case '\b':
            out += "\\b";
            return;
        case '\f':
            out += "\\f";
            return;
        default:
            fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
    }
}

}  // namespace

void append_string(std::string& out, std::string_view text) {
    out.push_back('"');
    size_t plain = 0;  // start of the run that needs no escape
    for (size_t at = 0; at < text.size();) {
        const auto byte = static_cast<unsigned char>(text[at]);
        if (byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\') {
            ++at;
            continue;
        }
        const utf8::Decoded next = utf8::decode(text, at);
        if (byte >= 0x80 && next.valid) {
            at += next.bytes;
            continue;
        }
        out.append(text, plain, at - plain);
        if (byte < 0x80) {
            append_escaped(out, text[at]);
        } else {
            utf8::append(out, utf8::kReplacement);
        }
        at += next.bytes;
        plain = at;
    }
    out.append(text, plain, text.size() - plain);
    out.push_back('"');
}

void append_number(std::string& out, double number) {
    if (!std::isfinite(number)) {
        out += "null";
        return;
    }
    const size_t start = out.size();
    fmt::format_to(std::back_inserter(out), "{}", number);
    if (out.find_first_of(".e", start) == std::string::npos) {
        out += ".0";
    }
}

void append_value(std::string& out, const Value& value) {
    Writer(out).value(value);
}

std::string to_text(const Value& value) {
    std::string out;
    append_value(out, value);
    return out;
}

void Writer::separate() {
    if (!first_ && !after_key_) {
        out_.push_back(',');
    }
    first_ = false;
    after_key_ = false;
}

Writer& Writer::open(char bracket) {
    separate();
    out_.push_back(bracket);
    first_ = true;
    return *this;
}

Writer& Writer::close(char bracket) {
    out_.push_back(bracket);
    first_ = false;
    return *this;
}

Writer& Writer::key(std::string_view name) {
    separate();
    append_string(out_, name);
    out_.push_back(':');
    after_key_ = true;
    return *this;
}

Writer& Writer::value(std::string_view text) {
    separate();
    append_string(out_, text);
    return *this;
}

Writer& Writer::value(bool flag) {
    separate();
    out_ += flag ? "true" : "false";
    return *this;
}

Writer& Writer::value(int64_t number) {
    separate();
    fmt::format_to(std::back_inserter(out_), "{}", number);
    return *this;
}

Writer& Writer::value(uint64_t number) {
    separate();
    fmt::format_to(std::back_inserter(out_), "{}", number);
    return *this;
}

Writer& Writer::value(double number) {
    separate();
    append_number(out_, number);
    return *this;
}

Writer& Writer::null() {
    return raw("null");
}

Writer& Writer::raw(std::string_view json) {
    separate();
    out_ += json;
    return *this;
}

// Recursion is bounded: trees come from the parser, which limits depth, or are built by code.
Writer& Writer::value(const Value& tree) {
    if (const Object* object = tree.if_object()) {
        begin_object();
        for (const auto& [name, content] : *object) {
            key(name).value(content);
        }
        return end_object();
    }
    if (const Array* array = tree.if_array()) {
        begin_array();
        for (const Value& item : *array) {
            value(item);
        }
        return end_array();
    }
    if (const std::string* text = tree.if_string()) {
        return value(std::string_view(*text));
    }
    if (const bool* flag = tree.if_bool()) {
        return value(*flag);
    }
    if (const auto* whole = std::get_if<int64_t>(&tree.storage())) {
        return value(*whole);
    }
    if (const auto* large = std::get_if<uint64_t>(&tree.storage())) {
        return value(*large);
    }
    if (const auto* real = std::get_if<double>(&tree.storage())) {
        return value(*real);
    }
    return null();
}

}  // namespace weir::json
