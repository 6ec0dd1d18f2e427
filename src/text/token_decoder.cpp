#include "text/token_decoder.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/utf8.h"
#include "json/fields.h"
#include "text/tokenizer_json.h"

namespace weir::text {
namespace {

using json::Fields;

void replace_all(std::string& text, std::string_view from, std::string_view to) {
    std::string out;
    size_t at = 0;
    for (size_t found = text.find(from); found != std::string::npos; found = text.find(from, at)) {
        out.append(text, at, found - at);
        out += to;
        at = found + from.size();
    }
    out.append(text, at);
    text = std::move(out);
}

// What BERT's decoder takes back of the spaces that its words were cut at, in this order.
void clean_up(std::string& text) {
    constexpr std::string_view kRules[][2] = {
        {" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
        {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
        {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (const auto& [from, to] : kRules) {
        replace_all(text, from, to);
    }
}

}  // namespace

Result<TokenDecoder> TokenDecoder::read(const json::Value* value) {
    TokenDecoder decoder;
    if (value == nullptr) {
        decoder.steps_.push_back({.kind = Kind::Join});
        decoder.leading_spaces_ = 1;
        return decoder;
    }
    WEIR_TRY(decoder.read_step(*value, 0));
    if (decoder.steps_.size() > kStepsMax || decoder.growth_ > kGrowthMax) {
        return data_corrupt("the decoder has {} steps that make up to {:.0f} bytes of one",
                            decoder.steps_.size(), decoder.growth_);
    }
    return decoder;
}

Result<void> TokenDecoder::read_strip(Step step) {
    if (!fused_) {
        steps_.push_back(std::move(step));
        return {};
    }
    if (step.from != " " || step.start > 1 || step.stop != 0) {
        return unsupported("tokenizer.json's decoder strips more than one leading space");
    }
    strips_text_ = step.start == 1;
    leading_spaces_ = std::max(leading_spaces_, step.start);
    return {};
}

Result<void> TokenDecoder::read_metaspace(Fields& fields) {
    std::string scheme = "always";
    Step step{.kind = Kind::Metaspace, .from = std::string(kMetaspace), .to = " "};
    WEIR_TRY(fields.read("replacement", step.from));
    WEIR_TRY(fields.read("prepend_scheme", scheme));
    if (step.from.empty()) {
        return data_corrupt("decoder.replacement is empty");
    }
    bool add_prefix_space = true;  // what older files say instead
    WEIR_TRY(fields.read("add_prefix_space", add_prefix_space));
    step.drops_first = scheme != "never" && add_prefix_space;
    if (step.drops_first) {
        if (fused_) {
            return unsupported("tokenizer.json's decoder Metaspace drops spaces of the whole text");
        }
        leading_spaces_ = 1;
    }
    steps_.push_back(std::move(step));
    return {};
}

Result<void> TokenDecoder::read_replace(Fields& fields) {
    Step step{.kind = Kind::Replace};
    std::string regex;
    WEIR_TRY_ASSIGN(const auto literal, read_pattern_field(fields, regex));
    WEIR_TRY_ASSIGN(step.to, fields.require_string("content"));
    if (!literal || literal->empty() || step.to.size() > literal->size() * 16) {
        return unsupported("tokenizer.json's decoder replaces by the pattern '{}'",
                           regex.substr(0, 64));
    }
    if (fused_ && utf8::decode(*literal, 0).bytes != literal->size()) {
        return unsupported("tokenizer.json's decoder replaces '{}' across tokens",
                           literal->substr(0, 64));
    }
    step.from = *literal;
    growth_ *=
        std::max(1.0, static_cast<double>(step.to.size()) / static_cast<double>(step.from.size()));
    steps_.push_back(std::move(step));
    return {};
}

// A step that looks at what one token is.
Result<void> TokenDecoder::add_for_tokens(Step step, std::string_view type) {
    if (fused_) {
        return unsupported("tokenizer.json's decoder {} gets the whole text", type);
    }
    fused_ = step.kind == Kind::ByteLevel;
    steps_.push_back(std::move(step));
    return {};
}

Result<void> TokenDecoder::read_step(const json::Value& value, int depth) {
    WEIR_TRY_ASSIGN(Fields fields, Fields::of(value, "decoder"));
    WEIR_TRY_ASSIGN(const std::string type, fields.require_string("type"));
    if (type == "Sequence" && depth < kStepNestingMax) {
        return read_each_step(fields, "decoders",
                              [&](const json::Value& step) { return read_step(step, depth + 1); });
    }
    if (type == "Fuse") {
        fused_ = true;
    } else if (type == "ByteLevel") {
        return add_for_tokens({.kind = Kind::ByteLevel}, type);
    } else if (type == "ByteFallback") {
        return add_for_tokens({.kind = Kind::ByteFallback}, type);
    } else if (type == "Strip") {
        Step step{.kind = Kind::Strip};
        WEIR_TRY_ASSIGN(step.from, fields.require_string("content"));
        WEIR_TRY(fields.read("start", json::in_range<size_t>(0, 1024), step.start));
        WEIR_TRY(fields.read("stop", json::in_range<size_t>(0, 1024), step.stop));
        return read_strip(std::move(step));
    } else if (type == "Metaspace") {
        return read_metaspace(fields);
    } else if (type == "WordPiece") {
        Step step{.kind = Kind::WordPiece, .from = "##", .cleanup = true};
        WEIR_TRY(fields.read("prefix", step.from));
        WEIR_TRY(fields.read("cleanup", step.cleanup));
        leading_spaces_ = 1;
        return add_for_tokens(std::move(step), type);
    } else if (type == "Replace") {
        return read_replace(fields);
    } else {
        return unknown_step("decoder", type);
    }
    return {};
}

void TokenDecoder::apply(const Step& step, Place place, std::string& text) {
    switch (step.kind) {
        case Kind::ByteLevel:
            if (auto bytes = bytes_of_byte_level(text)) {
                text = *std::move(bytes);
            }
            return;
        case Kind::ByteFallback:
            if (const auto byte = byte_of_name(text)) {
                text.assign(1, static_cast<char>(*byte));
            }
            return;
        case Kind::Metaspace:
            replace_all(text, step.from, place == Place::First && step.drops_first ? "" : step.to);
            return;
        case Kind::Replace:
            replace_all(text, step.from, step.to);
            return;
        case Kind::Strip:
            for (size_t i = 0; i < step.start && text.starts_with(step.from); ++i) {
                text.erase(0, step.from.size());
            }
            for (size_t i = 0; i < step.stop && text.ends_with(step.from); ++i) {
                text.resize(text.size() - step.from.size());
            }
            return;
        case Kind::WordPiece:
            if (place == Place::Behind) {
                const bool continues = text.starts_with(step.from);
                text = continues ? text.substr(step.from.size()) : " " + text;
            }
            if (step.cleanup) {
                clean_up(text);
            }
            return;
        case Kind::Join:
            text.insert(0, place == Place::First ? "" : " ");
            return;
    }
}

std::string TokenDecoder::bytes_of(std::string_view token, Place place) const {
    std::string text;
    std::span<const Step> steps = steps_;
    // Nearly every large vocabulary begins, and ends, with this step.
    if (!steps.empty() && steps[0].kind == Kind::ByteLevel &&
        append_bytes_of_byte_level(token, text)) {
        steps = steps.subspan(1);
    } else {
        text = token;
    }
    for (const Step& step : steps) {
        apply(step, place, text);
    }
    if (strips_text_ && place == Place::First && text.starts_with(' ')) {
        text.erase(0, 1);
    }
    return text;
}

}  // namespace weir::text
