#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/gguf_output.h"
#include "model/load.h"

namespace weir::cli {

// What whoever converts should know, in a line.
using Warning = std::optional<std::string>;

// Adds to a GGUF file's head what a folder says of its tokenizer, chat template and special tokens;
// nothing where the folder has no tokenizer. tokenizer.json or tokenizer.model goes in as it is
// (`tokenizer.huggingface.json` or `.sentencepiece`), for GGUF's own keys cannot say all of it;
// Weir reads that. Beside it stand those keys, for other programs; a warning where they say less.
// Unsupported for more tokens that end a text than the format has places for.
Result<Warning> add_folder_tokenizer(const model::ModelSource& source, model::GgufHead& head);
void print_warning(const Warning& warning);  // on stderr

// What a folder made of a GGUF file says of its tokenizer: the texts of files, empty where there is
// none. A tokenizer that came from a folder is as it was there; another one stays in GGUF's form,
// in a file without tensors.
struct FolderTexts {
    std::string tokenizer_json;
    std::string tokenizer_model;
    std::string tokenizer_config_json;
    std::string chat_template;
    std::string generation_config_json;
    std::vector<std::byte> tokenizer_gguf;
};
Result<FolderTexts> folder_texts_of(const model::ModelSource& source);

}  // namespace weir::cli
