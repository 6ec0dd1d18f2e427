#include "kernels/matmul.h"

#include <algorithm>

#include "base/check.h"
#include "kernels/kernel_table.h"
#include "kernels/thread_pool.h"

namespace weir::kernels {

namespace {

// The kernels work on up to 32 rows of weights at once, and on 64 when there are many activations.
constexpr size_t kGroupRows = 32;
constexpr size_t kPanelRows = 64;
constexpr size_t kFewActivations = 16;

MatmulFunction function_for(const KernelSet& kernels, tensor::DType dtype) {
    switch (dtype) {
        case tensor::DType::F32:
            return kernels.matmul_f32;
        case tensor::DType::F16:
            return kernels.matmul_f16;
        case tensor::DType::BF16:
            return kernels.matmul_bf16;
        case tensor::DType::Q8_0:
            return kernels.matmul_q8_0;
        case tensor::DType::Q4_0:
            return kernels.matmul_q4_0;
        case tensor::DType::Q4_K:
            return kernels.matmul_q4_k;
        case tensor::DType::Q6_K:
            return kernels.matmul_q6_k;
    }
    WEIR_ASSERT(false);
}

// Rows of weights in one part of the region. Several parts a thread, so that a thread that loses
// its core for a moment holds up the others only by one part; but each part starts with cold
// caches, which few activations feel more than many.
size_t rows_per_part(size_t rows, size_t activations, size_t threads) {
    const bool few = activations <= kFewActivations;
    const size_t unit = few ? kGroupRows : kPanelRows;
    const size_t wanted = rows / ((few ? 6 : 16) * threads);
    return std::max(kPanelRows, (wanted + unit - 1) / unit * unit);
}

}  // namespace

void matmul(const Compute& compute, Activations& x, std::span<const MatmulJob> jobs) {
    size_t rows = 0;
    for (const MatmulJob& job : jobs) {
        WEIR_ASSERT(job.weight.columns == x.columns());
        x.prepare(compute, job.weight.dtype);
        rows += job.weight.rows;
    }
    const ActivationForms& forms = jobs.empty() ? x.prepare(compute, tensor::DType::F32)
                                                : x.prepare(compute, jobs.front().weight.dtype);
    if (x.rows() == 0) {
        return;
    }
    // The jobs' rows one after the other, each job rounded up to whole parts.
    const size_t part = rows_per_part(rows, x.rows(), compute.pool.threads());
    size_t parts = 0;
    for (const MatmulJob& job : jobs) {
        parts += (job.weight.rows + part - 1) / part;
    }
    compute.pool.parallel_for(parts, 1, [&](size_t begin, size_t end) {
        for (size_t index = begin; index < end; ++index) {
            size_t local = index;
            for (const MatmulJob& job : jobs) {
                const size_t own = (job.weight.rows + part - 1) / part;
                if (local >= own) {
                    local -= own;
                    continue;
                }
                function_for(compute.kernels, job.weight.dtype)(
                    {reinterpret_cast<const uint8_t*>(job.weight.data), job.weight.row_stride,
                     local * part, std::min(job.weight.rows, (local + 1) * part), &forms, job.out,
                     job.out_stride});
                break;
            }
        }
    });
}

void matmul(const Compute& compute, const tensor::MatrixView& weight, Activations& x, float* out,
            size_t out_stride) {
    const MatmulJob job{weight, out, out_stride};
    matmul(compute, x, std::span(&job, 1));
}

}  // namespace weir::kernels
