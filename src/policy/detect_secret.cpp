// Credentials, told by how their issuers begin them or by what the text calls them.
//
// One pass: the two characters at each place say which beginnings are possible there, and few are.
// Each beginning stands in the table twice, as it is and in rot13.

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "policy/ascii.h"
#include "policy/detectors.h"

namespace weir::policy {
namespace {

enum class Chars : uint8_t { Word, Upper, LowerHex, AnyHex, Path, Base58 };

// A token that is told by its form: how it begins, and what must follow.
struct Shape {
    std::string_view begins;
    Chars chars = Chars::Word;
    size_t count_min = 0;
    bool exactly = false;  // no more than that many
};

constexpr std::array kShapes = std::to_array<Shape>({
    {"sk-", Chars::Word, 16},
    {"sk_live_", Chars::Word, 16},
    {"sk_test_", Chars::Word, 16},
    {"rk_live_", Chars::Word, 16},
    {"whsec_", Chars::Path, 24},
    {"ghp_", Chars::Word, 20},
    {"gho_", Chars::Word, 20},
    {"ghu_", Chars::Word, 20},
    {"ghs_", Chars::Word, 20},
    {"ghr_", Chars::Word, 20},
    {"github_pat_", Chars::Word, 20},
    {"glpat-", Chars::Word, 16},
    {"AKIA", Chars::Upper, 16, true},
    {"ASIA", Chars::Upper, 16, true},
    {"AIza", Chars::Word, 30},
    {"ya29.", Chars::Word, 20},
    {"GOCSPX-", Chars::Word, 20},
    {"xoxa-", Chars::Word, 10},
    {"xoxb-", Chars::Word, 10},
    {"xoxe-", Chars::Word, 10},
    {"xoxo-", Chars::Word, 10},
    {"xoxp-", Chars::Word, 10},
    {"xoxr-", Chars::Word, 10},
    {"xoxs-", Chars::Word, 10},
    {"xapp-", Chars::Word, 20},
    {"hooks.slack.com/services/", Chars::Path, 20},
    {"discord.com/api/webhooks/", Chars::Path, 20},
    {"hf_", Chars::Word, 20},
    {"npm_", Chars::Word, 30},
    {"pypi-", Chars::Word, 30},
    {"gsk_", Chars::Word, 20},
    {"xai-", Chars::Word, 30},
    {"dop_v1_", Chars::LowerHex, 40},
    {"dckr_pat_", Chars::Word, 20},
    {"shpat_", Chars::AnyHex, 20},
    {"SG.", Chars::Path, 16},
    {"SK", Chars::LowerHex, 32, true},
    {"AGE-SECRET-KEY-1", Chars::Upper, 40},
    // Bitcoin's private keys, by the first two of their 51 or 52 characters.
    {"5H", Chars::Base58, 49, true},
    {"5J", Chars::Base58, 49, true},
    {"5K", Chars::Base58, 49, true},
    {"Kw", Chars::Base58, 50, true},
    {"Kx", Chars::Base58, 50, true},
    {"Ky", Chars::Base58, 50, true},
    {"Kz", Chars::Base58, 50, true},
    {"L1", Chars::Base58, 50, true},
    {"L2", Chars::Base58, 50, true},
    {"L3", Chars::Base58, 50, true},
    {"L4", Chars::Base58, 50, true},
    {"L5", Chars::Base58, 50, true},
});

// What a text calls a credential before it says it, in small letters.
constexpr auto kNames = std::to_array<std::string_view>(
    {"password",   "passwd",        "passwort",     "kennwort",
     "passphrase", "passcode",      "contraseña",   "mot de passe",
     "pwd",        "secret",        "secret_key",   "secret_access_key",
     "api_key",    "api-key",       "apikey",       "api key",
     "access_key", "access-key",    "accesskey",    "account_key",
     "accountkey", "access_token",  "access-token", "auth_token",
     "auth-token", "private_key",   "private-key",  "privatekey",
     "secretkey",  "refresh_token", "client_secret"});

enum class Kind : uint8_t { Token, Name, Bearer, Basic, JsonWebToken, Address, Pem, Telegram };

struct Entry {
    Kind kind = Kind::Token;
    bool rotated = false;
    std::string begins;
    Shape shape;
};

// The text as it stands or in rot13.
struct View {
    std::string_view text;
    bool turned = false;

