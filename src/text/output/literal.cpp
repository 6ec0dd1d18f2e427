#include "text/output/literal.h"

#include <algorithm>

#include "base/utf8.h"
#include "text/output/json_text.h"
#include "text/output/marker.h"

namespace weir::text {
namespace {

// A word that is no string, as JSON.
void append_word(std::string& out, std::string_view word) {
    if (word == "True" || word == "true") {
        out += "true";
        return;
    }
    if (word == "False" || word == "false") {
        out += "false";
        return;
    }
    if (word == "None" || word == "null" || word == "none") {
        out += "null";
        return;
    }
    if (is_json_number(word)) {
        out += word;
        return;
    }
    // Python's 1_000, +1, .5 and 5.
    std::string number(word.substr(word.starts_with('+') ? 1 : 0));
    number.erase(std::remove(number.begin(), number.end(), '_'), number.end());
    if (number.starts_with('.')) {
        number.insert(0, "0");
    }
    if (number.ends_with('.')) {
        number += '0';
    }
    if (is_json_number(number)) {
        out += number;
        return;
    }
    out.push_back('"');
    append_json_bytes(out, word);
    out.push_back('"');
}

bool ends_word(char c) {
    return is_space(c) || std::string_view(",()[]{}=:\"'").find(c) != std::string_view::npos;
}

size_t escape_digits(char letter) {
    switch (letter) {
        case 'x':
            return 2;
        case 'u':
            return 4;
        case 'U':
            return 8;
        default:
            return 0;
    }
}

}  // namespace

LiteralToJson::LiteralToJson(Style style, std::string_view quote) : quote_(quote) {
    if (style != Style::Value) {
        open_.push_back({style == Style::Arguments ? ')' : '}', '}', true});
        state_ = State::Key;
    }
}

LiteralToJson::Status LiteralToJson::feed(char c, std::string& out) {
    if (!started_) {
        started_ = true;
        out += open_.empty() ? "" : "{";
    }
    switch (state_) {
        case State::Key:
            return feed_key(c, out);
        case State::KeyWord:
            return feed_key_word(c, out);
        case State::Colon:
            if (c == '=' || c == ':') {
                out += ": ";
                state_ = State::Item;
            } else if (!is_space(c)) {
                return Status::Fail;
            }
            return Status::More;
        case State::Item:
            return feed_item(c, out);
        case State::Word:
            return feed_word(c, out);
        case State::Opening:
            return feed_opening(c, out);
        case State::Text:
            return feed_text(c, out);
        case State::After:
            return feed_after(c, out);
        case State::End:
            return is_space(c) ? Status::More : Status::Fail;
    }
    return Status::Fail;
}

bool LiteralToJson::finish(std::string& out) {
    if (state_ == State::Word && open_.empty()) {
        append_word(out, word_);
        return true;
    }
    if (state_ == State::Text && triple_ == Triple::Perhaps && open_.empty()) {
        out.push_back('"');
        return true;
    }
    return state_ == State::End;
}

void LiteralToJson::begin_element(std::string& out) {
    if (comma_) {
        out += ", ";
        comma_ = false;
    }
}

void LiteralToJson::end_element() {
    state_ = open_.empty() ? State::End : State::After;
}

LiteralToJson::Status LiteralToJson::open(Open bracket, std::string& out) {
    if (open_.size() >= kDepthMax) {
        return Status::Fail;
    }
    out.push_back(bracket.json == '}' ? '{' : '[');
    open_.push_back(bracket);
    state_ = bracket.has_keys ? State::Key : State::Item;
    return Status::More;
}

LiteralToJson::Status LiteralToJson::close(char c, std::string& out) {
    if (open_.empty() || open_.back().closes != c) {
        return Status::Fail;
    }
    out.push_back(open_.back().json);
    open_.pop_back();
    comma_ = false;
    end_element();
    return open_.empty() ? Status::Done : Status::More;
}

LiteralToJson::Status LiteralToJson::feed_key(char c, std::string& out) {
    if (is_space(c)) {
        return Status::More;
    }
    if (may_begin_text(c)) {
        begin_element(out);
        return begin_text(c, out, true);
    }
    if (c == open_.back().closes) {
        return close(c, out);
    }
    if (ends_word(c)) {
        return Status::Fail;
    }
    begin_element(out);
    word_ = c;
    state_ = State::KeyWord;
    return Status::More;
}

LiteralToJson::Status LiteralToJson::feed_key_word(char c, std::string& out) {
    if (!ends_word(c)) {
        word_.push_back(c);
        return word_.size() > kWordBytesMax ? Status::Fail : Status::More;
    }
    out.push_back('"');
    append_json_bytes(out, word_);
    out.push_back('"');
    state_ = State::Colon;
    return feed(c, out);
}

LiteralToJson::Status LiteralToJson::feed_item(char c, std::string& out) {
    if (is_space(c)) {
        return Status::More;
    }
    const bool is_list_end = !open_.empty() && !open_.back().has_keys && open_.back().closes == c;
    if (is_list_end) {
        return close(c, out);
    }
    if (c == ')' || c == ']' || c == '}' || c == ',' || c == '=' || c == ':') {
        return Status::Fail;
    }
    begin_element(out);
    switch (c) {
        case '{':
            return open({'}', '}', true}, out);
        case '[':
            return open({']', ']', false}, out);
        case '(':
            return open({')', ']', false}, out);
        default:
            break;
    }
    if (may_begin_text(c)) {
        return begin_text(c, out, false);
    }
    word_ = c;
    state_ = State::Word;
    return Status::More;
}

LiteralToJson::Status LiteralToJson::feed_word(char c, std::string& out) {
    if (!ends_word(c)) {
        word_.push_back(c);
        return word_.size() > kWordBytesMax ? Status::Fail : Status::More;
    }
    if (c == '"' || c == '\'') {
        return word_.size() <= 2 ? begin_text(c, out, false) : Status::Fail;  // r"…", b"…"
    }
    append_word(out, word_);
    end_element();
    return feed(c, out);
}

bool LiteralToJson::may_begin_text(char c) const {
    return c == '"' || c == '\'' || (!quote_.empty() && c == quote_.front());
}

LiteralToJson::Status LiteralToJson::begin_text(char c, std::string& out, bool is_key) {
    text_is_key_ = is_key;
    matched_ = 0;
    if (!quote_.empty() && c == quote_.front()) {
        state_ = State::Opening;
        return feed_opening(c, out);
    }
    delimiter_ = c;
    triple_ = Triple::AtStart;
    delimiters_ = 0;
    out.push_back('"');
    state_ = State::Text;
    return Status::More;
}

LiteralToJson::Status LiteralToJson::feed_opening(char c, std::string& out) {
    if (c != quote_[matched_]) {
        return Status::Fail;
    }
    ++matched_;
    if (matched_ == quote_.size()) {
        matched_ = 0;
        delimiter_ = 0;
        out.push_back('"');
        state_ = State::Text;
    }
    return Status::More;
}

LiteralToJson::Status LiteralToJson::end_text(std::string& out) {
    surrogates_.flush(out);
    out.push_back('"');
    if (text_is_key_) {
        state_ = State::Colon;
    } else {
        end_element();
    }
    return Status::More;
}

// Between two quotes of Gemma's kind nothing is escaped. What may be the beginning of the second is
// held back.
LiteralToJson::Status LiteralToJson::feed_quoted_text(char c, std::string& out) {
    std::string held = quote_.substr(0, matched_) + c;
    while (!held.empty() && !quote_.starts_with(held)) {
        append_json_byte(out, held.front());
        held.erase(0, 1);
    }
    matched_ = held.size();
    return matched_ == quote_.size() ? end_text(out) : Status::More;
}

LiteralToJson::Status LiteralToJson::feed_text(char c, std::string& out) {
    if (delimiter_ == 0) {
        return feed_quoted_text(c, out);
    }
    if (in_escape_) {
        if (!feed_escape(c, out)) {
            return feed_text(c, out);  // the escape was over before this byte
        }
        return Status::More;
    }
    if (triple_ == Triple::Perhaps) {  // two quotes: an empty string, or the beginning of three
        if (c != delimiter_) {
            triple_ = Triple::No;
            end_text(out);
            return feed(c, out);
        }
        triple_ = Triple::Yes;
        return Status::More;
    }
    const bool at_start = triple_ == Triple::AtStart;
    if (at_start) {
        triple_ = Triple::No;
    }
    if (c == delimiter_) {
        if (at_start) {
            triple_ = Triple::Perhaps;
            return Status::More;
        }
        if (triple_ == Triple::No) {
            return end_text(out);
        }
        ++delimiters_;
        return delimiters_ == 3 ? end_text(out) : Status::More;
    }
    for (; delimiters_ > 0; --delimiters_) {
        append_json_byte(out, delimiter_);
    }
    if (c == '\\') {
        in_escape_ = true;
        escape_.clear();
        return Status::More;
    }
    surrogates_.flush(out);
    append_json_byte(out, c);
    return Status::More;
}

void LiteralToJson::put_code_point(uint32_t code_point, std::string& out) {
    const auto whole = surrogates_.join(code_point, out);
    if (!whole) {
        return;
    }
    if (*whole < 0x80) {
        append_json_byte(out, static_cast<char>(*whole));
    } else {
        utf8::append(out, *whole);
    }
}

// False: the escape ended before this byte, which is still to be read.
bool LiteralToJson::feed_escape(char c, std::string& out) {
    if (escape_.empty()) {
        constexpr std::string_view kLetters = "ntrabfv0\\'\"/";
        constexpr std::string_view kMeanings("\n\t\r\a\b\f\v\0\\'\"/", 12);
        if (escape_digits(c) > 0) {
            escape_ = c;
            return true;
        }
        in_escape_ = false;
        if (c == '\n') {
            return true;  // a line that goes on
        }
        const size_t known = kLetters.find(c);
        surrogates_.flush(out);
        if (known != kLetters.npos) {
            append_json_byte(out, kMeanings[known]);
        } else {
            append_json_byte(out, '\\');
            append_json_byte(out, c);
        }
        return true;
    }
    const char lower = static_cast<char>(c | 0x20);
    const bool is_hex = (c >= '0' && c <= '9') || (lower >= 'a' && lower <= 'f');
    if (is_hex) {
        escape_.push_back(c);
    }
    const bool is_whole = escape_.size() == 1 + escape_digits(escape_.front());
    if (is_whole) {
        in_escape_ = false;
        put_code_point(static_cast<uint32_t>(std::stoul(escape_.substr(1), nullptr, 16)), out);
    } else if (!is_hex) {
        in_escape_ = false;
        append_json_byte(out, '\\');
        append_json_bytes(out, escape_);
    }
    return is_hex;
}

LiteralToJson::Status LiteralToJson::feed_after(char c, std::string& out) {
    if (is_space(c)) {
        return Status::More;
    }
    if (c == ',') {
        comma_ = true;
        state_ = open_.back().has_keys ? State::Key : State::Item;
        return Status::More;
    }
    return close(c, out);
}

}  // namespace weir::text
