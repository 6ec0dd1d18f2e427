#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/gguf_output.h"
#include "model/load.h"

namespace weir::cli {

// Adds to a GGUF file's head what a folder says of its tokenizer, chat template and special tokens;
// nothing where the folder has no tokenizer. tokenizer.json goes in as it is
// (`tokenizer.huggingface.json`), for GGUF's own keys cannot say all of it; tokenizer.model as
// those keys. Unsupported for more tokens that end a text than the format has places for.
Result<void> add_folder_tokenizer(const model::ModelSource& source, model::GgufHead& head);

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