    size_t size() const { return text.size(); }
    char operator[](size_t at) const { return turned ? rotated(text[at]) : text[at]; }
};

bool belongs(Chars chars, char c) {
    switch (chars) {
        case Chars::Word:
            return is_alnum(c) || c == '_' || c == '-';
        case Chars::Upper:
            return is_upper(c) || is_digit(c);
        case Chars::LowerHex:
            return is_digit(c) || (c >= 'a' && c <= 'f');
        case Chars::AnyHex:
            return hex_value(c) >= 0;
        case Chars::Path:
            return is_alnum(c) || c == '_' || c == '-' || c == '/' || c == '.' || c == '+';
        case Chars::Base58:
            return is_alnum(c) && c != '0' && c != 'O' && c != 'I' && c != 'l';
    }
    return false;
}

constexpr size_t kValueMax = 256;  // of any value, more is not looked at

// Letters and digits mixed, for so long that it is no word.
bool holds_mixed_stretch(std::string_view value, size_t count_min) {
    size_t run = 0;
    size_t digits = 0;
    for (const char c : value) {
        if (!is_alnum(c)) {
            run = digits = 0;
            continue;
        }
        ++run;
        digits += is_digit(c) ? 1 : 0;
        if (run >= count_min && digits > 0 && digits < run) {
            return true;
        }
    }
    return false;
}

std::string value_at(const View& view, size_t at, Chars chars) {
    std::string value;
    while (at < view.size() && value.size() < kValueMax && belongs(chars, view[at])) {
        value.push_back(view[at++]);
    }
    return value;
}

bool is_token(const View& view, size_t at, const Shape& shape) {
    const std::string value = value_at(view, at + shape.begins.size(), shape.chars);
    if (value.size() < shape.count_min || (shape.exactly && value.size() > shape.count_min)) {
        return false;
    }
    // What is glued to another word ("risk-adjusted-returns") must look the more like a key.
    const bool glued = at > 0 && (is_alnum(view[at - 1]) || view[at - 1] == '_');
    const bool short_begin = shape.begins.size() == 2;
    return (!glued && !short_begin) || (holds_mixed_stretch(value, 16) && !(glued && short_begin));
}

// A value that stands for one: "<password>", "${SECRET}", "your_key_here", "********".
bool is_placeholder(std::string_view value) {
    constexpr auto kWords = std::to_array<std::string_view>(
        {"your",     "xxxx",      "example",  "placeholder", "required",  "optional",
         "string",   "undefined", "redacted", "changeme",    "insert",    "secret",
         "password", "process.",  "os.env",   "getenv",      "incorrect", "correct",
         "invalid",  "none",      "null",     "true",        "false",     "missing"});
    std::string lower;
    std::ranges::transform(value, std::back_inserter(lower), small);
    const bool code =
        lower.find_first_of("(){}<>$[]*%\\") != std::string::npos && !holds_mixed_stretch(lower, 6);
    const bool named =
        std::ranges::any_of(kWords, [&](std::string_view word) { return lower.starts_with(word); });
    const bool identifier =
        lower.find_first_of("._-:/") != std::string::npos &&
        std::ranges::none_of(lower, is_digit) && std::ranges::all_of(value, [](char c) {
            return is_letter(c) || c == '.' || c == '_' || c == '-' || c == ':' || c == '/';
        });
    return code || named || identifier || lower.find_first_not_of(lower[0]) == std::string::npos;
}

size_t skip(const View& view, size_t at, std::string_view any_of, size_t count_max) {
    for (size_t count = 0; count < count_max && at < view.size(); ++count, ++at) {
        if (any_of.find(view[at]) == std::string_view::npos) {
            break;
        }
    }
    return at;
}

bool says(const View& view, size_t at, std::string_view word) {
    for (size_t i = 0; i < word.size(); ++i) {
        if (at + i >= view.size() || small(view[at + i]) != word[i]) {
            return false;
        }
    }
    return true;
}

// What follows a credential's name: "=", ":", "is", and a value.
bool is_assigned(const View& view, size_t at) {
    constexpr std::string_view kQuotes = "\"'`*\\";
    at = skip(view, at, kQuotes, 3);
    at = skip(view, at, " \t", 4);
    const size_t sign = at;
    at = skip(view, at, ":=>", 3);
    bool spoken = false;
    for (const std::string_view word : {"is ", "ist ", "lautet ", "es ", "est "}) {
        if (at == sign && says(view, at, word)) {
            at += word.size();
            spoken = true;
            break;
        }
    }
    if (at == sign) {
        return false;
    }
    at = skip(view, at, " \t\n\r", 4);
    at = skip(view, at, kQuotes, 3);
    std::string value;
    constexpr std::string_view kEnds = " \t\r\n\"',;`";
    while (at < view.size() && value.size() < kValueMax &&
           kEnds.find(view[at]) == std::string_view::npos) {
        value.push_back(view[at++]);
    }
    if (value.size() < 6 || is_placeholder(value)) {
        return false;
    }
    const bool mixed =
        std::ranges::any_of(value, is_digit) && std::ranges::any_of(value, is_letter);
    return mixed || (!spoken && value.size() >= 8);
}

bool is_bearer(const View& view, size_t at) {
    const std::string value = value_at(view, at, Chars::Path);
    return value.size() >= 16 && !is_placeholder(value) && holds_mixed_stretch(value, 8);
}

// Base64 of "user:password".
bool is_basic(const View& view, size_t at) {
    constexpr std::string_view kDigits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const std::string value = value_at(view, at, Chars::Path);
    uint32_t bits = 0;
    bool colon = false;
    for (size_t i = 0; i < value.size(); ++i) {
        const size_t digit = kDigits.find(value[i]);
        if (digit == std::string_view::npos) {
            return false;
        }
        bits = (bits << 6) | static_cast<uint32_t>(digit);
        const auto byte = static_cast<unsigned char>((bits >> (6 - 2 * (i % 4))) & 0xFF);
        if (i % 4 != 0 && byte < 0x20) {
            return false;
        }
        colon = colon || (i % 4 != 0 && byte == ':');
    }
    return value.size() >= 6 && colon;
}

// Three parts, the first two of them JSON objects in base64: "eyJ…".
bool is_json_web_token(const View& view, size_t at) {
    const std::string header = value_at(view, at, Chars::Word);
    at += header.size();
    if (header.size() < 11 || at >= view.size() || view[at] != '.') {
        return false;
    }
    const std::string claims = value_at(view, at + 1, Chars::Word);
    at += 1 + claims.size();
    return claims.size() >= 11 && claims.starts_with("eyJ") && at < view.size() && view[at] == '.';
}

// "://user:password@"
bool is_address_with_password(const View& view, size_t at) {
    if (at == 0 || !is_alnum(view[at - 1])) {
        return false;
    }
    std::array<size_t, 2> counts{};  // of the user's and the password's characters
    size_t part = 0;
    for (at += 3; at < view.size() && counts[part] <= kValueMax; ++at) {
        const char c = view[at];
        if (c == ':' && part == 0) {
            ++part;
        } else if (c == '@') {
            return part == 1 && counts[0] > 0 && counts[1] > 0;
        } else if (is_blank(c) || c == '/') {
            return false;
        } else {
            ++counts[part];
        }
    }
    return false;
}

bool is_private_key(const View& view, size_t at) {
    constexpr size_t kNameMax = 64;
    for (size_t i = at; i < std::min(at + kNameMax, view.size()); ++i) {
        if (says(view, i, "private key")) {
            return true;
        }
    }
    return false;
}

// "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw": a number, and about 35 characters.
bool is_telegram_token(const View& view, size_t at) {
    size_t digits = 0;
    while (digits < at && digits < 12 && is_digit(view[at - 1 - digits])) {
        ++digits;
    }
    const size_t characters = value_at(view, at + 1, Chars::Word).size();
    return digits >= 8 && digits <= 10 && characters >= 34 && characters <= 36;
}

bool is_secret(const View& view, size_t at, const Entry& entry) {
    const size_t end = at + entry.begins.size();
    switch (entry.kind) {
        case Kind::Token:
            return is_token(view, at, entry.shape);
        case Kind::Name:
            return is_assigned(view, end);
        case Kind::Bearer:
            return is_bearer(view, end);
        case Kind::Basic:
            return is_basic(view, end);
        case Kind::JsonWebToken:
            return is_json_web_token(view, at);
        case Kind::Address:
            return is_address_with_password(view, at);
        case Kind::Pem:
            return is_private_key(view, end);
        case Kind::Telegram:
            return is_telegram_token(view, at);
    }
    return false;
}

constexpr std::array<uint8_t, 256> kSmall = [] {
    std::array<uint8_t, 256> out{};
    for (size_t i = 0; i < out.size(); ++i) {
        out[i] = static_cast<uint8_t>(small(static_cast<char>(i)));
    }
    return out;
}();

// The entries by their first two characters, in small letters.
class Index {
  public:
    Index() : buckets_(1) {
        for (const Shape& shape : kShapes) {
            add({Kind::Token, false, std::string(shape.begins), shape});
        }
        for (const std::string_view name : kNames) {
            add({Kind::Name, false, std::string(name), {}});
        }
        add({Kind::Bearer, false, "bearer ", {}});
        add({Kind::Basic, false, "basic ", {}});
        add({Kind::JsonWebToken, false, "eyJ", {}});
        add({Kind::Pem, false, "-----begin", {}});
        add({Kind::Telegram, false, ":AA", {}});
        put({Kind::Address, false, "://", {}});
    }

