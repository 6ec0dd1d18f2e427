#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "kernels/row_ops.h"

namespace weir::model {

inline constexpr uint32_t kExpertsMax = 4096;
inline constexpr uint32_t kExpertsChosenMax = 64;
inline constexpr uint32_t kExpertGroupsMax = 64;

// What a router makes of its logits.
enum class RouterScore : uint8_t {
    Softmax,          // over all experts; experts are weighted by it
    Sigmoid,          // of each logit by itself
    SoftmaxOfChosen,  // chosen by logits, weighted by the softmax over those chosen
    SigmoidOfChosen,  // chosen by logits, weighted by the sigmoid of each
};

// What groups of experts are chosen by.
enum class GroupScore : uint8_t { Largest, SumOfTwoLargest };

// How a row's experts are chosen and weighted; layers/router.h has the formulas.
struct RouterRule {
    uint32_t experts = 0;
    uint32_t chosen = 0;
    RouterScore score = RouterScore::Softmax;

    // Experts in groups of one size, of which only the best are looked at.
    uint32_t groups = 1;
    uint32_t groups_chosen = 1;
    GroupScore group_score = GroupScore::Largest;

    bool normalize = false;  // weights are divided by their sum plus normalize_epsilon
    float normalize_epsilon = 0;
    float scale = 1;  // of the weights

    Result<void> validate() const;
};

// How a packed tensor of all experts' matrices lies in safetensors (GGUF is always OutIn).
enum class ExpertRows : uint8_t {
    OutIn,             // gate_up [experts, 2 * width, hidden]: the gate's rows, then the other's
    InOut,             // gate_up [experts, hidden, 2 * width], in halves; down [experts, width, …]
    InOutInterleaved,  // the same, gate and other by turns; as blocks of MXFP4 the output outermost
};

// A mixture of experts in place of the feed-forward layer.
struct MoeConfig {
    RouterRule router;
    bool router_bias = false;     // on the logits
    bool selection_bias = false;  // on the scores, for the choice only

    uint32_t width = 0;  // of one expert
    ExpertRows rows = ExpertRows::OutIn;
    bool expert_bias = false;
    std::optional<kernels::SwigluClamp> clamp;  // else the layer's activation
    bool scale_input = false;  // the weight multiplies an expert's input, not its output

    uint32_t shared_width = 0;  // of the expert that everybody takes; 0: none
    bool shared_gate = false;   // which is multiplied by the sigmoid of a logit of its own

    std::vector<bool> layers;  // [layers] that have experts; the others are dense

    // Against a model of so many layers.
    Result<void> validate(uint32_t layer_count) const;
};

}  // namespace weir::model
