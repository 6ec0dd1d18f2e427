#include "model/layers/temperature.h"

#include <cmath>

namespace weir::model {

void heat(const Pass& pass, const QueryTemperature& temperature, size_t width, std::span<float> q) {
    for (size_t r = 0; r < pass.rows; ++r) {
        const uint64_t steps =
            (uint64_t{pass.positions[r]} + temperature.shift) / temperature.length;
        const double factor = 1 + temperature.beta * std::log1p(static_cast<double>(steps));
        if (factor != 1) {
            kernels::scale(pass.compute, static_cast<float>(factor), width, q.data() + r * width);
        }
    }
}

}  // namespace weir::model
