#pragma once

#include <span>
#include <vector>

#include "model/config.h"
#include "model/model.h"

namespace weir::model {

// Rotary position embeddings: pair i of a head at position p turns by the angle p * f[i].
//
//   none     f[i] = theta^(-2i/d), d the rotated dimensions
//   linear   f[i] / factor
//   llama3   f[i] / divisor[i], by the wavelength w = 2 pi / f[i]: 1 below original/high, factor
//            above original/low, between them 1 / ((1 - t) / factor + t) with
//            t = (original / w - low) / (high - low). GGUF stores the divisors (`rope_freqs`).
//   yarn     f[i] * (1 - ramp) + f[i] / factor * ramp, ramp[i] = clamp((i - lo) / (hi - lo), 0, 1),
//            lo = corr(beta_fast), hi = corr(beta_slow) rounded outwards,
//            corr(n) = d ln(original / (2 pi n)) / (2 ln theta); cosines and sines are multiplied
//            by the attention factor. Peng et al. 2023, "YaRN".
//   longrope f[i] / divisor[i], of one of two lists; cosines and sines are multiplied by the
//            attention factor, sqrt(1 + ln(s) / ln(original)) for s times the context.
//   proportional   theta^(-2i/head_dim) / factor for the first part of the pairs, 0 for the rest.

// Divisors that a file has as tensors. [rotary_dim / 2], or empty.
struct RopeTensors {
    std::span<const float> divisors;
    std::span<const float> short_divisors;  // longrope's
    std::span<const float> long_divisors;
};

class RopeFrequencies {
  public:
    static RopeFrequencies make(const RopeConfig& config, const RopeTensors& tensors,
                                RopeVariant variant = RopeVariant::Short);

    size_t pairs() const { return frequencies_.size(); }
    std::span<const double> frequencies() const { return frequencies_; }

    // cosines[i], sines[i] of pair i at `position`, scaling factors included. Angles are computed
    // in double: at 128k tokens a float32 product would be off by 0.004 radians.
    void fill(uint32_t position, std::span<float> cosines, std::span<float> sines) const;

  private:
    std::vector<double> frequencies_;
    double amplitude_ = 1;
};

// The divisors of llama3 scaling, in float32 as converters store them. [rotary_dim / 2]
std::vector<float> llama3_divisors(const Llama3Scaling& scaling, double theta, uint32_t rotary_dim);

// 0.1 * scale * ln(factor) + 1 where the factor stretches, else 1: YaRN's recommended temperature.
double yarn_mscale(double factor, double scale);

}  // namespace weir::model
