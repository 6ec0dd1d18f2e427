#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "cli/model_access.h"

namespace weir::cli {

enum class OutputForm : uint8_t { Text, Json };

// Architecture and exact memory plan of a model, from its headers.
Result<void> show(const ModelAccess& access, const std::string& model, OutputForm form);

}  // namespace weir::cli
