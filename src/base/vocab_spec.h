#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace weir {

// What a model file says about its tokenizer, as it says it: the fields are GGUF's
// `tokenizer.ggml.*`, and absent ones stay empty. Nothing here is checked;
// text::Tokenizer::from_spec does that, counts, types and ids included, so that a file's reader
// only has to fill it in. It stands in this room because the reader of files and the tokenizer do
// not know each other.
//
// Ownership: borrows all text; the file must outlive the call to from_spec, not the Tokenizer.
struct VocabSpec {
    std::string_view model;  // "gpt2", "llama", …
    std::string_view pre;    // selects the pre-tokenizer of a "gpt2" model
    std::vector<std::string_view> tokens;
    std::vector<float> scores;   // one per token, or none
    std::vector<int32_t> types;  // text::TokenType; one per token, or none
    std::vector<std::string_view> merges;

    std::optional<uint32_t> bos_token_id;
    std::optional<uint32_t> eos_token_id;
    std::optional<uint32_t> eot_token_id;
    std::optional<uint32_t> eom_token_id;
    std::optional<uint32_t> unknown_token_id;
    std::optional<uint32_t> padding_token_id;
    std::optional<uint32_t> separator_token_id;  // GGUF spells it "seperator_token_id"
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
};

}  // namespace weir
