#include "model/hf_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/file.h"
#include "json/fields.h"
#include "json/parse.h"
#include "model/file_errors.h"

namespace weir::model {

namespace {

constexpr size_t kConfigBytesMax = size_t{4} << 20;
constexpr size_t kIndexBytesMax = size_t{64} << 20;  // DeepSeek-V3's has 9 MB
constexpr size_t kTokenizerBytesMax = size_t{256} << 20;
constexpr size_t kTokenizerConfigBytesMax = size_t{16} << 20;
constexpr size_t kShardsMax = 1000;
constexpr size_t kEosTokensMax = 64;

constexpr std::array<std::string_view, 4> kPickleEndings = {".bin", ".pt", ".pth", ".ckpt"};

bool is_there(const std::filesystem::path& path) {
    std::error_code ignored;
    return std::filesystem::exists(path, ignored);
}

// Empty if there is no such file.
Result<std::string> read_if_present(const std::filesystem::path& path, size_t bytes_max) {
    if (!is_there(path)) {
        return std::string();
    }
    return read_file(path, bytes_max);
}

// A JSON object; null if there is no such file.
Result<json::Value> read_object(const std::filesystem::path& path, size_t bytes_max) {
    if (!is_there(path)) {
        return json::Value();
    }
    const std::string file_name = path.filename().string();
    WEIR_TRY_ASSIGN(const std::string text, read_file(path, bytes_max));
    WEIR_TRY_ASSIGN(json::Value value,
                    as_file_error(json::parse(text, json::kModelFile), file_name));
    if (value.if_object() == nullptr) {
        return data_corrupt("{} must hold an object, not a {}", file_name, value.kind());
    }
    return value;
}

Result<uint32_t> token_id_of(const json::Value& value) {
    const auto* number = std::get_if<int64_t>(&value.storage());
    if (number == nullptr || *number < 0 || *number > UINT32_MAX) {
        return data_corrupt("eos_token_id: token ids are whole numbers");
    }
    return static_cast<uint32_t>(*number);
}

Result<std::vector<uint32_t>> read_eos(const json::Object& object) {
    std::vector<uint32_t> ids;
    const json::Value* eos = object.find("eos_token_id");
    if (eos == nullptr || eos->is_null()) {
        return ids;
    }
    if (const json::Array* list = eos->if_array()) {
        if (list->size() > kEosTokensMax) {
            return data_corrupt("eos_token_id: {} ids; up to {} are read", list->size(),
                                kEosTokensMax);
        }
        for (const json::Value& value : *list) {
            WEIR_TRY_ASSIGN(ids.emplace_back(), token_id_of(value));
        }
        return ids;
    }
    WEIR_TRY_ASSIGN(ids.emplace_back(), token_id_of(*eos));
    return ids;
}

// A shard is a file of this folder, whatever the index says.
Result<void> check_shard_name(std::string_view name) {
    const bool plain = !name.empty() && name.size() <= 255 && name[0] != '.' &&
                       name.find('/') == std::string_view::npos &&
                       name.find('\0') == std::string_view::npos;
    if (!plain || !name.ends_with(".safetensors")) {
        return data_corrupt("weight_map: a shard must be a .safetensors file in the same folder");
    }
    return {};
}

// Shard name → the tensors that the index places there.
using ShardMap = std::map<std::string, std::vector<std::string>, std::less<>>;

Result<ShardMap> read_index(const json::Value& index) {
    WEIR_TRY_ASSIGN(json::Fields fields, json::Fields::of(index, ""));
    WEIR_TRY_ASSIGN(const json::Object* weight_map, fields.object("weight_map"));
    if (weight_map == nullptr || weight_map->empty()) {
        return data_corrupt("weight_map is missing");
    }
    ShardMap shards;
    for (const auto& [tensor, shard] : *weight_map) {
        const std::string* name = shard.if_string();
        if (name == nullptr) {
            return data_corrupt("weight_map: {} names no file", tensor);
        }
        WEIR_TRY(check_shard_name(*name));
        shards[*name].push_back(tensor);
        if (shards.size() > kShardsMax) {
            return data_corrupt("weight_map: more than {} shards", kShardsMax);
        }
    }
    return shards;
}

Result<SafetensorsFile> open_shard(const std::filesystem::path& path,
                                   std::span<const std::string> expected) {
    WEIR_TRY_ASSIGN(SafetensorsFile shard, SafetensorsFile::open(path));
    for (const std::string& name : expected) {
        if (shard.find(name) == nullptr) {
            return data_corrupt("tensor {} is not in {}, where the index places it", name,
                                path.filename().string());
        }
    }
    return shard;
}

Result<void> refuse_duplicates(std::span<const SafetensorsFile> shards) {
    std::set<std::string_view> names;
    for (const SafetensorsFile& shard : shards) {
        for (const SafetensorsTensor& tensor : shard.tensors()) {
            if (!names.insert(tensor.name).second) {
                return data_corrupt("tensor {} occurs in two shards", tensor.name);
            }
        }
    }
    return {};
}

// A folder without safetensors: says so where weights are there in a form that is never read.
Result<void> refuse_pickle_only(const std::filesystem::path& folder) {
    std::error_code failed;
    for (const auto& entry : std::filesystem::directory_iterator(folder, failed)) {
        const std::string ending = entry.path().extension().string();
        if (std::ranges::find(kPickleEndings, ending) != kPickleEndings.end()) {
            return unsupported(
                "{} is pickle, which is a program and is never read: convert the model to "
                "safetensors",
                entry.path().filename().string());
        }
    }
    return {};
}

}  // namespace

Result<void> refuse_foreign_format(const std::filesystem::path& path) {
    WEIR_TRY_ASSIGN(const MappedFile file, MappedFile::open(path));
    const auto bytes = file.bytes();
    const std::string_view head(reinterpret_cast<const char*>(bytes.data()),
                                std::min<size_t>(bytes.size(), 8));
    const std::string ending = path.extension().string();
    const bool pickle = head.size() >= 2 && head[0] == '\x80' && head[1] >= 2 && head[1] <= 5;
    if (pickle || head.starts_with("PK\x03\x04") ||
        std::ranges::find(kPickleEndings, ending) != kPickleEndings.end()) {
        return unsupported(
            "{} is pickle, which is a program and is never read: convert the model "
            "to safetensors",
            path.filename().string());
    }
    if (head.starts_with("7z\xBC\xAF\x27\x1C")) {
        return unsupported("{} is a 7z archive, not a model file", path.filename().string());
    }
    return {};
}

Result<HfFolder> HfFolder::open(const std::filesystem::path& path) {
    std::error_code failed;
    if (!std::filesystem::is_directory(path, failed)) {
        return fail(ErrorCode::NotFound, "{} is no folder", path.filename().string());
    }
    HfFolder folder;
    folder.path_ = path;
    WEIR_TRY(folder.read_configs());
    WEIR_TRY(folder.open_shards());
    return folder;
}

Result<void> HfFolder::read_configs() {
    WEIR_TRY_ASSIGN(config_, read_object(path_ / "config.json", kConfigBytesMax));
    if (const json::Object* object = config_.if_object()) {
        WEIR_TRY_ASSIGN(eos_token_ids_, as_file_error(read_eos(*object), "config.json"));
        const json::Value* text = object->find("text_config");
        if (eos_token_ids_.empty() && text != nullptr && text->if_object() != nullptr) {
            WEIR_TRY_ASSIGN(eos_token_ids_,
                            as_file_error(read_eos(*text->if_object()), "config.json"));
        }
    }
    WEIR_TRY_ASSIGN(const json::Value generation,
                    read_object(path_ / "generation_config.json", kConfigBytesMax));
    if (const json::Object* object = generation.if_object()) {
        WEIR_TRY_ASSIGN(auto ids, as_file_error(read_eos(*object), "generation_config.json"));
        if (!ids.empty()) {
            eos_token_ids_ = std::move(ids);
        }
    }
    return {};
}

Result<void> HfFolder::open_shards() {
    WEIR_TRY_ASSIGN(const json::Value index,
                    read_object(path_ / "model.safetensors.index.json", kIndexBytesMax));
    if (!index.is_null()) {
        WEIR_TRY_ASSIGN(const ShardMap shards,
                        as_file_error(read_index(index), "model.safetensors.index.json"));
        for (const auto& [name, tensors] : shards) {
            WEIR_TRY_ASSIGN(shards_.emplace_back(), open_shard(path_ / name, tensors));
        }
        return refuse_duplicates(shards_);
    }
    if (is_there(path_ / "model.safetensors")) {
        WEIR_TRY_ASSIGN(shards_.emplace_back(), SafetensorsFile::open(path_ / "model.safetensors"));
        return {};
    }
    return refuse_pickle_only(path_);
}

Result<HfTokenizerFiles> HfFolder::read_tokenizer_files() const {
    HfTokenizerFiles files;
    WEIR_TRY_ASSIGN(files.tokenizer_json,
                    read_if_present(path_ / "tokenizer.json", kTokenizerBytesMax));
    if (files.tokenizer_json.empty()) {
        WEIR_TRY_ASSIGN(files.tokenizer_model, read_sentencepiece());
    }
    WEIR_TRY_ASSIGN(files.tokenizer_config_json,
                    read_if_present(path_ / "tokenizer_config.json", kTokenizerConfigBytesMax));
    return files;
}

Result<std::string> HfFolder::read_sentencepiece() const {
    return read_if_present(path_ / "tokenizer.model", kTokenizerBytesMax);
}

Result<std::optional<GgufFile>> HfFolder::open_tokenizer_gguf() const {
    const std::filesystem::path path = path_ / "tokenizer.gguf";
    if (is_there(path_ / "tokenizer.json") || is_there(path_ / "tokenizer.model") ||
        !is_there(path)) {
        return std::nullopt;
    }
    WEIR_TRY_ASSIGN(GgufFile file, GgufFile::open(path));
    return std::optional(std::move(file));
}

Result<HfTemplateFiles> HfFolder::read_template_files() const {
    HfTemplateFiles files;
    WEIR_TRY_ASSIGN(files.chat_template_jinja,
                    read_if_present(path_ / "chat_template.jinja", kTokenizerConfigBytesMax));
    WEIR_TRY_ASSIGN(files.tokenizer_config_json,
                    read_if_present(path_ / "tokenizer_config.json", kTokenizerConfigBytesMax));
    WEIR_TRY_ASSIGN(files.chat_template_json,
                    read_if_present(path_ / "chat_template.json", kTokenizerConfigBytesMax));
    WEIR_TRY_ASSIGN(files.tool_use_jinja,
                    read_if_present(path_ / "additional_chat_templates" / "tool_use.jinja",
                                    kTokenizerConfigBytesMax));
    return files;
}

}  // namespace weir::model
