#include "text/jinja/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/utf8.h"
#include "text/jinja/builtins.h"

namespace weir::text::jinja {
namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// Of bases up to 16; 99: none.
uint32_t digit_of(char c) {
    const char small = static_cast<char>(c | 0x20);
    if (is_digit(c)) {
        return static_cast<uint32_t>(c - '0');
    }
    return small >= 'a' && small <= 'f' ? static_cast<uint32_t>(small - 'a' + 10) : 99;
}

bool is_name_start(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           static_cast<unsigned char>(c) >= 0x80;
}

class Lexer {
  public:
    explicit Lexer(std::string_view source) : source_(source) {}

    Outcome<TokenList> run();

  private:
    std::unexpected<Raised> error(std::string_view message) const {
        return raise("line {}: {}", line_, message);
    }
    bool at(std::string_view text) const { return source_.substr(at_).starts_with(text); }
    char peek(size_t ahead = 0) const {
        return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0';
    }
    size_t after_space(size_t from) const {
        return from + strip_range(source_.substr(from), Side::Left, std::nullopt).first;
    }
    void move_to(size_t to);
    void emit(TokenKind kind, std::string_view text = {});
    size_t find_tag() const;
    void emit_data(size_t from, size_t to, char sign, bool variable);
    void close(std::string_view end, bool trim);

    Outcome<void> comment();
    Outcome<bool> raw_block(size_t data_from, size_t tag);
    std::optional<size_t> match_raw_tag(size_t tag, std::string_view word, bool trim) const;
    Outcome<void> inside(TokenKind end_kind, std::string_view end);
    bool at_end_tag(TokenKind end_kind, std::string_view end) const;
    Outcome<void> token();
    Outcome<void> number();
    Outcome<void> whole_number();
    Outcome<void> string(char quote);
    Outcome<void> escape(std::string& out, size_t end);
    Outcome<void> op();
    size_t skip_digits(size_t from) const;

