#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "json/value.h"
#include "model/gguf.h"
#include "model/safetensors.h"

namespace weir::model {

// The text of the files that describe a folder's tokenizer, as they are; empty if absent.
struct HfTokenizerFiles {
    std::string tokenizer_json;
    std::string tokenizer_model;  // SentencePiece, binary; read only where there is no .json
    std::string tokenizer_config_json;
};

// The places where a folder may have its chat template; empty if absent.
struct HfTemplateFiles {
    std::string chat_template_jinja;    // the template itself
    std::string tokenizer_config_json;  // "chat_template" in it
    std::string chat_template_json;     // the same, beside models that see images
    std::string tool_use_jinja;         // another one, for conversations with tools
};

// A Hugging Face model folder: config.json, generation_config.json, and one or several
// .safetensors. A folder may lack the weights, and then the config too (a tokenizer alone).
//
// Never read: pickle (.bin, .pt, .pth, .ckpt), which is a program, and the Python that `auto_map`
// names; a folder that has only those is refused.
//
// Threads: immutable once opened. Ownership: owns its mappings.
class HfFolder {
  public:
    static Result<HfFolder> open(const std::filesystem::path& path);

    bool has_weights() const { return !shards_.empty(); }
    const std::vector<SafetensorsFile>& shards() const { return shards_; }

    // config.json, parsed; nothing if the folder has none.
    const json::Object* config() const { return config_.if_object(); }

    // Ids that end a text: generation_config.json's eos_token_id (a number or a list), else
    // config.json's, else its text_config's. Empty if none says.
    const std::vector<uint32_t>& eos_token_ids() const { return eos_token_ids_; }

    // Read what there is: tokenizers up to 256 MiB, everything else up to 16 MiB.
    Result<HfTokenizerFiles> read_tokenizer_files() const;
    Result<HfTemplateFiles> read_template_files() const;
    // tokenizer.model, also beside a tokenizer.json; empty if absent.
    Result<std::string> read_sentencepiece() const;

    // tokenizer.gguf, where neither tokenizer.json nor tokenizer.model is there: a GGUF file whose
    // `tokenizer.*` keys describe the tokenizer.
    Result<std::optional<GgufFile>> open_tokenizer_gguf() const;

  private:
    Result<void> open_shards();
    Result<void> read_configs();

    std::filesystem::path path_;
    json::Value config_;
    std::vector<uint32_t> eos_token_ids_;
    std::vector<SafetensorsFile> shards_;
};

// Refuses, by its first bytes, what is no model file that Weir reads: pickle, zip (PyTorch), 7z.
Result<void> refuse_foreign_format(const std::filesystem::path& path);

}  // namespace weir::model
