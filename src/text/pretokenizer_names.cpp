// Which pre-tokenizer goes by which name: GGUF's `tokenizer.ggml.pre`, and the patterns that stand
// in tokenizer.json. A pattern that has a scanner is recognised by its exact text: two spellings of
// the same language are two rows. Every other one runs as an automaton.

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <utility>

#include "text/pretokenizer.h"

namespace weir::text {
namespace {

// One cut: by a scanner, or by a pattern that no scanner is worth writing for.
struct NamedCut {
    NamedCut(Splitter by) : splitter(by) {}  // NOLINT: rows of a table
    NamedCut(const char* by) : splitter(Splitter::Pattern), pattern(by) {}  // NOLINT: likewise
    Splitter splitter;
    std::string_view pattern;
};

struct NamedCuts {
    std::initializer_list<std::string_view> names;
    std::initializer_list<NamedCut> cuts;
};

// clang-format off
constexpr const char* kBloom = R"( ?[^(\s|.,!?…。，、।۔،)]+)";
constexpr const char* kBailing = R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr const char* kSeedCoder = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kKimi = R"([\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kExaoneMoe = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr const char* kAsianScripts = "[一-鿿㐀-䶿豈-\uFAFF\u3040-ゟ゠-ヿ･-ﾟ⼀-\u2FDFเ-\u0E7F\u0E80-\u0EFFក-\u17FFက-႟ꩠ-ꩿꧠ-\uA9FF가-\uD7AFᄀ-ᇿ]+";
constexpr const char* kYoutuScripts = "[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-\u303F︰-﹏]+|[ㄅ-ㄯ]+|[一-龥\u3040-ゟ゠-ヿ]+";
constexpr const char* kYoutuWords = R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kSpark = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+|[\r\n]|\\s+(?!\\S)|\\s+";
constexpr const char* kWithoutContractions = R"([^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kMiniCpm = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// clang-format on

const NamedCuts kGgufNames[] = {
    {{"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
      "jina-v5-nano", "dbrx", "smaug-bpe", "glm4", "chatglm-bpe", "cl100k"},
     {Splitter::Cl100k}},
    {{"qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan", "grok-2",
      "solar-open"},
     {Splitter::Qwen2}},
    {{"qwen35"}, {Splitter::Qwen35}},
    {{"gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2", "granite-embed-multi-97m", "o200k"},
     {Splitter::O200k}},
    {{"tekken"}, {Splitter::Tekken}},
    {{"gpt-2", "phi-2", "mpt", "olmo", "jais", "gigachat", "a.x-4.0", "mellum", "modern-bert",
      "exaone4", "trillion", "granite-docling", "roberta-bpe", "jina-es", "jina-de", "jina-v1-en",
      "jina-v2-es", "jina-v2-de", "jina-v2-code"},
     {Splitter::Gpt2}},
    {{"starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2"},
     {Splitter::Digits, Splitter::Gpt2}},
    {{"deepseek-llm"},
     {Splitter::NewlineCharacters, Splitter::CasedWords, Splitter::AsciiWidePunctuation,
      Splitter::TrailingSpace, Splitter::CjkHangul, Splitter::DigitRuns}},
    {{"deepseek-coder"},
     {Splitter::NewlineCharacters, Splitter::AnyWords, Splitter::AnyPunctuation,
      Splitter::CjkHangul, Splitter::Digits}},
    {{"deepseek-v3", "hunyuan-dense", "joyai-llm", "hy-v4"},
     {Splitter::DigitTriples, Splitter::CjkKana, Splitter::DeepSeekV3}},
    {{"spark2.5"}, {Splitter::DigitTriples, Splitter::CjkKana, kSpark, Splitter::Digits}},
    {{"youtu"}, {kYoutuScripts, kYoutuWords}},
    {{"falcon"}, {Splitter::PunctuationRuns, Splitter::Gpt2, Splitter::AsciiDigitTriples}},
    {{"bloom", "poro-chat", "gpt3-finnish"}, {kBloom}},
    {{"viking"}, {kBloom, Splitter::Digits}},
    {{"chameleon"},
     {"<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", R"(([\t\n]|    |  ))",
      Splitter::Digits, R"([\p{P}!-/:-@\[-`{-~])", Splitter::Gpt2}},
    {{"tiny_aya", "cohere2moe"}, {Splitter::GroupsOfThreeAtBoundary, Splitter::O200k}},
    {{"kimi-k2"}, {kKimi}},
    {{"superbpe"}, {Splitter::DigitRuns, Splitter::GroupsOfThree}},
    {{"bailingmoe", "bailingmoe2", "llada-moe"}, {kBailing}},
    {{"seed-coder"}, {kSeedCoder}},
    {{"ufakzeka"}, {kWithoutContractions}},
    {{"afmoe"}, {Splitter::GroupsOfThree, kAsianScripts, Splitter::DeepSeekV3}},
    {{"laguna"}, {Splitter::LineRuns, Splitter::Qwen2}},
    {{"exaone-moe"}, {kExaoneMoe}},
    {{"minicpm5"}, {Splitter::DigitTriples, kMiniCpm}},
    {{"gemma4", "granite-embed-multi-311m", "sarvam-moe"}, {Splitter::LineRuns}},
    {{"default", ""},
     {Splitter::PunctuationRuns, Splitter::Gpt2, Splitter::DigitRuns, Splitter::AsciiDigitTriples}},
};

struct NamedPattern {
    std::string_view pattern;
    Splitter splitter;
};

// clang-format off
constexpr NamedPattern kPatterns[] = {
    {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", Splitter::Gpt2},
    {R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", Splitter::Gpt2},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)", Splitter::Cl100k},
    {R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)", Splitter::Cl100k},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)", Splitter::Qwen2},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)", Splitter::Qwen35},
    {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)", Splitter::O200k},
    {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)", Splitter::Tekken},
    {"[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+", Splitter::DeepSeekV3},
    {"[一-龥\u3040-ゟ゠-ヿ]+", Splitter::CjkKana},
    {R"(\p{N}{1,3})", Splitter::DigitTriples},
    {R"(\p{N}+)", Splitter::DigitRuns},
    {R"(\p{N})", Splitter::Digits},
    {"[\r\n]", Splitter::NewlineCharacters},
    {R"(\s?\p{L}+)", Splitter::AnyWords},
    {R"(\s?\p{P}+)", Splitter::AnyPunctuation},
    {R"(\s+$)", Splitter::TrailingSpace},
    {"\\s?[!-/:-~！-／：-～‘-‟　-。]+", Splitter::AsciiWidePunctuation},
    {"[一-龥ࠀ-一가-\uD7FF]+", Splitter::CjkHangul},
    {"[0-9][0-9][0-9]", Splitter::AsciiDigitTriples},
    {R"([\p{P}\$\+<=>\^~\|`]+)", Splitter::PunctuationRuns},
    {R"([^\n]+|[\n]+)", Splitter::LineRuns},
    {R"(\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N})))", Splitter::GroupsOfThree},
    {R"((?=(\d{3})+(?!\d)))", Splitter::GroupsOfThree},
    {R"(\d{1,3}(?=(?:\d{3})*\b))", Splitter::GroupsOfThreeAtBoundary},
};
// clang-format on

// DeepSeek LLM's list of letters is too long to repeat; its beginning is nobody else's.
constexpr std::string_view kCasedWordsBegin = "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯ";

Result<CutStep> cut_by_pattern(std::string_view text) {
    auto pattern = Pattern::create(text);
    if (!pattern) {
        return std::unexpected(std::move(pattern).error().with_context(
            fmt::format("the pre-tokenizer pattern '{}'", text.substr(0, 256))));
    }
    return CutStep{.splitter = Splitter::Pattern,
                   .literal = std::string(text),
                   .pattern = std::make_shared<const Pattern>(*std::move(pattern))};
}

// Whether a step of tokenizer.json isolates what the cut matches. Where a pattern leaves nothing
// between its matches, taking out what is not matched is the same.
bool is_cut(const PreTokenizer::Step& step, const NamedCut& named) {
    const auto* cut = std::get_if<CutStep>(&step);
    if (cut == nullptr || cut->splitter != named.splitter ||
        (named.splitter == Splitter::Pattern && cut->literal != named.pattern)) {
        return false;
    }
    const bool leaves_nothing = named.splitter < Splitter::NewlineCharacters;
    return cut->inverted ? leaves_nothing && cut->behavior == SplitBehavior::Removed
                         : cut->behavior == SplitBehavior::Isolated;
}

}  // namespace

