#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <span>
#include <string>

namespace weir::model {

// "[2, 3]", for an error message.
inline std::string shape_text(std::span<const uint64_t> shape) {
    return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ", "));
}

}  // namespace weir::model
