#include "cli/folder_tokenizer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <span>

#include "engine/local_model.h"
#include "json/parse.h"
#include "json/write.h"
#include "model/tokenizer_metadata.h"
#include "text/template_source.h"
#include "text/vocab_keys.h"

namespace weir::cli {
namespace {

using model::GgufHead;

struct NamedText {
    std::string_view file;
    std::string_view key;
    const std::string& text;
};

Result<void> add_text(const NamedText& named, GgufHead& head) {
    if (named.text.size() > model::kGgufTextBytesMax) {
        return unsupported("{}: {} bytes, where GGUF has texts of up to {}", named.file,
                           named.text.size(), model::kGgufTextBytesMax);
    }
    head.add_text(named.key, named.text);
    return {};
}

// tokenizer_config.json without its chat templates, which have keys of their own (add_template);
// those that Weir does not use go to `head` from here.
Result<std::string> take_templates(const std::string& config_json, GgufHead& head) {
    if (config_json.empty()) {
        return std::string("{}");
    }
    WEIR_TRY_ASSIGN(const json::Value config, json::parse(config_json, json::kModelFile));
    if (config.if_object() == nullptr) {
        return data_corrupt("tokenizer_config.json must hold an object");
    }
    json::Object rest;
    for (const auto& [name, value] : *config.if_object()) {
        if (name != "chat_template") {
            rest.set(name, value);
            continue;
        }
        for (const json::Value& one : value.if_array() ? *value.if_array() : json::Array()) {
            const json::Object* object = one.if_object();
            const json::Value* title = object == nullptr ? nullptr : object->find("name");
            const json::Value* text = object == nullptr ? nullptr : object->find("template");
            if (title == nullptr || text == nullptr || title->if_string() == nullptr ||
                text->if_string() == nullptr) {
                return data_corrupt("tokenizer_config.json.chat_template: no list of templates");
            }
            if (*title->if_string() != "default" && *title->if_string() != "tool_use") {
                head.add_text("tokenizer.chat_template." + *title->if_string(), *text->if_string());
            }
        }
    }
    return json::to_text(json::Value(std::move(rest)));
}

// The tokens that end a text: GGUF has places for three.
Result<void> add_ends(const model::ModelSource& source, std::optional<TokenId> eos,
                      GgufHead& head) {
    std::vector<TokenId> ids = source.folder()->eos_token_ids();
    if (eos) {
        std::erase(ids, *eos);
        ids.insert(ids.begin(), *eos);
    }
    constexpr std::array<std::string_view, 3> kPlaces = {"tokenizer.ggml.eos_token_id",
                                                         "tokenizer.ggml.eot_token_id",
                                                         "tokenizer.ggml.eom_token_id"};
    if (ids.size() > kPlaces.size()) {
        return unsupported("eos_token_id: {} tokens end a text; GGUF has places for {}", ids.size(),
                           kPlaces.size());
    }
    for (size_t i = 0; i < ids.size(); ++i) {
        head.add_u32(kPlaces[i], ids[i]);
    }
    return {};
}

Result<void> add_template(const model::HfFolder& folder, GgufHead& head) {
    WEIR_TRY_ASSIGN(const auto files, folder.read_template_files());
    const text::TemplateFiles found{.chat_template_jinja = files.chat_template_jinja,
                                    .tokenizer_config_json = files.tokenizer_config_json,
                                    .chat_template_json = files.chat_template_json,
                                    .tool_use_jinja = files.tool_use_jinja};
    WEIR_TRY_ASSIGN(const std::string chat, text::find_chat_template(found));
    if (!chat.empty()) {
        WEIR_TRY(add_text({"chat_template", "tokenizer.chat_template", chat}, head));
    }
    WEIR_TRY_ASSIGN(const std::string tools,
                    text::find_chat_template(found, text::TemplateUse::Tools));
    return tools.empty()
               ? Result<void>()
               : add_text({"chat_template", "tokenizer.chat_template.tool_use", tools}, head);
}

// What other programs read of a tokenizer. The order is that of llama.cpp's converters.
void add_vocabulary(const VocabSpec& spec, GgufHead& head) {
    const auto key = [](std::string_view name) {
        return std::string("tokenizer.ggml.").append(name);
    };
    head.add_text(key("model"), spec.model);
    head.add_text(key("pre"), spec.pre);
    head.add_texts(key("tokens"), spec.tokens);
    if (!spec.scores.empty()) {
        head.add_f32s(key("scores"), spec.scores);
    }
    head.add_i32s(key("token_type"), spec.types);
    if (!spec.merges.empty() || spec.model == "gpt2" || spec.model == "gemma4") {
        head.add_texts(key("merges"), spec.merges);  // readers want them, if there are none
    }
    const std::pair<std::string_view, std::optional<uint32_t>> ids[] = {
        {"seperator_token_id", spec.separator_token_id},
        {"cls_token_id", spec.cls_token_id},
        {"mask_token_id", spec.mask_token_id}};
    for (const auto& [name, id] : ids) {
        if (id) {
            head.add_u32(key(name), *id);
        }
    }
    const std::pair<std::string_view, std::optional<bool>> flags[] = {
        {"add_bos_token", spec.add_bos_token},
        {"add_eos_token", spec.add_eos_token},
        {"add_sep_token", spec.add_sep_token},
        {"add_space_prefix", spec.add_space_prefix},
        {"remove_extra_whitespaces", spec.remove_extra_whitespaces},
        {"normalizer.lowercase", spec.normalizer_lowercase},
        {"normalizer.strip_accents", spec.normalizer_strip_accents}};
    for (const auto& [name, flag] : flags) {
        if (flag) {
            head.add_bool(key(name), *flag);
        }
    }
    if (!spec.precompiled_charsmap.empty()) {
        head.add_bytes(key("precompiled_charsmap"), spec.precompiled_charsmap);
    }
}

struct Keys {
    std::unique_ptr<const std::string> sentencepiece;  // that `found` was read of: it borrows
    std::optional<text::VocabKeys> found;
    Warning warning;
};

Result<void> read_sentencepiece_keys(std::string file, const std::string& config_json,
                                     size_t vocabulary, Keys& keys) {
    keys.sentencepiece = std::make_unique<const std::string>(std::move(file));
    WEIR_TRY_ASSIGN(keys.found, text::vocab_keys_of_sentencepiece(
                                    std::as_bytes(std::span<const char>(*keys.sentencepiece)),
                                    config_json, vocabulary));
    return {};
}

std::string only_weir_reads(std::string_view why, std::string_view file) {
    return fmt::format(
        "GGUF's own keys cannot say {} of {}: only Weir will read the file's tokenizer", why, file);
}

// Of tokenizer.json; where that has no place in them, of the tokenizer.model that it was made of,
// as converters of llama.cpp take them.
Result<Keys> keys_of(const model::HfFolder& folder, const model::HfTokenizerFiles& files,
                     const text::Tokenizer& tokenizer, size_t vocabulary) {
    Keys keys;
    if (files.tokenizer_json.empty()) {
        const auto read = read_sentencepiece_keys(files.tokenizer_model,
                                                  files.tokenizer_config_json, vocabulary, keys);
        if (!read) {
            keys.warning = only_weir_reads(read.error().message, "tokenizer.model");
        }
        return keys;
    }
    auto of_json = text::vocab_keys_of_json(files.tokenizer_json, tokenizer, vocabulary);
    if (of_json) {
        if (!of_json->lost.empty()) {
            keys.warning = fmt::format(
                "GGUF's own keys say the tokenizer but for {}: Weir reads the tokenizer.json that "
                "the file carries, other programs take other tokens there",
                fmt::join(of_json->lost, ", "));
        }
        keys.found = *std::move(of_json);
        return keys;
    }
    const std::string why = of_json.error().message;
    WEIR_TRY_ASSIGN(std::string sentencepiece, folder.read_sentencepiece());
    if (!sentencepiece.empty() &&
        read_sentencepiece_keys(std::move(sentencepiece), files.tokenizer_config_json, vocabulary,
                                keys)) {
        keys.warning = fmt::format(
            "GGUF's own keys cannot say {} of tokenizer.json: they are those of tokenizer.model, "
            "which other programs read",
            why);
        return keys;
    }
    keys.warning = only_weir_reads(why, "tokenizer.json");
    return keys;
}

Result<void> add_carried(const model::HfTokenizerFiles& files, GgufHead& head) {
    if (!files.tokenizer_json.empty()) {
        WEIR_TRY(add_text({"tokenizer.json", model::kCarriedJson, files.tokenizer_json}, head));
    } else {
        head.add_bytes(model::kCarriedSentencePiece,
                       std::as_bytes(std::span<const char>(files.tokenizer_model)));
    }
    WEIR_TRY_ASSIGN(const std::string config, take_templates(files.tokenizer_config_json, head));
    return add_text({"tokenizer_config.json", model::kCarriedConfig, config}, head);
}

}  // namespace

Result<Warning> add_folder_tokenizer(const model::ModelSource& source, GgufHead& head) {
    const model::HfFolder& folder = *source.folder();
    WEIR_TRY_ASSIGN(const auto tokenizer, engine::load_tokenizer_if_any(source));
    if (!tokenizer) {
        head.add_text("tokenizer.ggml.model", "none");
        WEIR_TRY(add_ends(source, std::nullopt, head));
        WEIR_TRY(add_template(folder, head));
        return std::nullopt;
    }
    WEIR_TRY_ASSIGN(const auto carried, folder.open_tokenizer_gguf());
    if (carried) {
        for (const model::GgufEntry& entry : carried->entries()) {
            if (entry.key.starts_with("tokenizer.")) {
                head.add(entry);
            }
        }
        return std::nullopt;
    }
    WEIR_TRY_ASSIGN(const auto files, folder.read_tokenizer_files());
    WEIR_TRY_ASSIGN(const auto config, source.config());
    WEIR_TRY_ASSIGN(Keys keys, keys_of(folder, files, *tokenizer, config.vocabulary));
    VocabSpec none{.model = model::kCarriedTokenizer};
    const VocabSpec& spec = keys.found ? keys.found->spec : none;
    if (keys.found) {
        add_vocabulary(spec, head);
    } else {
        head.add_text("tokenizer.ggml.model", spec.model);
    }
    WEIR_TRY(add_carried(files, head));
    const std::pair<std::string_view, std::optional<TokenId>> ids[] = {
        {"tokenizer.ggml.bos_token_id", spec.bos_token_id ? spec.bos_token_id : tokenizer->bos()},
        {"tokenizer.ggml.unknown_token_id", tokenizer->unknown()},
        {"tokenizer.ggml.padding_token_id", tokenizer->padding()}};
    for (const auto& [key, id] : ids) {
        if (id && *id < config.vocabulary) {
            head.add_u32(key, *id);
        }
    }
    WEIR_TRY(add_ends(source, spec.eos_token_id ? spec.eos_token_id : tokenizer->eos(), head));
    WEIR_TRY(add_template(folder, head));
    return std::move(keys.warning);
}

void print_warning(const Warning& warning) {
    if (warning) {
        std::fprintf(stderr, "weir: warning: %s\n", warning->c_str());
    }
}

namespace {

// Templates of other names than the default's, as tokenizer_config.json lists them.
Result<void> add_named_templates(const model::TokenizerMetadata& metadata, json::Object& config) {
    if (metadata.named_templates.empty()) {
        return {};
    }
    json::Array list;
    const auto add = [&](std::string_view name, std::string_view text) {
        json::Object one;
        one.set("name", json::Value(name));
        one.set("template", json::Value(text));
        list.emplace_back(std::move(one));
    };
    if (!metadata.chat_template.empty()) {
        add("default", metadata.chat_template);
    }
    for (const auto& [name, text] : metadata.named_templates) {
        add(name, text);
    }
    config.set("chat_template", json::Value(std::move(list)));
    return {};
}

Result<std::string> tokenizer_config_of(const std::string& carried,
                                        const model::TokenizerMetadata& metadata) {
    json::Value config{json::Object()};
    if (!carried.empty()) {
        WEIR_TRY_ASSIGN(config, json::parse(carried, json::kModelFile));
    }
    if (config.if_object() == nullptr) {
        return data_corrupt("key {}: no object", model::kCarriedConfig);
    }
    WEIR_TRY(add_named_templates(metadata, *config.if_object()));
    return config.if_object()->empty() ? std::string() : json::to_text(config);
}

std::string generation_config_of(const model::TokenizerMetadata& metadata) {
    json::Array ends;
    for (const auto& id : {metadata.eos_token_id, metadata.eot_token_id, metadata.eom_token_id}) {
        if (id) {
            ends.emplace_back(int64_t{*id});
        }
    }
    if (ends.empty()) {
        return {};
    }
    json::Object config;
    config.set("eos_token_id", json::Value(std::move(ends)));
    return json::to_text(json::Value(std::move(config)));
}

std::vector<std::byte> tokenizer_keys_of(const model::GgufFile& file) {
    GgufHead head;
    for (const model::GgufEntry& entry : file.entries()) {
        if (entry.key.starts_with("tokenizer.")) {
            head.add(entry);
        }
    }
    return head.finish();
}

}  // namespace

Result<FolderTexts> folder_texts_of(const model::ModelSource& source) {
    const model::GgufFile& file = *source.gguf();
    WEIR_TRY_ASSIGN(const auto tokenizer, engine::load_tokenizer_if_any(source));  // is it whole?
    WEIR_TRY_ASSIGN(const auto metadata, model::read_tokenizer_metadata(file));
    WEIR_TRY_ASSIGN(auto carried, model::read_carried_tokenizer(file));
    FolderTexts out;
    if (metadata.named_templates.empty()) {  // the file would be read instead of the list
        out.chat_template = metadata.chat_template;
    }
    WEIR_TRY_ASSIGN(out.tokenizer_config_json,
                    tokenizer_config_of(carried.tokenizer_config_json, metadata));
    out.generation_config_json = generation_config_of(metadata);
    if (!carried.tokenizer_json.empty() || !carried.tokenizer_model.empty()) {
        out.tokenizer_json = std::move(carried.tokenizer_json);
        out.tokenizer_model = std::move(carried.tokenizer_model);
    } else if (tokenizer) {
        out.tokenizer_gguf = tokenizer_keys_of(file);
    }
    return out;
}

}  // namespace weir::cli