    std::string_view source_;
    size_t at_ = 0;
    uint32_t line_ = 1;
    bool line_starting_ = true;  // the last match ended with a newline
    std::vector<char> brackets_;
    TokenList list_;
};

void Lexer::move_to(size_t to) {
    line_ += static_cast<uint32_t>(std::count(source_.begin() + static_cast<ptrdiff_t>(at_),
                                              source_.begin() + static_cast<ptrdiff_t>(to), '\n'));
    at_ = to;
}

void Lexer::emit(TokenKind kind, std::string_view text) {
    list_.tokens.push_back(Token{kind, line_, text});
}

// The next "{{", "{%" or "{#".
size_t Lexer::find_tag() const {
    for (size_t i = at_; i + 1 < source_.size(); ++i) {
        if (source_[i] == '{' &&
            (source_[i + 1] == '{' || source_[i + 1] == '%' || source_[i + 1] == '#')) {
            return i;
        }
    }
    return source_.size();
}

// The text before a tag: all white space at its end goes with "-"; with lstrip_blocks and no "+",
// the white space between the start of the line and a tag that is not a variable goes.
void Lexer::emit_data(size_t from, size_t to, char sign, bool variable) {
    std::string_view data = source_.substr(from, to - from);
    if (sign == '-') {
        data = data.substr(0, strip_range(data, Side::Right, std::nullopt).second);
    } else if (sign != '+' && !variable) {
        const size_t newline = data.rfind('\n');
        const size_t line_start = newline == data.npos ? 0 : newline + 1;
        if (line_start > 0 || line_starting_) {
            const auto rest = strip_range(data.substr(line_start), Side::Left, std::nullopt);
            if (rest.first == data.size() - line_start) {
                data = data.substr(0, line_start);
            }
        }
    }
    if (!data.empty()) {
        emit(TokenKind::Data, data);
    }
}

// Moves over the end of a tag, `end` with its sign before it, and the white space that goes too.
void Lexer::close(std::string_view end, bool trim) {
    const char sign = peek();
    size_t to = at_ + end.size();
    if (sign == '-' || (sign == '+' && trim)) {
        to += 1;
    }
    if (sign == '-') {
        to = after_space(to);
    } else if (sign != '+' && trim && to < source_.size() && source_[to] == '\n') {
        to += 1;
    }
    line_starting_ = source_[to - 1] == '\n';
    move_to(to);
}

Outcome<void> Lexer::comment() {
    const size_t end = source_.find("#}", at_);
    if (end == source_.npos) {
        return error("Missing end of comment tag");
    }
    const bool sign = end > at_ && (source_[end - 1] == '-' || source_[end - 1] == '+');
    move_to(sign ? end - 1 : end);
    close("#}", true);
    return {};
}

// "{%" sign "raw" sign "%}" at `tag`; gives the position after it.
std::optional<size_t> Lexer::match_raw_tag(size_t tag, std::string_view word, bool trim) const {
    size_t i = tag + 2;
    if (i < source_.size() && (source_[i] == '-' || source_[i] == '+')) {
        ++i;
    }
    i = after_space(i);
    if (!source_.substr(i).starts_with(word)) {
        return std::nullopt;
    }
    i = after_space(i + word.size());
    const std::string_view rest = source_.substr(i);
    if (rest.starts_with("-%}")) {
        return after_space(i + 3);
    }
    if (trim && rest.starts_with("+%}")) {
        return i + 3;
    }
    if (rest.starts_with("%}")) {
        return trim && rest.substr(2).starts_with("\n") ? i + 3 : i + 2;
    }
    return std::nullopt;
}

Outcome<bool> Lexer::raw_block(size_t data_from, size_t tag) {
    const auto content = match_raw_tag(tag, "raw", false);
    if (!content) {
        return false;
    }
    const auto sign_at = [this](size_t begin) {
        return begin + 2 < source_.size() ? source_[begin + 2] : '\0';
    };
    emit_data(data_from, tag, sign_at(tag), false);
    line_starting_ = source_[*content - 1] == '\n';
    move_to(*content);
    for (size_t end = source_.find("{%", at_); end != source_.npos;
         end = source_.find("{%", end + 2)) {
        if (const auto after = match_raw_tag(end, "endraw", true)) {
            emit_data(at_, end, sign_at(end), false);
            line_starting_ = source_[*after - 1] == '\n';
            move_to(*after);
            return true;
        }
    }
    return error("Missing end of raw directive");
}

Outcome<TokenList> Lexer::run() {
    while (at_ < source_.size()) {
        const size_t from = at_;
        const size_t tag = find_tag();
        if (tag == source_.size()) {
            emit(TokenKind::Data, source_.substr(from));
            move_to(tag);
            break;
        }
        const char second = source_[tag + 1];
        if (second == '%') {
            WEIR_TRY_ASSIGN(const bool raw, raw_block(from, tag));
            if (raw) {
                continue;
            }
        }
        const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
        const bool has_sign = sign == '-' || sign == '+';
        emit_data(from, tag, sign, second == '{');
        move_to(tag + (has_sign ? 3 : 2));
        line_starting_ = false;
        if (second == '#') {
            WEIR_TRY(comment());
        } else if (second == '%') {
            emit(TokenKind::BlockBegin);
            WEIR_TRY(inside(TokenKind::BlockEnd, "%}"));
        } else {
            emit(TokenKind::VariableBegin);
            WEIR_TRY(inside(TokenKind::VariableEnd, "}}"));
        }
    }
    emit(TokenKind::End);
    return std::move(list_);
}

bool Lexer::at_end_tag(TokenKind end_kind, std::string_view end) const {
    if (!brackets_.empty()) {
        return false;
    }
    const bool sign = peek() == '-' || (peek() == '+' && end_kind == TokenKind::BlockEnd);
    return at(end) || (sign && source_.substr(at_ + 1).starts_with(end));
}

Outcome<void> Lexer::inside(TokenKind end_kind, std::string_view end) {
    while (true) {
        if (at_ >= source_.size()) {
            return error("unexpected end of template");
        }
        if (at_end_tag(end_kind, end)) {
            emit(end_kind);
            close(end, end_kind == TokenKind::BlockEnd);
            return {};
        }
        if (const size_t next = after_space(at_); next != at_) {
            move_to(next);
            continue;
        }
        WEIR_TRY(token());
    }
}

Outcome<void> Lexer::token() {
    const char c = peek();
    if (is_digit(c)) {
        return number();
    }
    if (is_name_start(c)) {
        size_t end = at_;
        while (end < source_.size() && (is_name_start(source_[end]) || is_digit(source_[end]))) {
            ++end;
        }
        emit(TokenKind::Name, source_.substr(at_, end - at_));
        move_to(end);
        return {};
    }
    if (c == '\'' || c == '"') {
        return string(c);
    }
    return op();
}

// Digits with single underscores between them.
size_t Lexer::skip_digits(size_t from) const {
    size_t i = from;
    while (i < source_.size() &&
           (is_digit(source_[i]) || (i > from && source_[i] == '_' && i + 1 < source_.size() &&
                                     is_digit(source_[i + 1])))) {
        ++i;
    }
    return i;
}

Outcome<void> Lexer::number() {
    const size_t whole_end = skip_digits(at_);
    size_t end = whole_end;
    const auto byte = [this](size_t i) {
        return i < source_.size() ? source_[i] : '\0';
    };
    if (byte(end) == '.' && is_digit(byte(end + 1))) {
        end = skip_digits(end + 1);
    }
    if (byte(end) == 'e' || byte(end) == 'E') {
        const size_t sign = byte(end + 1) == '+' || byte(end + 1) == '-' ? 1 : 0;
        if (is_digit(byte(end + 1 + sign))) {
            end = skip_digits(end + 1 + sign);
        }
    }
    const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';
    if (end == whole_end || after_dot) {
        return whole_number();
    }
    std::string digits(source_.substr(at_, end - at_));
    std::erase(digits, '_');
    emit(TokenKind::Float);
    const auto [stop, code] =
        std::from_chars(digits.data(), digits.data() + digits.size(), list_.tokens.back().real);
    if (code != std::errc{} || stop != digits.data() + digits.size()) {
        return error("a number out of range");
    }
    move_to(end);
    return {};
}

Outcome<void> Lexer::whole_number() {
    uint32_t base = 10;
    size_t i = at_;
    if (peek() == '0') {
        const char kind = static_cast<char>(peek(1) | 0x20);
        base = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 10;
        i += base == 10 ? 0 : 2;
    }
    Whole value = 0;
    const size_t start = i;
    for (; i < source_.size(); ++i) {
        const uint32_t digit = digit_of(source_[i]);
        if (source_[i] == '_' && i > start && i + 1 < source_.size() &&
            digit_of(source_[i + 1]) < base) {
            continue;
        }
        if (digit >= base) {
            break;
        }
        if (__builtin_mul_overflow(value, static_cast<Whole>(base), &value) ||
            __builtin_add_overflow(value, static_cast<Whole>(digit), &value)) {
            return error("a whole number out of range");
        }
    }
    if (i == start) {
        return error("a number without digits");
    }
    if (base == 10 && peek() == '0' && value != 0) {
        return error("a whole number with a zero before it");
    }
    emit(TokenKind::Integer);
    list_.tokens.back().integer = value;
    move_to(i);
    return {};
}

Outcome<void> Lexer::string(char quote) {
    size_t end = at_ + 1;
    bool plain = true;
    while (end < source_.size() && source_[end] != quote) {
        plain = plain && source_[end] != '\\';
        end += source_[end] == '\\' ? 2 : 1;
    }
    if (end >= source_.size()) {
        return error("a string without its closing quote");
    }
    const uint32_t line = line_;
    std::string_view text = source_.substr(at_ + 1, end - at_ - 1);
    if (!plain) {
        std::string& decoded = list_.decoded.emplace_back();
        move_to(at_ + 1);
        while (at_ < end) {
            const size_t backslash = std::min(source_.find('\\', at_), end);
            decoded.append(source_.substr(at_, backslash - at_));
            move_to(backslash);
            if (at_ < end) {
                WEIR_TRY(escape(decoded, end));
            }
        }
        text = decoded;
    }
    move_to(end + 1);
    list_.tokens.push_back(Token{TokenKind::String, line, text});
    return {};
}

// Python's escapes. An unknown one stays as it is written.
Outcome<void> Lexer::escape(std::string& out, size_t end) {
    constexpr std::string_view kLetters = "abfnrtv\\'\"";
    constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";
    const char c = source_[at_ + 1];
    if (const size_t known = kLetters.find(c); known != kLetters.npos) {
        out += kMeanings[known];
        move_to(at_ + 2);
        return {};
    }
    if (c == '\n') {
        move_to(at_ + 2);
        return {};
    }
    const size_t digits_max = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    const bool octal = c >= '0' && c <= '7';
    if (digits_max == 0 && !octal) {
        if (c == 'N') {
            return error("named characters are not supported");
        }
        out += '\\';
        move_to(at_ + 1);
        return {};
    }
    const size_t from = octal ? at_ + 1 : at_ + 2;
    const size_t to = std::min(end, from + (octal ? 3 : digits_max));
    uint32_t code = 0;
    const auto [stop, status] =
        std::from_chars(source_.data() + from, source_.data() + to, code, octal ? 8 : 16);
    const auto used = static_cast<size_t>(stop - source_.data()) - from;
    if (status != std::errc{} || (!octal && used != digits_max)) {
        return error("a string with a broken escape");
    }
    utf8::append(out, code);
    move_to(from + used);
    return {};
}

Outcome<void> Lexer::op() {
    static constexpr std::string_view kOperators[] = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    const auto found = std::find_if(std::begin(kOperators), std::end(kOperators),
                                    [this](std::string_view text) { return at(text); });
    if (found == std::end(kOperators)) {
        return error("unexpected character in a tag");
    }
    const char c = found->front();
    if (c == '(' || c == '[' || c == '{') {
        brackets_.push_back(c == '(' ? ')' : static_cast<char>(c + 2));
    } else if (c == ')' || c == ']' || c == '}') {
        if (brackets_.empty() || brackets_.back() != c) {
            return error(fmt::format("unexpected '{}'", c));
        }
        brackets_.pop_back();
    }
    emit(TokenKind::Operator, *found);
    move_to(at_ + found->size());
    return {};
}

}  // namespace

Outcome<TokenList> tokenize(std::string_view source) {
    return Lexer(source).run();
}

std::string normalize_source(std::string_view source) {
    std::string text;
    text.reserve(source.size());
    for (size_t i = 0; i < source.size(); ++i) {
        if (source[i] != '\r') {
            text += source[i];
        } else if (i + 1 == source.size() || source[i + 1] != '\n') {
            text += '\n';
        }
    }
    if (text.ends_with('\n')) {
        text.pop_back();
    }
    return text;
}

}  // namespace weir::text::jinja
