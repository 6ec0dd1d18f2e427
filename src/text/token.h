#pragma once

#include <cstdint>

namespace weir::text {

// A token's place in the vocabulary. A plain integer, because it indexes rows of embeddings and
// logits everywhere below.
using TokenId = uint32_t;

}  // namespace weir::text
