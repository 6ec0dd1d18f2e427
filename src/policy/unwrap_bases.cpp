// Text that stands as letters and digits of base64, base32, base85 or hexadecimal.

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "base/utf8.h"
#include "policy/ascii.h"
#include "policy/unwrap.h"

namespace weir::policy {
namespace {

constexpr size_t kCharsMin = 16;  // 12 bytes of base64: the shortest thing worth hiding
constexpr size_t kHexCharsMin = 20;
constexpr size_t kBase85CharsMin = 16;
constexpr size_t kUnreadableCharsMin = 200;  // below, an unreadable run is an id or a hash
constexpr size_t kProbeChars = 128;          // a long run is judged by its beginning
constexpr size_t kStretchBytesMin = 7;       // of readable text inside what is not

// The value of a character in an alphabet of at most 85, or 0xFF.
using Alphabet = std::array<uint8_t, 256>;
constexpr uint8_t kNone = 0xFF;

constexpr Alphabet alphabet(std::string_view characters) {
    Alphabet values{};
    values.fill(kNone);
    for (size_t i = 0; i < characters.size(); ++i) {
        values[static_cast<unsigned char>(characters[i])] = static_cast<uint8_t>(i);
    }
    return values;
}

constexpr Alphabet base64_alphabet(bool turned) {
    Alphabet values = alphabet("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    if (turned) {
        values = alphabet("NOPQRSTUVWXYZABCDEFGHIJKLMnopqrstuvwxyzabcdefghijklm0123456789+/");
    }
    values['-'] = values['+'];
    values['_'] = values['/'];
    return values;
}

constexpr Alphabet base32_alphabet() {
    Alphabet values = alphabet("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
    for (char c = 'a'; c <= 'z'; ++c) {
        values[static_cast<unsigned char>(c)] = static_cast<uint8_t>(c - 'a');
    }
    return values;
}

constexpr Alphabet hex_alphabet() {
    Alphabet values = alphabet("0123456789ABCDEF");
    for (char c = 'a'; c <= 'f'; ++c) {
        values[static_cast<unsigned char>(c)] = static_cast<uint8_t>(c - 'a' + 10);
    }
    return values;
}

constexpr Alphabet ascii85_alphabet() {
    Alphabet values{};
    values.fill(kNone);
    for (uint8_t i = 0; i < 85; ++i) {
        values[size_t{33} + i] = i;
    }
    return values;
}

constexpr Alphabet kBase64 = base64_alphabet(false);
constexpr Alphabet kBase64Turned = base64_alphabet(true);
constexpr Alphabet kBase32 = base32_alphabet();
constexpr Alphabet kHex = hex_alphabet();
constexpr Alphabet kAscii85 = ascii85_alphabet();
constexpr Alphabet kBase85 = alphabet(
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~");

uint8_t value_of(const Alphabet& values, char c) {
    return values[static_cast<unsigned char>(c)];
}

bool is_all(std::string_view text, const Alphabet& values) {
    return std::ranges::all_of(text, [&](char c) { return value_of(values, c) != kNone; });
}

// Each character gives `bits_each` bits, the first the highest.
std::string decode_bits(std::string_view run, const Alphabet& values, uint32_t bits_each) {
    std::string out;
    out.reserve(run.size() * bits_each / 8 + 1);
    uint32_t bits = 0;
    uint32_t count = 0;
    for (const char c : run) {
        bits = (bits << bits_each) | value_of(values, c);
        count += bits_each;
        if (count >= 8) {
            count -= 8;
            out.push_back(static_cast<char>((bits >> count) & 0xFF));
        }
    }
    return out;
}

// Five characters give four bytes; a shorter last group gives one byte less than it has characters.
std::string decode_base85(std::string_view run, const Alphabet& values) {
    std::string out;
    for (size_t at = 0; at < run.size(); at += 5) {
        const size_t count = std::min<size_t>(5, run.size() - at);
        uint64_t number = 0;
        for (size_t i = 0; i < 5; ++i) {
            number = number * 85 + (i < count ? value_of(values, run[at + i]) : uint8_t{84});
        }
        for (size_t i = 0; i + 1 < count; ++i) {
            out.push_back(static_cast<char>((number >> (24 - 8 * i)) & 0xFF));
        }
    }
    return out;
}

bool is_control(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && !is_blank(c)) || byte == 0x7F;
}

// Without the halves of characters at both ends.
std::string_view whole_characters(std::string_view bytes) {
    bytes.remove_suffix(utf8::incomplete_tail_bytes(bytes));
    for (int i = 0; i < 3 && !bytes.empty() && (bytes[0] & 0xC0) == 0x80; ++i) {
        bytes.remove_prefix(1);
    }
    return bytes;
}

// Text is UTF-8 with hardly a control character.
bool is_readable(std::string_view bytes) {
    const std::string_view whole = whole_characters(bytes);
    const auto controls = std::ranges::count_if(whole, is_control);
    return !whole.empty() && utf8::is_valid(whole) &&
           static_cast<size_t>(controls) * 20 <= whole.size();
}

// UTF-16 of ASCII is every second byte zero: what is left without them. Empty if it is none.
std::string without_zeros(std::string_view bytes) {
    const auto zeros = static_cast<size_t>(std::ranges::count(bytes, '\0'));
    if (zeros * 5 < bytes.size() * 2 || zeros > bytes.size() * 4 / 5) {
        return {};
    }
    std::string out;
    std::ranges::copy_if(bytes, std::back_inserter(out), [](char c) { return c != '\0'; });
    while (!out.empty() && (out[0] == '\xFF' || out[0] == '\xFE')) {
        out.erase(0, 1);
    }
    return out;
}

// What begins like a compressed file is never text, however short it is.
bool is_compressed(std::string_view bytes) {
    using namespace std::string_view_literals;
    constexpr std::array kMagics = {"\x1f\x8b\x08"sv,      // gzip
                                    "\x78\x01"sv,          // zlib, from its fastest …
                                    "\x78\x5e"sv,          //
                                    "\x78\x9c"sv,          //
                                    "\x78\xda"sv,          // … to its best
                                    "\x28\xb5\x2f\xfd"sv,  // zstd
                                    "\xfd"
                                    "7zXZ"sv,
                                    "BZh"sv,
                                    "PK\x03\x04"sv};
    return std::ranges::any_of(
        kMagics, [bytes](std::string_view magic) { return bytes.starts_with(magic); });
}

// A long word of letters ("internationalisation…") is no code: real base64 mixes kinds.
bool looks_coded(std::string_view run) {
    const bool digits = std::ranges::any_of(run, is_digit);
    const bool upper = std::ranges::any_of(run, is_upper);
    const bool lower = std::ranges::any_of(run, is_lower);
    return (digits ? 1 : 0) + (upper ? 1 : 0) + (lower ? 1 : 0) >= 2;
}

// The readable stretches of what is binary around them: a record with a name in it.
std::string stretches_of(std::string_view bytes) {
    std::string out;
    size_t begin = 0;
    for (size_t at = 0; at <= bytes.size(); ++at) {
        const bool ends = at == bytes.size() || is_control(bytes[at]) ||
                          static_cast<unsigned char>(bytes[at]) >= 0x80;
        if (!ends) {
            continue;
        }
        if (at - begin >= kStretchBytesMin) {
            out.append(bytes, begin, at - begin).push_back('\n');
        }
        begin = at + 1;
    }
    return out;
}

// One run of characters of base64's alphabet, line breaks and even blanks left out.
class CodedRun {
  public:
    CodedRun(std::string_view run, Unwrapped& out) : run_(run), out_(out) {}

    // Whether it could be read.
    bool open() {
        if (run_.size() < kCharsMin) {
            return false;
        }
        open_hex();
        open_base32();
        if (!looks_coded(run_)) {
            return opened_;
        }
        const std::string backwards(run_.rbegin(), run_.rend());
        opened_ = open_base64(run_, kBase64) || opened_;
        const bool compressed = compressed_;
        opened_ = opened_ || open_base64(run_, kBase64Turned) || open_base64(backwards, kBase64);
        if (!opened_ && (compressed || run_.size() >= kUnreadableCharsMin)) {
            out_.unreadable = true;
        }
        return opened_;
    }

  private:
    bool take(std::string decoded) {
        if (const std::string narrow = without_zeros(decoded); !narrow.empty()) {
            decoded = narrow;
        }
        if (is_readable(decoded)) {
            out_.texts.emplace_back(whole_characters(decoded));
            out_.coded = true;
            opened_ = true;
            return true;
        }
        compressed_ = compressed_ || is_compressed(decoded);
        if (std::string stretches = stretches_of(decoded); !stretches.empty()) {
            out_.texts.push_back(std::move(stretches));
        }
        return false;
    }

    // The run may begin with letters that belong to the text before it.
    bool open_base64(std::string_view run, const Alphabet& values) {
        for (size_t skip = 0; skip < 4; ++skip) {
            const std::string_view rest = run.substr(skip);
            if (run.size() >= kUnreadableCharsMin) {
                const std::string probe = decode_bits(rest.substr(0, kProbeChars), values, 6);
                if (!is_readable(probe) && without_zeros(probe).empty()) {
                    compressed_ = compressed_ || is_compressed(probe);
                    continue;
                }
            }
            if (take(decode_bits(rest, values, 6))) {
                return true;
            }
        }
        return false;
    }

    void open_base32() {
        if (is_all(run_, kBase32)) {
            std::string decoded = decode_bits(run_, kBase32, 5);
            if (is_readable(decoded)) {
                take(std::move(decoded));
            }
        }
    }

    void open_hex() {
        for (size_t at = 0; at < run_.size();) {
            size_t end = at;
            while (end < run_.size() && value_of(kHex, run_[end]) != kNone) {
                ++end;
            }
            if (end - at >= kHexCharsMin) {
                for (const size_t skip : {size_t{0}, size_t{1}}) {
                    take(decode_bits(run_.substr(at + skip, (end - at - skip) & ~size_t{1}), kHex,
                                     4));
                }
                out_.unreadable = out_.unreadable || (compressed_ && !opened_);
            }
            at = end + 1;
        }
    }

    std::string_view run_;
    Unwrapped& out_;
    bool opened_ = false;
    bool compressed_ = false;
};

// Words of base64's alphabet that may be one run: parted by line breaks (with the margin of a
// quoted mail), or by single blanks and all of a length.
class Joiner {
  public:
    Joiner(std::string_view text, Unwrapped& out) : text_(text), out_(out) {}

    void take(size_t begin, size_t end) {
        if (!words_.empty() && !goes_on(begin)) {
            finish();
        }
        words_.push_back(text_.substr(begin, end - begin));
        characters_ += end - begin;
        even_ = even_ && words_.back().size() == words_.front().size();
        end_ = end;
    }

    void finish() {
        if (characters_ >= kCharsMin) {
            open();
        }
        words_.clear();
        characters_ = 0;
        even_ = true;
    }

  private:
    bool goes_on(size_t begin) const {
        const std::string_view between = text_.substr(end_, begin - end_);
        constexpr size_t kMarginBytesMax = 8;
        if (between.size() == 1 && (between[0] == ' ' || between[0] == '\t')) {
            return even_;
        }
        if (between.size() > kMarginBytesMax || (between[0] != '\n' && between[0] != '\r')) {
            return false;
        }
        return std::ranges::all_of(between, [](char c) { return is_blank(c) || c == '>'; });
    }

    // As one run if that can be read, else word by word: lines of prose may stand around a code.
    void open() {
        std::string run;
        run.reserve(characters_);
        for (const std::string_view word : words_) {
            run += word;
        }
        if (words_.size() == 1) {
            CodedRun(run, out_).open();
            return;
        }
        Unwrapped joined;
        if (CodedRun(run, joined).open()) {
            move_to(out_, joined);
            return;
        }
        out_.unreadable = out_.unreadable || (joined.unreadable && is_block());
        for (const std::string_view word : words_) {
            CodedRun(word, out_).open();
        }
        move_to(out_, joined);
    }

    // Long lines, or all of a length but the last: broken by a program, as prose and lists are not.
    bool is_block() const {
        const size_t length = words_.front().size();
        return length >= kLineCharsMin ||
               std::all_of(words_.begin(), words_.end() - 1,
                           [length](std::string_view word) { return word.size() == length; });
    }

    static void move_to(Unwrapped& out, Unwrapped& from) {
        out.coded = out.coded || from.coded;
        for (std::string& text : from.texts) {
            out.texts.push_back(std::move(text));
        }
    }

    static constexpr size_t kLineCharsMin = 40;

    std::string_view text_;
    Unwrapped& out_;
    std::vector<std::string_view> words_;
    size_t characters_ = 0;
    size_t end_ = 0;
    bool even_ = true;
};

void open_base85(std::string_view word, Unwrapped& out) {
    if (word.starts_with("<~")) {
        word.remove_prefix(2);
    }
    if (word.ends_with("~>")) {
        word.remove_suffix(2);
    }
    for (const Alphabet* values : {&kBase85, &kAscii85}) {
        if (word.size() < kBase85CharsMin || !is_all(word, *values)) {
            continue;
        }
        const std::string decoded = decode_base85(word, *values);
        if (is_readable(decoded) && std::ranges::none_of(decoded, is_control)) {
            out.texts.push_back(decoded);
            out.coded = true;
        }
    }
}

}  // namespace

void unwrap_bases(std::string_view text, Unwrapped& out) {
    Joiner joiner(text, out);
    size_t word = 0;  // where the word between blanks began, and whether it has other signs
    size_t signs = 0;
    for (size_t at = 0; at <= text.size();) {
        if (at == text.size() || is_blank(text[at])) {
            if (signs >= 2 && at - word >= kBase85CharsMin) {
                open_base85(text.substr(word, at - word), out);
            }
            word = ++at;
            signs = 0;
            continue;
        }
        if (value_of(kBase64, text[at]) == kNone) {
            ++signs;
            ++at;
            continue;
        }
        size_t end = at;
        while (end < text.size() && value_of(kBase64, text[end]) != kNone) {
            ++end;
        }
        joiner.take(at, end);
        at = end;
    }
    joiner.finish();
}

}  // namespace weir::policy
