#pragma once

#include <span>
#include <string_view>

#include "base/result.h"
#include "model/config.h"

namespace weir::model {

class GgufConfig;
class JsonConfig;

// What is particular to one family of models. The common part of a configuration has been read
// when these are called; they read the family's own keys and set what no key says. Each family's
// file begins with its formulas; decoder.cpp computes them.
struct Family {
    std::span<const std::string_view> gguf_architectures;
    std::span<const std::string_view> model_types;  // of config.json
    Result<void> (*finish_gguf)(GgufConfig& in, TransformerConfig& out);
    Result<void> (*finish_json)(JsonConfig& in, TransformerConfig& out);
};

const Family& llama_family();
const Family& qwen2_family();
const Family& qwen3_family();

// nullptr: a family that this build does not know.
const Family* find_family_of_gguf(std::string_view architecture);
const Family* find_family_of_json(std::string_view model_type);

}  // namespace weir::model
