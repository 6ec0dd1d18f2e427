#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "model/layers/pass.h"
#include "model/layers/router.h"

namespace weir::model {

class WeightBinder;

// The gated feed-forward layers of one mixture: act(gate x) * up x, then down.
struct Expert {
    tensor::MatrixView gate;  // [width, hidden]
    tensor::MatrixView up;    // [width, hidden]
    tensor::MatrixView down;  // [hidden, width]
};

struct ExpertBank {
    std::vector<Expert> experts;
    std::span<const float> gate_bias;  // [experts, width], or empty
    std::span<const float> up_bias;    // [experts, width], or empty
    std::span<const float> down_bias;  // [experts, hidden], or empty
    Activation activation = Activation::Silu;
    std::optional<kernels::SwigluClamp> clamp;  // instead of the activation
    bool scale_input = false;                   // the weight multiplies the input, not the output

    size_t hidden() const { return experts.front().down.rows; }
    size_t width() const { return experts.front().gate.rows; }
};

// The experts' matrices in whichever form the file has them: stacked ("ffn_gate_exps", …), gate and
// up in one ("ffn_gate_up_exps"), one by one ("ffn_gate.0", …). Where the input dimension is
// outermost, a copy is turned.
Result<ExpertBank> bind_experts(WeightBinder& in, const TransformerConfig& config,
                                const MoeConfig& moe);

// Scratch for run_experts over `rows` rows that take `chosen` experts each.
uint64_t expert_scratch_bytes(const ExpertBank& bank, size_t rows, size_t chosen);

// out[r] += sum over the row's choices of weight * expert(x[r]), in the order of the choices, which
// must be ascending in experts. x and out are [pass.rows, hidden], choices [pass.rows, chosen].
//
// The rows that come to one expert are gathered and computed as one product. Every element of it
// is reduced as if the row were alone (kernels/matmul.h), and rows take their experts' outputs one
// after the other in ascending order: so company changes nothing.
void run_experts(const Pass& pass, const ExpertBank& bank, std::span<const float> x,
                 std::span<const Choice> choices, size_t chosen, std::span<float> out);

}  // namespace weir::model
