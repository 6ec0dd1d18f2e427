#pragma once

#include <cstddef>
#include <span>

namespace weir::cli {

// The model inside this program (models/weir-tiny.gguf). Empty in builds that were made without.
std::span<const std::byte> embedded_model();

}  // namespace weir::cli
