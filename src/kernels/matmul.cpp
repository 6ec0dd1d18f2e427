#include "kernels/matmul.h"

#include <algorithm>
#include <array>

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
        case tensor::DType::Q4_1:
            return kernels.matmul_q4_1;
        case tensor::DType::Q5_0:
            return kernels.matmul_q5_0;
        case tensor::DType::Q5_1:
            return kernels.matmul_q5_1;
        case tensor::DType::Q2_K:
            return kernels.matmul_q2_k;
        case tensor::DType::Q3_K:
            return kernels.matmul_q3_k;
        case tensor::DType::Q5_K:
            return kernels.matmul_q5_k;
        case tensor::DType::IQ4_NL:
            return kernels.matmul_iq4_nl;
        case tensor::DType::IQ4_XS:
            return kernels.matmul_iq4_xs;
        case tensor::DType::MXFP4:
            return kernels.matmul_mxfp4;
        case tensor::DType::Q4_G128:
            return kernels.matmul_q4_g128;
        case tensor::DType::F8_E4M3:
            return kernels.matmul_f8_e4m3;
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

// The most jobs in one parallel region: their places are looked up on the stack.
constexpr size_t kRegionJobs = 64;

size_t rows_of(const MatmulJob& job, const Activations& x) {
    return job.rows == MatmulJob::kAllRows ? x.rows() - job.first_row : job.rows;
}

// At most kRegionJobs jobs in one region, as the jobs' rows one after the other, each job rounded
// up to whole parts.
void run_region(const Compute& compute, Activations& x, std::span<const MatmulJob> jobs,
                size_t part) {
    const ActivationForms& all = x.prepare(compute, jobs.front().weight.dtype);
    std::array<size_t, kRegionJobs + 1> starts{};  // the number of each job's first part
    for (size_t j = 0; j < jobs.size(); ++j) {
        starts[j + 1] = starts[j] + (jobs[j].weight.rows + part - 1) / part;
    }
    const auto last = starts.begin() + static_cast<std::ptrdiff_t>(jobs.size());
    compute.pool.parallel_for(*last, 1, [&](size_t begin, size_t end) {
        for (size_t index = begin; index < end; ++index) {
            const auto after = std::upper_bound(starts.begin(), last, index);
            const auto number = static_cast<size_t>(after - starts.begin()) - 1;
            const MatmulJob& job = jobs[number];
            const size_t local = index - starts[number];
            const ActivationForms forms = all.slice(job.first_row, rows_of(job, x));
            function_for(compute.kernels, job.weight.dtype)(
                {.weight = reinterpret_cast<const uint8_t*>(job.weight.data),
                 .weight_stride = job.weight.row_stride,
                 .begin = local * part,
                 .end = std::min(job.weight.rows, (local + 1) * part),
                 .x = &forms,
                 .out = job.out,
                 .out_stride = job.out_stride,
                 .scales = job.weight.scales.data,
                 .scales_stride = job.weight.scales.stride,
                 .scales_first_row = job.weight.scales.first_row});
        }
    });
}

}  // namespace

void matmul(const Compute& compute, Activations& x, std::span<const MatmulJob> jobs) {
    size_t weight_rows = 0;
    size_t activations = 0;
    for (const MatmulJob& job : jobs) {
        WEIR_ASSERT(job.weight.columns == x.columns());
        WEIR_ASSERT(job.first_row <= x.rows() && rows_of(job, x) <= x.rows() - job.first_row);
        x.prepare(compute, job.weight.dtype);
        weight_rows += job.weight.rows;
        activations = std::max(activations, rows_of(job, x));
    }
    if (activations == 0) {
        return;
    }
    const size_t part = rows_per_part(weight_rows, activations, compute.pool.threads());
    for (size_t at = 0; at < jobs.size(); at += kRegionJobs) {
        run_region(compute, x, jobs.subspan(at, std::min(kRegionJobs, jobs.size() - at)), part);
    }
}

void matmul(const Compute& compute, const tensor::MatrixView& weight, Activations& x, float* out,
            size_t out_stride) {
    const MatmulJob job{.weight = weight, .out = out, .out_stride = out_stride};
    matmul(compute, x, std::span(&job, 1));
}

}  // namespace weir::kernels
