#pragma once

#include <cstddef>
#include <span>

#include "model/layers/pass.h"

namespace weir::model {

// Multiplies the queries q [pass.rows, width] by what QueryTemperature says for their positions.
void heat(const Pass& pass, const QueryTemperature& temperature, size_t width, std::span<float> q);

}  // namespace weir::model
