#include "text/vocab_probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unordered_set>

#include "base/utf8.h"
#include "text/normalize.h"

namespace weir::text {
namespace {

// Scripts, cases, numbers, punctuation, white space other than runs of spaces.
constexpr std::array<std::string_view, 12> kPlain = {
    "The quick brown fox jumps over the lazy dog. It's 7 o'clock; they've won 12,345.67 (or so)!",
    "HTTPServer camelCase snake_case x+=y/2;\n\tif (a<b && c>=d) { return \"ok\"; }\r\n\n\nend",
    "I'M SURE YOU'LL SEE WE'RE HERE'S can't won'T",
    "Größe façade naïve Œuvre İstanbul ŁÓDŹ",
    "Съешь ещё этих мягких французских булок 2024 Ελληνικά",
    "שלום עולם مرحبا بالعالم ١٢٣ नमस्ते दुनिया १२३ สวัสดี",
    "吾輩は猫である。名前はまだ無い。日本語テキスト、カタカナ。",
    "你好，世界！这是1234567890个字。한국어 문장입니다.",
    "😀👍🏽 👨‍👩‍👧 ①②③ ½ ∑ → € £ ¥",
    "1 12 123 1234 12345 123456 1234567",
    "a...b---c***d###e___f~~~g\n\nh\n \n\ti",
    "https://example.org/a_b?c=d&e=%20#f user@host.org C:\\temp\\x"};
constexpr std::array<std::string_view, 4> kSpaces = {" a", "a  b   c", "a ", "  the\n  end  "};
// "é", "Å", a Korean syllable and "ñ", each in parts.
constexpr std::array<std::string_view, 2> kParts = {"cafe\xCC\x81 A\xCC\x8A x n\xCC\x83o",
                                                    "\xE1\x84\x80\xE1\x85\xA1 e\xCC\x81t\xC3\xA9"};
constexpr size_t kVocabularyProbes = 4096;
constexpr size_t kWordsOfProbe = 16;
constexpr size_t kDifferentShare = 20;  // one of so many may be another
constexpr size_t kAddedProbes = 64;

bool gives_same(const Tokenizer& a, const Tokenizer& b, std::string_view text, bool special) {
    const auto expected = a.encode(text, {.parse_special = special});
    const auto found = b.encode(text, {.parse_special = special});
    return !expected ? !found : found && *found == *expected;
}

// Texts of many of the vocabulary's own tokens, with single spaces between them. Those that are
// found by their names are left out.
std::vector<std::string> vocabulary_texts(const Tokenizer& tokenizer, const VocabSpec& spec) {
    std::vector<std::string> out;
    const size_t count = std::min(tokenizer.vocab_size(), spec.tokens.size());
    const size_t step = std::max<size_t>(1, count / kVocabularyProbes);
    size_t words = 0;
    for (size_t i = 0; i < count; i += step) {
        std::string_view bytes = tokenizer.token_bytes(static_cast<TokenId>(i));
        while (bytes.starts_with(' ')) {
            bytes.remove_prefix(1);
        }
        const auto type = static_cast<TokenType>(spec.types[i]);
        if (type != TokenType::Normal || bytes.empty() || bytes.ends_with(' ') ||
            bytes.find("  ") != std::string_view::npos || !utf8::is_valid(bytes)) {
            continue;
        }
        if (words++ % kWordsOfProbe == 0) {
            out.emplace_back("a");
        }
        out.back().append(" ").append(bytes);
    }
    std::ranges::transform(out, out.begin(), to_nfc);
    return out;
}

// Refuses keys that are wrong about text as such. A few differences are what one must live with:
// where two ways to cut are worth the same, SentencePiece and tokenizer.json may take another one.
Result<void> check_plain(const Tokenizer& tokenizer, const Tokenizer& made, VocabKeys& out) {
    std::vector<std::string> texts = vocabulary_texts(tokenizer, out.spec);
    texts.insert(texts.begin(), kPlain.begin(), kPlain.end());
    size_t different = 0;
    for (const std::string& text : texts) {
        if (!gives_same(tokenizer, made, text, false)) {
            ++different;
        }
    }
    if (different * kDifferentShare > texts.size()) {
        return unsupported("how it cuts {} of {} texts", different, texts.size());
    }
    if (different != 0) {
        out.lost.push_back(
            fmt::format("some texts ({} of {} that were tried)", different, texts.size()));
    }
    return {};
}

bool same_beside_added(const Tokenizer& tokenizer, const Tokenizer& made, const VocabSpec& spec) {
    size_t probes = 0;
    for (size_t id = 0; id < spec.tokens.size() && probes < kAddedProbes; ++id) {
        const auto type = static_cast<TokenType>(spec.types[id]);
        if (type == TokenType::Control || type == TokenType::UserDefined) {
            const std::string_view name = spec.tokens[id];
            ++probes;
            if (!gives_same(tokenizer, made, fmt::format("a{}b {} c{}", name, name, name), true)) {
                return false;
            }
        }
    }
    return true;
}

}  // namespace

Result<void> fit_to(size_t vocabulary, VocabKeys& out) {
    VocabSpec& spec = out.spec;
    spec.tokens.resize(vocabulary);
    spec.types.resize(vocabulary, static_cast<int32_t>(TokenType::Unused));
    if (!spec.scores.empty()) {
        spec.scores.resize(vocabulary, 0);
    }
    std::unordered_set<std::string_view> names;
    for (size_t id = 0; id < vocabulary; ++id) {
        if (spec.types[id] == static_cast<int32_t>(TokenType::Unused) && spec.tokens[id].empty()) {
            spec.tokens[id] = out.texts.emplace_back(fmt::format("[PAD{}]", id));
        }
        if (!names.insert(spec.tokens[id]).second) {
            return unsupported("two tokens \"{}\"", spec.tokens[id].substr(0, 64));
        }
    }
    for (auto* id :
         {&spec.unknown_token_id, &spec.bos_token_id, &spec.eos_token_id, &spec.padding_token_id}) {
        if (*id && **id >= vocabulary) {
            id->reset();
        }
    }
    return {};
}

Result<void> set_ends(const Tokenizer& tokenizer, VocabKeys& out) {
    WEIR_TRY_ASSIGN(const std::vector<TokenId> plain, tokenizer.encode("a"));
    WEIR_TRY_ASSIGN(const std::vector<TokenId> whole, tokenizer.encode("a", {.add_special = true}));
    const auto middle = std::ranges::search(whole, plain);
    const std::span<const TokenId> before(whole.begin(), middle.begin());
    const std::span<const TokenId> behind(middle.end(), whole.end());
    if (before.size() > 1 || behind.size() > 1) {
        return unsupported("more than a token before and one behind a text");
    }
    VocabSpec& spec = out.spec;
    spec.bos_token_id = before.empty() ? tokenizer.bos() : before.front();
    spec.add_bos_token = !before.empty();
    if (spec.model == "bert") {
        spec.cls_token_id = spec.bos_token_id;
        spec.separator_token_id = behind.empty() ? std::nullopt : std::optional(behind.front());
        spec.add_sep_token = !behind.empty();
        spec.mask_token_id = tokenizer.find_token("[MASK]");
    } else {
        spec.eos_token_id = behind.empty() ? tokenizer.eos() : behind.front();
        spec.add_eos_token = !behind.empty();
    }
    for (const auto& id : {spec.bos_token_id, spec.eos_token_id, spec.separator_token_id}) {
        if (id && *id < spec.types.size() &&
            spec.types[*id] == static_cast<int32_t>(TokenType::Normal)) {
            spec.types[*id] = static_cast<int32_t>(TokenType::Control);
        }
    }
    return {};
}

Result<void> check_same(const Tokenizer& tokenizer, VocabKeys& out) {
    WEIR_TRY_ASSIGN(const Tokenizer made, Tokenizer::from_spec(out.spec));
    WEIR_TRY(check_plain(tokenizer, made, out));
    const auto lose = [&](std::span<const std::string_view> texts, std::string_view what) {
        const bool same = std::ranges::all_of(
            texts, [&](std::string_view text) { return gives_same(tokenizer, made, text, false); });
        if (!same) {
            out.lost.emplace_back(what);
        }
    };
    lose(kSpaces, "spaces at the ends of a text or several in a row");
    lose(kParts, "characters in parts (not NFC)");
    if (!same_beside_added(tokenizer, made, out.spec)) {
        out.lost.emplace_back("text beside special tokens");
    }
    return {};
}

}  // namespace weir::text
