// Which pre-tokenizer goes by which name: GGUF's `tokenizer.ggml.pre`, and the patterns that stand
// in tokenizer.json. A pattern is recognised by its exact text: two spellings of the same language
// are two rows.

#include <algorithm>
#include <initializer_list>

#include "text/pretokenizer.h"

namespace weir::text {
namespace {

struct NamedSplitters {
    std::initializer_list<std::string_view> names;
    std::initializer_list<Splitter> splitters;
};

const NamedSplitters kGgufNames[] = {
    {{"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
      "dbrx", "smaug-bpe", "glm4", "chatglm-bpe", "cl100k"},
     {Splitter::Cl100k}},
    {{"qwen2", "deepseek-r1-qwen", "kormo", "megrez", "stablelm2", "hunyuan", "grok-2",
      "solar-open"},
     {Splitter::Qwen2}},
    {{"qwen35"}, {Splitter::Qwen35}},
    {{"gpt-4o", "llama4", "minimax-m2", "o200k"}, {Splitter::O200k}},
    {{"tekken"}, {Splitter::Tekken}},
    {{"gpt-2", "phi-2", "mpt", "olmo", "jais", "gigachat", "a.x-4.0", "mellum", "exaone4",
      "trillion", "granite-docling", "roberta-bpe", "jina-es", "jina-de", "jina-v1-en",
      "jina-v2-es", "jina-v2-de", "jina-v2-code"},
     {Splitter::Gpt2}},
    {{"starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b"},
     {Splitter::Digits, Splitter::Gpt2}},
    {{"deepseek-llm"},
     {Splitter::NewlineCharacters, Splitter::CasedWords, Splitter::AsciiWidePunctuation,
      Splitter::TrailingSpace, Splitter::CjkHangul, Splitter::DigitRuns}},
    {{"deepseek-coder"},
     {Splitter::NewlineCharacters, Splitter::AnyWords, Splitter::AnyPunctuation,
      Splitter::CjkHangul, Splitter::Digits}},
    {{"deepseek-v3", "hunyuan-dense", "joyai-llm"},
     {Splitter::DigitTriples, Splitter::CjkKana, Splitter::DeepSeekV3}},
    {{"falcon"}, {Splitter::PunctuationRuns, Splitter::Gpt2, Splitter::AsciiDigitTriples}},
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
    {R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s)", Splitter::Cl100k},
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
};
// clang-format on

// DeepSeek LLM's list of letters is too long to repeat; its beginning is nobody else's.
constexpr std::string_view kCasedWordsBegin = "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯ";

}  // namespace

Result<PreTokenizer> PreTokenizer::of_gguf_name(std::string_view name) {
    for (const NamedSplitters& row : kGgufNames) {
        if (std::find(row.names.begin(), row.names.end(), name) != row.names.end()) {
            return PreTokenizer(std::vector<Splitter>(row.splitters));
        }
    }
    return unsupported("no pre-tokenizer is known by the name '{}'", name.substr(0, 64));
}

Result<Splitter> PreTokenizer::of_pattern(std::string_view pattern) {
    for (const NamedPattern& row : kPatterns) {
        if (row.pattern == pattern) {
            return row.splitter;
        }
    }
    if (pattern.starts_with(kCasedWordsBegin)) {
        return Splitter::CasedWords;
    }
    return unsupported("no scanner is known for the pre-tokenizer pattern '{}'",
                       pattern.substr(0, 256));
}

}  // namespace weir::text
