#include <span>
#include <string>
#include <utility>

#include "base/utf8.h"
#include "text/pattern_syntax.h"
#include "text/tokenizer_json.h"

namespace weir::text {
namespace {

using json::Fields;

// It comes before every stretch of a text, so its length multiplies.
constexpr size_t kPrependBytesMax = 16;

bool is_run_of_one_class(const PatternNode& root) {
    const PatternNode* node = &root;
    while (node->kind != PatternNode::Kind::Set) {
        if (node->kind == PatternNode::Kind::LookAhead || node->children.size() != 1) {
            return false;
        }
        node = &node->children[0];
    }
    return true;
}

Result<std::string> type_of(Fields& fields) {
    return fields.require_string("type");
}

Result<void> read_bert_normalizer(Fields& fields, Normalizer& out) {
    bool clean_text = true;
    bool handle_chinese_chars = true;
    bool lowercase = true;
    std::optional<bool> strip_accents;
    WEIR_TRY(fields.read("clean_text", clean_text));
    WEIR_TRY(fields.read("handle_chinese_chars", handle_chinese_chars));
    WEIR_TRY(fields.read("lowercase", lowercase));
    WEIR_TRY(fields.read("strip_accents", strip_accents));
    add_bert_normalizer({.clean_text = clean_text,
                         .space_ideographs = handle_chinese_chars,
                         .strip_accents = strip_accents.value_or(lowercase),
                         .lowercase = lowercase},
                        out);
    return {};
}

Result<void> read_precompiled(Fields& fields, Normalizer& out) {
    WEIR_TRY_ASSIGN(const std::string text, fields.require_string("precompiled_charsmap"));
    const auto bytes = bytes_of_base64(text);
    if (!bytes) {
        return data_corrupt("normalizer.precompiled_charsmap is not base64");
    }
    WEIR_TRY_ASSIGN(Charsmap map, Charsmap::create(std::as_bytes(std::span(*bytes))));
    out.add({.kind = Normalizer::Kind::CharsmapGraphemes,
             .charsmap = std::make_shared<const Charsmap>(std::move(map))});
    return {};
}

Result<void> read_normalizer_step(const json::Value& value, Normalizer& out, int depth);

// Only runs of one class of characters: what a text costs must not depend on how it is written.
Result<void> replace_by_pattern(const std::string& regex, std::string content, Normalizer& out) {
    const auto what =
        fmt::format("tokenizer.json replaces by the pattern '{}'", regex.substr(0, 64));
    auto syntax = parse_pattern(regex);
    if (!syntax) {
        return std::unexpected(std::move(syntax).error().with_context(what));
    }
    if (!is_run_of_one_class(syntax->root) || content.size() > kPrependBytesMax) {
        return unsupported("{}", what);
    }
    auto pattern = Pattern::create(regex);
    if (!pattern) {
        return std::unexpected(std::move(pattern).error().with_context(what));
    }
    out.add({.kind = Normalizer::Kind::ReplaceMatches,
             .to = std::move(content),
             .pattern = std::make_shared<const Pattern>(*std::move(pattern))});
    return {};
}

Result<void> read_replace(Fields& fields, Normalizer& out) {
    std::string regex;
    WEIR_TRY_ASSIGN(auto literal, read_pattern_field(fields, regex));
    WEIR_TRY_ASSIGN(std::string content, fields.require_string("content"));
    if (!literal) {
        return replace_by_pattern(regex, std::move(content), out);
    }
    if (literal->empty()) {
        return unsupported("tokenizer.json replaces nothing by something");
    }
    if (content.size() > literal->size() * 16) {
        return data_corrupt("tokenizer.json replaces by something much longer");
    }
    out.add(
        {.kind = Normalizer::Kind::Replace, .from = *std::move(literal), .to = std::move(content)});
    return {};
}

// The normalizers that say everything by their name.
constexpr std::pair<std::string_view, Normalizer::Kind> kPlainNormalizers[] = {
    {"NFC", Normalizer::Kind::Nfc},
    {"NFD", Normalizer::Kind::Nfd},
    {"NFKC", Normalizer::Kind::Nfkc},
    {"NFKD", Normalizer::Kind::Nfkd},
    {"Nmt", Normalizer::Kind::Nmt},
    {"Lowercase", Normalizer::Kind::Lowercase},
    {"StripAccents", Normalizer::Kind::StripMarks},
    {"ByteLevel", Normalizer::Kind::SpellBytes},
};

Result<void> read_normalizer_step(const json::Value& value, Normalizer& out, int depth) {
    WEIR_TRY_ASSIGN(Fields fields, Fields::of(value, "normalizer"));
    WEIR_TRY_ASSIGN(const std::string type, type_of(fields));
    if (type == "Sequence" && depth < kStepNestingMax) {
        return read_each_step(fields, "normalizers", [&](const json::Value& step) {
            return read_normalizer_step(step, out, depth + 1);
        });
    }
    for (const auto& [name, kind] : kPlainNormalizers) {
        if (name == type) {
            out.add({.kind = kind});
            return {};
        }
    }
    if (type == "Replace") {
        return read_replace(fields, out);
    }
    if (type == "BertNormalizer") {
        return read_bert_normalizer(fields, out);
    }
    if (type == "Precompiled") {
        return read_precompiled(fields, out);
    }
    if (type == "Strip") {
        Normalizer::Step step{.kind = Normalizer::Kind::Strip, .left = true, .right = true};
        WEIR_TRY(fields.read("strip_left", step.left));
        WEIR_TRY(fields.read("strip_right", step.right));
        out.add(std::move(step));
        return {};
    }
    if (type == "Prepend") {
        WEIR_TRY_ASSIGN(std::string prefix, fields.require_string("prepend"));
        if (prefix.size() > kPrependBytesMax) {
            return data_corrupt("tokenizer.json prepends {} bytes", prefix.size());
        }
        out.add({.kind = Normalizer::Kind::Prepend, .to = std::move(prefix)});
        return {};
    }
    return unknown_step("normalizer", type);
}

Result<SplitBehavior> read_behavior(Fields& fields, SplitBehavior otherwise) {
    constexpr std::pair<std::string_view, SplitBehavior> kNames[] = {
        {"Isolated", SplitBehavior::Isolated},
        {"Removed", SplitBehavior::Removed},
        {"MergedWithPrevious", SplitBehavior::MergedWithPrevious},
        {"MergedWithNext", SplitBehavior::MergedWithNext},
        {"Contiguous", SplitBehavior::Contiguous}};
    std::optional<std::string> name;
    WEIR_TRY(fields.read("behavior", name));
    for (const auto& [known, behavior] : kNames) {
        if (name && known == *name) {
            return behavior;
        }
    }
    return name ? Result<SplitBehavior>(unknown_step("behavior", *name)) : otherwise;
}

Result<void> read_split(Fields& fields, PreTokenizerSteps& out) {
    std::string regex;
    WEIR_TRY_ASSIGN(auto literal, read_pattern_field(fields, regex));
    CutStep step{.splitter = Splitter::Literal};
    if (literal) {
        step.literal = *std::move(literal);
    } else {
        WEIR_TRY_ASSIGN(step, PreTokenizer::of_pattern(regex));
    }
    WEIR_TRY_ASSIGN(step.behavior, read_behavior(fields, SplitBehavior::Isolated));
    WEIR_TRY(fields.read("invert", step.inverted));
    out.steps.emplace_back(std::move(step));
    return {};
}

Result<void> read_byte_level(Fields& fields, PreTokenizerSteps& out) {
    bool add_prefix_space = true;
    bool use_regex = true;
    WEIR_TRY(fields.read("add_prefix_space", add_prefix_space));
    WEIR_TRY(fields.read("use_regex", use_regex));
    if (out.byte_level) {
        return unsupported("tokenizer.json has the pre_tokenizer 'ByteLevel' twice");
    }
    out.byte_level = true;
    if (add_prefix_space) {
        out.steps.emplace_back(SignStep{.sign = " ", .before = SignStep::Before::EveryPiece});
    }
    if (use_regex) {
        out.steps.emplace_back(CutStep{.splitter = Splitter::Gpt2});
    }
    // What follows sees the text as the byte alphabet spells it; see read_pre_tokenizer.
    out.steps.emplace_back(AlphabetStep{AlphabetStep::Direction::Spell});
    return {};
}

Result<void> read_metaspace(Fields& fields, PreTokenizerSteps& out) {
    std::string replacement(kMetaspace);
    bool add_prefix_space = true;
    bool split = true;
    std::optional<std::string> scheme;
    WEIR_TRY(fields.read("replacement", replacement));
    WEIR_TRY(fields.read("add_prefix_space", add_prefix_space));
    WEIR_TRY(fields.read("prepend_scheme", scheme));
    WEIR_TRY(fields.read("split", split));
    if (replacement.empty() || utf8::decode(replacement, 0).bytes != replacement.size()) {
        return data_corrupt("pre_tokenizer.replacement is not one character");
    }
    const std::string when = scheme.value_or(add_prefix_space ? "always" : "never");
    SignStep sign{.sign = replacement};
    if (when == "always") {
        sign.before = SignStep::Before::EveryPiece;
    } else if (when == "first") {
        sign.before = SignStep::Before::FirstPiece;
    } else if (when != "never") {
        return unknown_step("prepend_scheme", when);
    }
    out.steps.emplace_back(std::move(sign));
    if (split) {
        out.steps.emplace_back(CutStep{.splitter = Splitter::Literal,
                                       .behavior = SplitBehavior::MergedWithNext,
                                       .literal = std::move(replacement)});
    }
    return {};
}

// The pre-tokenizers that are one cut, with the behaviour that they have unless they name one.
struct PlainCut {
    std::string_view name;
    CutStep step;
};
const PlainCut kPlainCuts[] = {
    {"Whitespace",
     {.splitter = Splitter::Words, .behavior = SplitBehavior::Removed, .inverted = true}},
    {"WhitespaceSplit", {.splitter = Splitter::Spaces, .behavior = SplitBehavior::Removed}},
    {"Punctuation", {.splitter = Splitter::ReferencePunctuation}},
};

Result<void> read_char_delimiter(Fields& fields, PreTokenizerSteps& out) {
    WEIR_TRY_ASSIGN(std::string delimiter, fields.require_string("delimiter"));
    out.steps.emplace_back(CutStep{.splitter = Splitter::Literal,
                                   .behavior = SplitBehavior::Removed,
                                   .literal = std::move(delimiter)});
    return {};
}

Result<void> read_pre_tokenizer_step(const json::Value& value, PreTokenizerSteps& out, int depth) {
    WEIR_TRY_ASSIGN(Fields fields, Fields::of(value, "pre_tokenizer"));
    WEIR_TRY_ASSIGN(const std::string type, type_of(fields));
    if (type == "Sequence" && depth < kStepNestingMax) {
        return read_each_step(fields, "pretokenizers", [&](const json::Value& step) {
            return read_pre_tokenizer_step(step, out, depth + 1);
        });
    }
    if (type == "Split") {
        return read_split(fields, out);
    }
    if (type == "ByteLevel") {
        return read_byte_level(fields, out);
    }
    if (type == "Metaspace") {
        return read_metaspace(fields, out);
    }
    if (type == "CharDelimiterSplit") {
        return read_char_delimiter(fields, out);
    }
    if (type == "BertPreTokenizer") {
        out.steps.emplace_back(
            CutStep{.splitter = Splitter::Spaces, .behavior = SplitBehavior::Removed});
        out.steps.emplace_back(CutStep{.splitter = Splitter::ReferencePunctuation});
        return {};
    }
    if (type == "Digits") {
        bool individual = false;
        WEIR_TRY(fields.read("individual_digits", individual));
        out.steps.emplace_back(
            CutStep{.splitter = individual ? Splitter::Digits : Splitter::DigitRuns});
        return {};
    }
    for (const PlainCut& plain : kPlainCuts) {
        if (plain.name == type) {
            CutStep step = plain.step;
            WEIR_TRY_ASSIGN(step.behavior, read_behavior(fields, step.behavior));
            out.steps.emplace_back(std::move(step));
            return {};
        }
    }
    return unknown_step("pre_tokenizer", type);
}

Result<void> append_special(const json::Object& tokens, const std::string& name, size_t vocab_size,
                            std::vector<TokenId>& out) {
    const json::Value* token = tokens.find(name);
    if (token == nullptr) {
        return data_corrupt("the post_processor uses a token that it does not define");
    }
    WEIR_TRY_ASSIGN(Fields fields, Fields::of(*token, "post_processor.special_tokens"));
    return read_each_step(fields, "ids", [&](const json::Value& id) -> Result<void> {
        const auto* number = std::get_if<int64_t>(&id.storage());
        if (number == nullptr || *number < 0 || static_cast<uint64_t>(*number) >= vocab_size) {
            return data_corrupt("the post_processor has an id outside the vocabulary");
        }
        out.push_back(static_cast<TokenId>(*number));
        return {};
    });
}

Result<void> read_template(Fields& fields, Tokenizer::Parts& parts) {
    WEIR_TRY_ASSIGN(const json::Object* tokens, fields.object("special_tokens"));
    static const json::Object kNone;
    bool behind_text = false;
    return read_each_step(fields, "single", [&](const json::Value& piece) -> Result<void> {
        WEIR_TRY_ASSIGN(Fields item, Fields::of(piece, "post_processor.single"));
        WEIR_TRY_ASSIGN(const json::Object* special, item.object("SpecialToken"));
        if (special == nullptr) {
            behind_text = true;
            return {};
        }
        Fields inner(*special, "post_processor.single.SpecialToken");
        WEIR_TRY_ASSIGN(const std::string name, inner.require_string("id"));
        return append_special(tokens == nullptr ? kNone : *tokens, name, parts.tokens.size(),
                              behind_text ? parts.suffix : parts.prefix);
    });
}

// ["[SEP]", 102]
Result<void> append_pair(Fields& fields, std::string_view name, size_t vocab_size,
                         std::vector<TokenId>& out) {
    WEIR_TRY_ASSIGN(const json::Array* pair, fields.require_array(name));
    const int64_t* id = pair->size() == 2 ? std::get_if<int64_t>(&(*pair)[1].storage()) : nullptr;
    if (id == nullptr || *id < 0 || static_cast<uint64_t>(*id) >= vocab_size) {
        return data_corrupt("the post_processor has an id outside the vocabulary");
    }
    out.push_back(static_cast<TokenId>(*id));
    return {};
}

Result<void> read_post_processor_step(const json::Value& value, Tokenizer::Parts& parts,
                                      int depth) {
    WEIR_TRY_ASSIGN(Fields fields, Fields::of(value, "post_processor"));
    WEIR_TRY_ASSIGN(const std::string type, type_of(fields));
    if (type == "Sequence" && depth < kStepNestingMax) {
        return read_each_step(fields, "processors", [&](const json::Value& step) {
            return read_post_processor_step(step, parts, depth + 1);
        });
    }
    if (type == "ByteLevel") {
        return {};  // only about offsets
    }
    if (type == "TemplateProcessing") {
        return read_template(fields, parts);
    }
    if (type == "RobertaProcessing" || type == "BertProcessing") {
        WEIR_TRY(append_pair(fields, "cls", parts.tokens.size(), parts.prefix));
        return append_pair(fields, "sep", parts.tokens.size(), parts.suffix);
    }
    return unknown_step("post_processor", type);
}

}  // namespace

// Four characters are three bytes; nothing but padding may follow the data.
std::optional<std::string> bytes_of_base64(std::string_view text) {
    std::string bytes;
    bytes.reserve(text.size() / 4 * 3);
    uint32_t buffer = 0;
    unsigned bits = 0;
    while (text.ends_with('=')) {
        text.remove_suffix(1);
    }
    for (const char character : text) {
        constexpr std::string_view kDigits =
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        const size_t digit = kDigits.find(character);
        if (digit == std::string_view::npos) {
            return std::nullopt;
        }
        buffer = buffer << 6 | static_cast<uint32_t>(digit);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes.push_back(static_cast<char>(buffer >> bits & 0xFF));
        }
    }
    return bytes;
}

