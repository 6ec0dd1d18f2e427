#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "model/gguf.h"

namespace weir::model {

// What a GGUF file says about its tokenizer (`tokenizer.ggml.*`) and its chat templates. Types and
// counts are checked (scores and types: none, or one per token); what the values mean is the
// tokenizer's business.
//
// Ownership: all text is views into the file.
struct TokenizerMetadata {
    std::string_view model;  // "gpt2", "llama", …; "none": the file has no vocabulary
    std::string_view pre;
    std::vector<std::string_view> tokens;
    std::vector<float> scores;
    std::vector<int32_t> types;
    std::vector<std::string_view> merges;

    std::optional<uint32_t> bos_token_id;
    std::optional<uint32_t> eos_token_id;
    std::optional<uint32_t> eot_token_id;
    std::optional<uint32_t> eom_token_id;
    std::optional<uint32_t> unknown_token_id;
    std::optional<uint32_t> padding_token_id;
    std::optional<uint32_t> separator_token_id;
    std::optional<uint32_t> cls_token_id;
    std::optional<uint32_t> mask_token_id;

    std::optional<bool> add_bos_token;
    std::optional<bool> add_eos_token;
    std::optional<bool> add_sep_token;
    std::optional<bool> add_space_prefix;
    std::optional<bool> remove_extra_whitespaces;
    std::optional<bool> normalizer_lowercase;
    std::optional<bool> normalizer_strip_accents;
    std::span<const std::byte> precompiled_charsmap;

    std::string_view chat_template;
    // `tokenizer.chat_template.NAME`, sorted by name.
    std::vector<std::pair<std::string_view, std::string_view>> named_templates;
};

// Works on any architecture, and on a file without weights. 128k tokens take milliseconds: no text
// is copied.
Result<TokenizerMetadata> read_tokenizer_metadata(const GgufFile& file);

}  // namespace weir::model
