#include "providers/sanitize.h"

#include <algorithm>
#include <array>

#include "base/utf8.h"

namespace weir::providers {
namespace {

constexpr std::string_view kRemoved = "[removed]";
constexpr size_t kTokenBytesMax = 100;
constexpr size_t kSecretRunMin = 16;  // letters and digits mixed, without a break

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Characters of a word: all that URLs, keys and addresses are made of.
bool is_word(char c) {
    return is_letter(c) || is_digit(c) || std::string_view("-_.:/@%+=*~?&#[]").contains(c);
}

std::string lower(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    });
    return out;
}

bool has_secret_prefix(std::string_view word) {
    constexpr std::array<std::string_view, 12> kPrefixes = {
        "sk-", "sk_", "pk-", "rk-", "gsk_", "xai-", "aiza", "ghp_", "hf_", "org-", "proj_", "akia"};
    return std::ranges::any_of(kPrefixes, [&](std::string_view p) { return word.starts_with(p); });
}

// A long run of letters and digits that has both: keys, tokens, request ids.
bool has_secret_run(std::string_view word) {
    size_t run = 0;
    bool digit = false;
    bool letter = false;
    for (const char c : word) {
        if (!is_digit(c) && !is_letter(c)) {
            run = 0;
            digit = letter = false;
            continue;
        }
        ++run;
        digit = digit || is_digit(c);
        letter = letter || is_letter(c);
        if (run >= kSecretRunMin && digit && letter) {
            return true;
        }
    }
    return false;
}

bool has_port(std::string_view word) {
    const size_t colon = word.rfind(':');
    return colon != std::string_view::npos && colon > 0 && colon + 1 < word.size() &&
           is_digit(word[colon + 1]);
}

bool is_host(std::string_view word) {
    constexpr std::array<std::string_view, 16> kEndings = {
        ".com", ".net",   ".org",      ".io",  ".ai",   ".dev", ".cloud", ".app",
        ".aws", ".local", ".internal", ".lan", ".corp", ".svc", ".run",   ".eu"};
    const std::string_view host = word.substr(0, std::min(word.find_first_of(":/"), word.size()));
    return std::ranges::any_of(kEndings, [&](std::string_view e) { return host.ends_with(e); });
}

bool is_ip(std::string_view word) {
    const auto only = [&](std::string_view allowed) {
        return std::ranges::all_of(word,
                                   [&](char c) { return is_digit(c) || allowed.contains(c); });
    };
    return (only(".:/") && std::ranges::count(word, '.') == 3) ||
           (only("abcdef:[]%") && std::ranges::count(word, ':') >= 2);
}

bool must_go(std::string_view original) {
    const std::string word = lower(original);
    return word.contains("://") || word.contains('@') || word.contains("**") ||
           has_secret_prefix(word) || has_secret_run(word) || has_port(word) || is_host(word) ||
           is_ip(word);
}

// The credential after "Bearer" is a word of its own.
bool announces_secret(std::string_view word) {
    return lower(word) == "bearer" || lower(word) == "basic";
}

void append_word(std::string& out, std::string_view word, bool& secret_follows) {
    // A full stop or colon at the end is punctuation.
    std::string_view core = word;
    while (!core.empty() && std::string_view(".:?").contains(core.back())) {
        core.remove_suffix(1);
    }
    if (!core.empty() && (secret_follows || must_go(core))) {
        out += kRemoved;
        out += word.substr(core.size());
    } else {
        out += word;
    }
    secret_follows = announces_secret(core);
}

}  // namespace

std::string sanitized_text(std::string_view text, size_t bytes_max) {
    std::string valid = utf8::to_valid(text.substr(0, bytes_max * 4));
    if (text.size() > bytes_max * 4) {
        // Half a key may not look like one: the word that was cut goes.
        while (!valid.empty() && is_word(valid.back())) {
            valid.pop_back();
        }
    }
    std::string out;
    bool secret_follows = false;
    for (size_t at = 0; at < valid.size() && out.size() < bytes_max;) {
        size_t end = at;
        while (end < valid.size() && is_word(valid[end])) {
            ++end;
        }
        if (end > at) {
            append_word(out, std::string_view(valid).substr(at, end - at), secret_follows);
            at = end;
            continue;
        }
        const auto byte = static_cast<unsigned char>(valid[at]);
        out.push_back(byte < 0x20 || byte == 0x7F ? ' ' : valid[at]);
        ++at;
    }
    if (out.size() > bytes_max) {
        out.resize(bytes_max);
    }
    out.resize(out.size() - utf8::incomplete_tail_bytes(out));
    return out;
}

std::string sanitized_token(std::string_view text) {
    const bool fits =
        text.size() <= kTokenBytesMax && std::ranges::all_of(text, [](char c) {
            return is_digit(c) || is_letter(c) || std::string_view("_-.[]").contains(c);
        });
    return fits && !must_go(text) ? std::string(text) : std::string();
}

}  // namespace weir::providers