std::span<const std::string_view> PreTokenizer::gguf_names_of(std::span<const Step> steps) {
    for (const NamedCuts& row : kGgufNames) {
        if (std::equal(steps.begin(), steps.end(), row.cuts.begin(), row.cuts.end(), is_cut)) {
            return {row.names.begin(), row.names.size()};
        }
    }
    return {};
}

Result<PreTokenizer> PreTokenizer::of_gguf_name(std::string_view name) {
    for (const NamedCuts& row : kGgufNames) {
        if (std::find(row.names.begin(), row.names.end(), name) == row.names.end()) {
            continue;
        }
        std::vector<Step> steps;
        for (const NamedCut& named : row.cuts) {
            CutStep step{.splitter = named.splitter};
            if (named.splitter == Splitter::Pattern) {
                WEIR_TRY_ASSIGN(step, cut_by_pattern(named.pattern));
            }
            steps.emplace_back(std::move(step));
        }
        return PreTokenizer(std::move(steps));
    }
    return unsupported("no pre-tokenizer is known by the name '{}'", name.substr(0, 64));
}

Result<CutStep> PreTokenizer::of_pattern(std::string_view pattern) {
    for (const NamedPattern& row : kPatterns) {
        if (row.pattern == pattern) {
            return CutStep{.splitter = row.splitter};
        }
    }
    if (pattern.starts_with(kCasedWordsBegin)) {
        return CutStep{.splitter = Splitter::CasedWords};
    }
    return cut_by_pattern(pattern);
}

}  // namespace weir::text
