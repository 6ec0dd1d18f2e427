#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/kernel_set.h"
#include "model/moe_config.h"

namespace weir::model {

// An expert that a row goes to, and what its output is multiplied with.
struct Choice {
    uint32_t expert = 0;
    float weight = 0;
};

// Floats of scratch that route needs.
constexpr size_t route_scratch(const RouterRule& rule) {
    return 3 * size_t{rule.experts};
}

// Chooses the experts of one row, by its logits alone.
//
//   score[e]  = softmax(logits)[e] or sigmoid(logits[e])
//   groups    the groups_chosen best by the largest, or the sum of the two largest, of
//             score + bias of their members; the experts of the others are out
//   chosen    the best by score + bias (without a bias by the logits, whose order is the same but
//             for roundings)
//   weight[e] = score[e], divided by the sum of the chosen ones' where that is the rule, times
//             scale. The bias is in no weight.
//
// Ties go to the lower number, in groups as in experts, and a NaN is above all numbers: so a row
// that holds one goes to experts whose weight is NaN, and is spoiled instead of wrong. `out`
// [rule.chosen] is in ascending order of experts, which is the order in which their outputs are
// added and weights are summed.
//
// `bias` [experts] or empty; `scratch` [route_scratch(rule)].
void route(const kernels::Compute& compute, const RouterRule& rule, std::span<const float> logits,
           std::span<const float> bias, std::span<float> scratch, std::span<Choice> out);

}  // namespace weir::model
