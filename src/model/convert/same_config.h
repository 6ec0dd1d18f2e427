#pragma once

#include <string>

#include "base/result.h"
#include "model/config.h"

namespace weir::model {

// Whether two configs describe the same model, each by its file's format: Unsupported, naming the
// first thing that differs, "GGUF cannot say …". What the formats say by different means (order of
// rows, offsets of norms, who has a bias, frequencies as keys or as a tensor) is not compared.
// Numbers count as equal that differ by float32's rounding.
Result<void> check_same_config(const TransformerConfig& source, const TransformerConfig& made,
                               std::string_view format);

}  // namespace weir::model
