#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "tensor/dtype.h"

namespace weir::model {

// A tensor type of the GGUF format. The table knows every type that the format has, so that a file
// is checked whole and a tensor in a type that this build cannot compute with is refused by name.
struct GgmlType {
    uint32_t id;
    std::string_view name;
    uint32_t block_elements;
    uint32_t block_bytes;

    // What the kernels call it; nothing if this build cannot compute with it.
    std::optional<tensor::DType> dtype() const { return tensor::dtype_from_ggml(id); }
};

// nullptr: no such type, or one that the format has dropped (4, 5, 31-33, 36-38).
const GgmlType* find_ggml_type(uint32_t id);

}  // namespace weir::model
