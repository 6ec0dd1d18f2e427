#include "model/layers/linear.h"

#include <array>

#include "base/check.h"
#include "kernels/matmul.h"
#include "kernels/row_ops.h"

namespace weir::model {

void multiply(const kernels::Compute& compute, const Linear& linear, kernels::Activations& x,
              std::span<float> out) {
    const LinearJob job{&linear, out};
    multiply(compute, x, std::span(&job, 1));
}

void multiply(const kernels::Compute& compute, kernels::Activations& x,
              std::span<const LinearJob> jobs) {
    std::array<kernels::MatmulJob, 4> products;
    WEIR_ASSERT(jobs.size() <= products.size());
    for (size_t i = 0; i < jobs.size(); ++i) {
        const tensor::MatrixView& weight = jobs[i].linear->weight;
        WEIR_ASSERT(jobs[i].out.size() >= x.rows() * weight.rows);
        products[i] = {weight, jobs[i].out.data(), weight.rows};
    }
    kernels::matmul(compute, x, std::span(products).first(jobs.size()));
    for (const LinearJob& job : jobs) {
        if (!job.linear->bias.empty()) {
            kernels::add_bias(compute, job.linear->bias, x.rows(), job.out.data());
        }
    }
}

}  // namespace weir::model
