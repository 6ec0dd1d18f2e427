#include "model/layers/norm.h"

#include "kernels/row_ops.h"

namespace weir::model {

void apply(const kernels::Compute& compute, const Norm& norm, const float* x, size_t rows,
           size_t columns, float* out) {
    switch (norm.kind) {
        case NormKind::Rms:
            kernels::rms_norm(compute, x, rows, columns, norm.weight, norm.epsilon, out);
            break;
        case NormKind::Layer:
            kernels::layer_norm(compute, x, rows, columns, norm.weight, norm.epsilon, out);
            break;
    }
    if (!norm.bias.empty()) {
        kernels::add_bias(compute, norm.bias, rows, out);
    }
}

}  // namespace weir::model