    const std::vector<Entry>& at(char first, char second) const {
        return buckets_[bucket_of_[key(first, second)]];
    }

  private:
    static size_t key(char first, char second) {
        return static_cast<size_t>(kSmall[static_cast<unsigned char>(first)]) * 256 +
               kSmall[static_cast<unsigned char>(second)];
    }
    void add(Entry entry) {
        put(entry);
        entry.rotated = true;
        put(std::move(entry));
    }
    void put(Entry entry) {
        const char first = entry.begins[0];
        const char second = entry.begins[1];
        uint8_t& bucket = entry.rotated ? bucket_of_[key(rotated(first), rotated(second))]
                                        : bucket_of_[key(first, second)];
        if (bucket == 0) {
            bucket = static_cast<uint8_t>(buckets_.size());
            buckets_.emplace_back();
        }
        buckets_[bucket].push_back(std::move(entry));
    }

    std::array<uint8_t, 65536> bucket_of_{};  // 0: no entry begins so
    std::vector<std::vector<Entry>> buckets_;
};

bool begins_here(const View& view, size_t at, const Entry& entry) {
    if (entry.kind != Kind::Token && entry.kind != Kind::JsonWebToken &&
        entry.kind != Kind::Telegram) {
        return says(view, at, entry.begins);
    }
    for (size_t i = 0; i < entry.begins.size(); ++i) {
        if (at + i >= view.size() || view[at + i] != entry.begins[i]) {
            return false;
        }
    }
    return true;
}

}  // namespace

void detect_secret(std::string_view folded, FindingSet& found) {
    static const Index index;
    for (size_t at = 0; at + 1 < folded.size(); ++at) {
        for (const Entry& entry : index.at(folded[at], folded[at + 1])) {
            const View view{folded, entry.rotated};
            if (begins_here(view, at, entry) && is_secret(view, at, entry)) {
                found.add(Finding::Secret);
                return;
            }
        }
    }
}

}  // namespace weir::policy
