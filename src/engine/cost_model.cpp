#include <algorithm>
#include <array>
#include <cmath>

#include "engine/scheduler.h"

namespace weir::engine {
namespace {

// Units in which the three terms are of similar size, so that the sums keep their digits.
constexpr double kTokenUnit = 100;
constexpr double kKeyUnit = 100'000;
constexpr double kFirstGuessPerToken = 0.002;  // until a step has been seen
constexpr int kSweeps = 64;

}  // namespace

CostModel::CostModel() : moments_{}, products_{} {
    // One imagined step, which a few real ones outweigh.
    observe(100, 0, 100 * kFirstGuessPerToken);
    cost_ = {.per_token = kFirstGuessPerToken};
}

// Minimises the weighted squared error over coefficients that are not negative, by coordinate
// descent: three unknowns, a convex problem, started from the last answer.
void CostModel::observe(uint64_t tokens, uint64_t keys, double seconds) {
    if (!std::isfinite(seconds) || seconds < 0) {
        return;
    }
    const double decay = std::exp2(-1 / kHalfLife);
    const std::array<double, 3> x = {1, static_cast<double>(tokens) / kTokenUnit,
                                     static_cast<double>(keys) / kKeyUnit};
    for (size_t i = 0; i < 3; ++i) {
        for (size_t j = 0; j < 3; ++j) {
            moments_[i][j] = moments_[i][j] * decay + x[i] * x[j];
        }
        products_[i] = products_[i] * decay + x[i] * seconds;
    }
    std::array<double, 3> w = {cost_.base, cost_.per_token * kTokenUnit, cost_.per_key * kKeyUnit};
    for (int sweep = 0; sweep < kSweeps; ++sweep) {
        for (size_t i = 0; i < 3; ++i) {
            double rest = products_[i];
            for (size_t j = 0; j < 3; ++j) {
                rest -= j == i ? 0 : moments_[i][j] * w[j];
            }
            w[i] = moments_[i][i] > 0 ? std::max(0.0, rest / moments_[i][i]) : 0.0;
        }
    }
    cost_ = {.base = w[0], .per_token = w[1] / kTokenUnit, .per_key = w[2] / kKeyUnit};
}

}  // namespace weir::engine
