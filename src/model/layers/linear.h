#pragma once

#include <span>

#include "kernels/activations.h"
#include "kernels/kernel_set.h"
#include "tensor/matrix_view.h"

namespace weir::model {

// y = weight x + bias
struct Linear {
    tensor::MatrixView weight;
    std::span<const float> bias;  // [weight.rows], or empty
};

// out [x.rows, linear.weight.rows] = linear of every row of x.
void multiply(const kernels::Compute& compute, const Linear& linear, kernels::Activations& x,
              std::span<float> out);

// Several of the same x at once, each with its own output.
struct LinearJob {
    const Linear* linear;
    std::span<float> out;
};
void multiply(const kernels::Compute& compute, kernels::Activations& x,
              std::span<const LinearJob> jobs);

}  // namespace weir::model
