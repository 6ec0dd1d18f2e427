#include <string>
#include <utility>

#include "text/tokenizer_json.h"

namespace weir::text {
namespace {

using json::Fields;

// Sequences of sequences are legal; nobody nests them deeply.
constexpr int kNestingMax = 4;

// It comes before every stretch of a text, so its length multiplies.
constexpr size_t kPrependBytesMax = 16;

Result<std::string> type_of(Fields& fields) {
    return fields.require_string("type");
}

std::unexpected<Error> unknown_step(std::string_view kind, std::string_view type) {
    return unsupported("tokenizer.json has the {} '{}', which is not known", kind,
                       type.substr(0, 64));
}

// Calls read(member) for each value of the array `name`.
template <typename Read>
Result<void> read_each(Fields& fields, std::string_view name, const Read& read) {
    WEIR_TRY_ASSIGN(const json::Array* values, fields.require_array(name));
    for (const json::Value& value : *values) {
        WEIR_TRY(read(value));
    }
    return {};
}

// The literal of {"String": "…"}; nothing for {"Regex": "…"}, whose text goes to `regex`.
Result<std::optional<std::string>> read_pattern(Fields& fields, std::string& regex) {
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

Result<void> read_normalizer_step(const json::Value& value, Normalizer& out, int depth);

Result<void> read_replace(Fields& fields, Normalizer& out) {
    std::string regex;
    WEIR_TRY_ASSIGN(auto literal, read_pattern(fields, regex));
    if (!literal || literal->empty()) {
        return unsupported("tokenizer.json replaces by the pattern '{}'", regex.substr(0, 64));
    }
    WEIR_TRY_ASSIGN(std::string content, fields.require_string("content"));
    if (content.size() > literal->size() * 16) {
        return data_corrupt("tokenizer.json replaces by something much longer");
    }
    out.add(
        {.kind = Normalizer::Kind::Replace, .from = *std::move(literal), .to = std::move(content)});
    return {};
}

Result<void> read_normalizer_step(const json::Value& value, Normalizer& out, int depth) {
    WEIR_TRY_ASSIGN(Fields fields, Fields::of(value, "normalizer"));
    WEIR_TRY_ASSIGN(const std::string type, type_of(fields));
    if (type == "Sequence" && depth < kNestingMax) {
        return read_each(fields, "normalizers", [&](const json::Value& step) {
            return read_normalizer_step(step, out, depth + 1);
        });
    }
    if (type == "NFC") {
        out.add({.kind = Normalizer::Kind::Nfc});
    } else if (type == "NFD") {
        out.add({.kind = Normalizer::Kind::Nfd});
    } else if (type == "Lowercase") {
        out.add({.kind = Normalizer::Kind::Lowercase});
    } else if (type == "Prepend") {
        WEIR_TRY_ASSIGN(std::string prefix, fields.require_string("prepend"));
        if (prefix.size() > kPrependBytesMax) {
            return data_corrupt("tokenizer.json prepends {} bytes", prefix.size());
        }
        out.add({.kind = Normalizer::Kind::Prepend, .to = std::move(prefix)});
    } else if (type == "Replace") {
        return read_replace(fields, out);
    } else {
        return unknown_step("normalizer", type);
    }
    return {};
}

Result<void> read_split(Fields& fields, const Normalizer& normalizer, PreTokenizerSteps& out) {
    std::string regex;
    WEIR_TRY_ASSIGN(const auto literal, read_pattern(fields, regex));
    WEIR_TRY_ASSIGN(const std::string behavior, fields.require_string("behavior"));
    bool invert = false;
    WEIR_TRY(fields.read("invert", invert));
    if (literal) {
        if (normalizer.replaces(*literal) || out.normalizer.replaces(*literal)) {
            return {};  // as in Gemma, whose spaces are gone by then
        }
        return unsupported("tokenizer.json splits at the text '{}'", literal->substr(0, 64));
    }
    WEIR_TRY_ASSIGN(const Splitter splitter, PreTokenizer::of_pattern(regex));
    // Removing what a pattern that covers everything does not match removes nothing.
    const bool covers = splitter <= Splitter::Tekken;
    if (!(behavior == "Isolated" && !invert) && !(covers && behavior == "Removed" && invert)) {
        return unsupported("tokenizer.json splits with the behaviour '{}'", behavior);
    }
    out.splitters.push_back(splitter);
    return {};
}

Result<void> read_byte_level(Fields& fields, PreTokenizerSteps& out) {
    bool add_prefix_space = true;
    bool use_regex = true;
    WEIR_TRY(fields.read("add_prefix_space", add_prefix_space));
    WEIR_TRY(fields.read("use_regex", use_regex));
    out.byte_level = true;
    if (add_prefix_space) {
        if (!out.splitters.empty()) {
            return unsupported("tokenizer.json puts a space before every piece");
        }
        out.normalizer.add({.kind = Normalizer::Kind::PrependIfMissing, .to = " "});
    }
    if (use_regex) {
        out.splitters.push_back(Splitter::Gpt2);
    }
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
    if (replacement != kMetaspace) {
        return unsupported("tokenizer.json has another sign for spaces than U+2581");
    }
    if (!out.splitters.empty()) {
        return unsupported("tokenizer.json has a Metaspace behind another pre-tokenizer");
    }
    const std::string when = scheme.value_or(add_prefix_space ? "always" : "never");
    if (when != "always" && when != "first" && when != "never") {
        return unknown_step("prepend_scheme", when);
    }
    out.normalizer.add({.kind = Normalizer::Kind::Replace, .from = " ", .to = replacement});
    if (when != "never") {
        out.normalizer.add({.kind = Normalizer::Kind::PrependIfMissing,
                            .to = replacement,
                            .first_only = when == "first"});
    }
    if (split) {
        out.splitters.push_back(Splitter::MetaspaceWords);
    }
    return {};
}

Result<void> read_pre_tokenizer_step(const json::Value& value, const Normalizer& normalizer,
                                     PreTokenizerSteps& out, int depth) {
    WEIR_TRY_ASSIGN(Fields fields, Fields::of(value, "pre_tokenizer"));
    WEIR_TRY_ASSIGN(const std::string type, type_of(fields));
    if (type == "Sequence" && depth < kNestingMax) {
        return read_each(fields, "pretokenizers", [&](const json::Value& step) {
            return read_pre_tokenizer_step(step, normalizer, out, depth + 1);
        });
    }
    if (type == "Split") {
        return read_split(fields, normalizer, out);
    }
    if (type == "ByteLevel") {
        return read_byte_level(fields, out);
    }
    if (type == "Metaspace") {
        return read_metaspace(fields, out);
    }
    if (type == "Digits") {
        bool individual = false;
        WEIR_TRY(fields.read("individual_digits", individual));
        out.splitters.push_back(individual ? Splitter::Digits : Splitter::DigitRuns);
        return {};
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
    return read_each(fields, "ids", [&](const json::Value& id) -> Result<void> {
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
    return read_each(fields, "single", [&](const json::Value& piece) -> Result<void> {
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
    if (type == "Sequence" && depth < kNestingMax) {
        return read_each(fields, "processors", [&](const json::Value& step) {
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

Result<void> read_decoder_step(const json::Value& value, DecoderSteps& out, int depth);

Result<void> read_strip(Fields& fields, DecoderSteps& out) {
    WEIR_TRY_ASSIGN(const std::string content, fields.require_string("content"));
    size_t start = 0;
    size_t stop = 0;
    WEIR_TRY(fields.read("start", json::in_range<size_t>(0, 1024), start));
    WEIR_TRY(fields.read("stop", json::in_range<size_t>(0, 1024), stop));
    if (content != " " || start > 1 || stop != 0) {
        return unsupported("tokenizer.json's decoder strips more than one leading space");
    }
    out.leading_spaces = start;
    return {};
}

Result<void> read_decoder_step(const json::Value& value, DecoderSteps& out, int depth) {
    WEIR_TRY_ASSIGN(Fields fields, Fields::of(value, "decoder"));
    WEIR_TRY_ASSIGN(const std::string type, type_of(fields));
    if (type == "Sequence" && depth < kNestingMax) {
        return read_each(fields, "decoders", [&](const json::Value& step) {
            return read_decoder_step(step, out, depth + 1);
        });
    }
    if (type == "ByteLevel") {
        out.byte_level = true;
    } else if (type == "ByteFallback") {
        out.byte_fallback = true;
    } else if (type == "Strip") {
        return read_strip(fields, out);
    } else if (type == "Metaspace") {
        std::string scheme = "always";
        WEIR_TRY(fields.read("prepend_scheme", scheme));
        out.metaspace = true;
        out.leading_spaces = scheme == "never" ? 0 : 1;
    } else if (type == "Replace") {
        std::string regex;
        WEIR_TRY_ASSIGN(const auto literal, read_pattern(fields, regex));
        WEIR_TRY_ASSIGN(const std::string content, fields.require_string("content"));
        if (literal != std::string(kMetaspace) || content != " ") {
            return unsupported("tokenizer.json's decoder replaces something else than U+2581");
        }
        out.metaspace = true;
    } else if (type != "Fuse") {
        return unknown_step("decoder", type);
    }
    return {};
}

}  // namespace

Result<void> read_normalizer(const json::Value* value, Normalizer& out) {
    return value == nullptr ? Result<void>() : read_normalizer_step(*value, out, 0);
}

Result<void> read_pre_tokenizer(const json::Value* value, const Normalizer& normalizer,
                                PreTokenizerSteps& out) {
    return value == nullptr ? Result<void>() : read_pre_tokenizer_step(*value, normalizer, out, 0);
}

Result<void> read_post_processor(const json::Value* value, Tokenizer::Parts& parts) {
    return value == nullptr ? Result<void>() : read_post_processor_step(*value, parts, 0);
}

Result<void> read_decoder(const json::Value* value, DecoderSteps& out) {
    return value == nullptr ? Result<void>() : read_decoder_step(*value, out, 0);
}

}  // namespace weir::text
