#pragma once

#include <cstdint>

#include "base/vocab_spec.h"

namespace weir::text {

// GGUF's numbers for `tokenizer.ggml.token_type`.
enum class TokenType : int32_t {
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
};

}  // namespace weir::text
