#pragma once

#include <cstdint>

namespace weir {

// The number of a token in a model's vocabulary.
using TokenId = uint32_t;

}  // namespace weir
