#include "kernels/activations.h"

#include <cstdint>

#include "base/bytes.h"
#include "base/check.h"
#include "kernels/thread_pool.h"

namespace weir::kernels {

namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kBlock = 32;
constexpr size_t kSuperBlock = 256;

// Below this many elements a parallel region costs more than it saves.
constexpr size_t kSerialElements = 1 << 15;

// Both forms, one after the other, each array at a multiple of kAlignment.
struct ScratchPlan {
    size_t q8_values, q8_scales, q8_biases, q8k_values, q8k_scales, q8k_sums16, q8k_sums32, total;

    ScratchPlan(size_t rows, size_t columns) {
        size_t offset = 0;
        const auto take = [&](size_t count, size_t element_bytes) {
            const size_t at = offset;
            offset += align_up(rows * count * element_bytes, kAlignment);
            return at;
        };
        q8_values = take(columns, 1);
        q8_scales = take(columns / kBlock, sizeof(float));
        q8_biases = take(columns / kBlock, sizeof(int32_t));
        q8k_values = take(columns, 1);
        q8k_scales = take(columns / kSuperBlock, sizeof(float));
        q8k_sums16 = take(columns / 16, sizeof(int16_t));
        q8k_sums32 = take(columns / kBlock, sizeof(int16_t));
        total = offset + kAlignment;  // vector loads may read, and ignore, past the last array
    }
};

}  // namespace

size_t Activations::scratch_bytes(size_t rows, size_t columns) {
    return ScratchPlan(rows, columns).total;
}

Activations::Activations(const float* values, size_t rows, size_t columns,
                         std::span<std::byte> scratch)
    : values_(values), rows_(rows), columns_(columns) {
    const ScratchPlan plan(rows, columns);
    WEIR_ASSERT(scratch.size() >= plan.total);
    WEIR_ASSERT(reinterpret_cast<uintptr_t>(scratch.data()) % kAlignment == 0);
    const auto at = [&](size_t offset) {
        return static_cast<void*>(scratch.data() + offset);
    };
    q8_ = {static_cast<int8_t*>(at(plan.q8_values)), static_cast<float*>(at(plan.q8_scales)),
           static_cast<int32_t*>(at(plan.q8_biases))};
    q8k_ = {static_cast<int8_t*>(at(plan.q8k_values)), static_cast<float*>(at(plan.q8k_scales)),
            static_cast<int16_t*>(at(plan.q8k_sums16)), static_cast<int16_t*>(at(plan.q8k_sums32))};
    forms_ = {values_, q8_, q8k_, rows_, columns_};
}

const ActivationForms& Activations::prepare(const Compute& compute, tensor::DType weight) {
    switch (weight) {
        case tensor::DType::F32:
        case tensor::DType::F16:
        case tensor::DType::BF16:
        case tensor::DType::F8_E4M3:
        case tensor::DType::Q4_G128:
            break;
        case tensor::DType::Q8_0:
        case tensor::DType::Q4_0:
        case tensor::DType::Q4_1:
        case tensor::DType::Q5_0:
        case tensor::DType::Q5_1:
        case tensor::DType::IQ4_NL:
        case tensor::DType::MXFP4:
            if (!has_q8_) {
                quantize_q8(compute);
                has_q8_ = true;
            }
            break;
        case tensor::DType::Q2_K:
        case tensor::DType::Q3_K:
        case tensor::DType::Q4_K:
        case tensor::DType::Q5_K:
        case tensor::DType::Q6_K:
        case tensor::DType::IQ4_XS:
            if (!has_q8k_) {
                quantize_q8k(compute);
                has_q8k_ = true;
            }
            break;
    }
    return forms_;
}

void Activations::quantize_q8(const Compute& compute) {
    const size_t blocks = columns_ / kBlock;
    const auto rows = [&](size_t begin, size_t end) {
        for (size_t r = begin; r < end; ++r) {
            compute.kernels.quantize_q8(values_ + r * columns_, columns_, q8_.values + r * columns_,
                                        q8_.scales + r * blocks, q8_.biases + r * blocks);
        }
    };
    compute.pool.parallel_for(rows_, 1 + kSerialElements / columns_, rows);
}

void Activations::quantize_q8k(const Compute& compute) {
    const size_t blocks = columns_ / kSuperBlock;
    const auto rows = [&](size_t begin, size_t end) {
        for (size_t r = begin; r < end; ++r) {
            compute.kernels.quantize_q8k(values_ + r * columns_, columns_,
                                         q8k_.values + r * columns_, q8k_.scales + r * blocks,
                                         q8k_.sums16 + r * (columns_ / 16),
                                         q8k_.sums32 + r * (columns_ / kBlock));
        }
    };
    compute.pool.parallel_for(rows_, 1 + kSerialElements / columns_, rows);
}

}  // namespace weir::kernels
