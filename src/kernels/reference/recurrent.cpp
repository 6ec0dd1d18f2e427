#include <cmath>

#include "kernels/kernel_table.h"
#include "kernels/reference/exp.h"
#include "kernels/reference/rows.h"

namespace weir::kernels::reference {

void convolution_silu(const float* const* inputs, const float* weight, size_t weight_stride,
                      size_t taps, size_t count, float* out) {
    for (size_t c = 0; c < count; ++c) {
        float sum = 0.0f;
        for (size_t i = 0; i < taps; ++i) {
            sum = std::fma(inputs[i][c], weight[i * weight_stride + c], sum);
        }
        out[c] = sum / (1.0f + exp(-sum));
    }
}

void delta_rule(const DeltaPart& part) {
    for (size_t t = 0; t < part.tokens; ++t) {
        const float* q = part.q + t * part.stride;
        const float* k = part.k + t * part.stride;
        const float* v = part.v + t * part.stride;
        const float decay = part.decay[t * part.gate_stride];
        const float beta = part.beta[t * part.gate_stride];
        for (size_t j = 0; j < part.columns; ++j) {
            float known = 0.0f;
            for (size_t i = 0; i < part.key_dim; ++i) {
                known = std::fma(part.state[i * part.state_stride + j], k[i], known);
            }
            const float delta = beta * std::fma(-decay, known, v[j]);
            float sum = 0.0f;
            for (size_t i = 0; i < part.key_dim; ++i) {
                float& state = part.state[i * part.state_stride + j];
                state = std::fma(k[i], delta, decay * state);
                sum = std::fma(state, q[i], sum);
            }
            part.out[t * part.out_stride + j] = sum;
        }
    }
}

void sigmoid_mul(const float* gate, const float* x, size_t count, float* out) {
    for (size_t i = 0; i < count; ++i) {
        out[i] = x[i] / (1.0f + exp(-gate[i]));
    }
}

}  // namespace weir::kernels::reference