std::unexpected<Error> unknown_step(std::string_view kind, std::string_view type) {
    return unsupported("tokenizer.json has the {} '{}', which is not known", kind,
                       type.substr(0, 64));
}

Result<std::optional<std::string>> read_pattern_field(Fields& fields, std::string& regex) {
    WEIR_TRY_ASSIGN(const json::Object* pattern, fields.object("pattern"));
    if (pattern == nullptr) {
        return data_corrupt("tokenizer.json has a step without a pattern");
    }
    Fields inner(*pattern, fields.path_of("pattern"));
    std::optional<std::string> literal;
    WEIR_TRY(inner.read("String", literal));
    if (!literal) {
        WEIR_TRY_ASSIGN(regex, inner.require_string("Regex"));
    }
    return literal;
}

Result<void> read_normalizer(const json::Value* value, Normalizer& out) {
    if (value == nullptr) {
        return {};
    }
    WEIR_TRY(read_normalizer_step(*value, out, 0));
    if (out.steps() > kStepsMax || out.growth() > kGrowthMax) {
        return data_corrupt("the normalizer has {} steps that make up to {:.0f} bytes of one",
                            out.steps(), out.growth());
    }
    return {};
}

// A byte-level text is spelled in the byte alphabet for the steps behind ByteLevel and read back
// behind the last of them; where there is none, neither is needed.
Result<void> read_pre_tokenizer(const json::Value* value, PreTokenizerSteps& out) {
    if (value == nullptr) {
        return {};
    }
    WEIR_TRY(read_pre_tokenizer_step(*value, out, 0));
    if (out.steps.size() > kStepsMax) {
        return data_corrupt("the pre_tokenizer has {} steps", out.steps.size());
    }
    if (!out.byte_level) {
        return {};
    }
    if (std::holds_alternative<AlphabetStep>(out.steps.back())) {
        out.steps.pop_back();
    } else {
        out.steps.emplace_back(AlphabetStep{AlphabetStep::Direction::Read});
    }
    return {};
}

Result<void> read_post_processor(const json::Value* value, Tokenizer::Parts& parts) {
    if (value == nullptr) {
        return {};
    }
    WEIR_TRY(read_post_processor_step(*value, parts, 0));
    const size_t around = parts.prefix.size() + parts.suffix.size();
    return around <= kStepsMax
               ? Result<void>()
               : data_corrupt("the post_processor puts {} tokens around a text", around);
}

}  // namespace weir::text
