#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/check.h"

namespace weir::model {

namespace {

constexpr double kTwoPi = 2 * std::numbers::pi;

double base_frequency(double theta, uint32_t rotary_dim, size_t pair) {
    return std::pow(theta, -2.0 * static_cast<double>(pair) / static_cast<double>(rotary_dim));
}

// How far pair i is interpolated: 0 not at all, 1 wholly.
class YarnRamp {
  public:
    YarnRamp(const YarnScaling& scaling, double theta, uint32_t rotary_dim) {
        const double dim = rotary_dim;
        const auto correction = [&](double rotations) {
            return dim * std::log(scaling.original_context / (kTwoPi * rotations)) /
                   (2 * std::log(theta));
        };
        double low = correction(scaling.beta_fast);
        double high = correction(scaling.beta_slow);
        if (scaling.truncate) {
            low = std::floor(low);
            high = std::ceil(high);
        }
        low_ = std::max(low, 0.0);
        span_ = std::max(std::min(high, dim - 1) - low_, 0.001);
    }

    double at(size_t pair) const {
        return std::clamp((static_cast<double>(pair) - low_) / span_, 0.0, 1.0);
    }

  private:
    double low_ = 0;
    double span_ = 1;
};

}  // namespace

double yarn_mscale(double factor, double scale) {
    return factor > 1 ? 0.1 * scale * std::log(factor) + 1 : 1;
}

std::vector<float> llama3_divisors(const Llama3Scaling& scaling, double theta,
                                   uint32_t rotary_dim) {
    const double original = scaling.original_context;
    const double low = scaling.low_freq_factor;
    const double high = scaling.high_freq_factor;
    std::vector<float> divisors(rotary_dim / 2);
    for (size_t i = 0; i < divisors.size(); ++i) {
        const double wavelength = kTwoPi / base_frequency(theta, rotary_dim, i);
        double divisor = scaling.factor;
        if (wavelength < original / high) {
            divisor = 1;
        } else if (wavelength <= original / low && high > low) {  // else there is no middle band
            const double t = (original / wavelength - low) / (high - low);
            divisor = 1 / ((1 - t) / scaling.factor + t);
        }
        divisors[i] = static_cast<float>(divisor);
    }
    return divisors;
}

namespace {

std::vector<float> divisors_of(const RopeConfig& config, const RopeTensors& tensors,
                               RopeVariant variant) {
    if (const auto* llama3 = std::get_if<Llama3Scaling>(&config.scaling)) {
        return llama3_divisors(*llama3, config.theta, config.rotary_dim);
    }
    const auto* longrope = std::get_if<LongropeScaling>(&config.scaling);
    if (longrope == nullptr) {
        return {tensors.divisors.begin(), tensors.divisors.end()};
    }
    const bool is_long = variant == RopeVariant::Long;
    const auto& own = is_long ? longrope->long_divisors : longrope->short_divisors;
    const auto stored = is_long ? tensors.long_divisors : tensors.short_divisors;
    return own.empty() ? std::vector<float>(stored.begin(), stored.end()) : own;
}

double attention_factor(const RopeScaling& scaling) {
    if (const auto* yarn = std::get_if<YarnScaling>(&scaling)) {
        return yarn->attention_factor;
    }
    const auto* longrope = std::get_if<LongropeScaling>(&scaling);
    return longrope == nullptr ? 1 : longrope->attention_factor;
}

}  // namespace

RopeFrequencies RopeFrequencies::make(const RopeConfig& config, const RopeTensors& tensors,
                                      RopeVariant variant) {
    const std::vector<float> divisors = divisors_of(config, tensors, variant);
    WEIR_ASSERT(divisors.empty() || divisors.size() == config.rotary_dim / 2);
    RopeFrequencies rope;
    rope.amplitude_ = attention_factor(config.scaling);
    rope.frequencies_.resize(config.rotary_dim / 2);
    for (size_t i = 0; i < rope.frequencies_.size(); ++i) {
        const double frequency = base_frequency(config.theta, config.rotary_dim, i);
        rope.frequencies_[i] =
            divisors.empty() ? frequency : frequency / static_cast<double>(divisors[i]);
    }
    if (const auto* linear = std::get_if<LinearScaling>(&config.scaling)) {
        for (double& frequency : rope.frequencies_) {
            frequency /= linear->factor;
        }
    }
    if (const auto* yarn = std::get_if<YarnScaling>(&config.scaling)) {
        const YarnRamp ramp(*yarn, config.theta, config.rotary_dim);
        for (size_t i = 0; i < rope.frequencies_.size(); ++i) {
            const double own = rope.frequencies_[i];
            rope.frequencies_[i] = own * (1 - ramp.at(i)) + own / yarn->factor * ramp.at(i);
        }
    }
    if (const auto* proportional = std::get_if<ProportionalScaling>(&config.scaling)) {
        const auto turning =
            static_cast<size_t>(proportional->part * (config.rotary_dim / 2));  // rounded down
        for (size_t i = 0; i < rope.frequencies_.size(); ++i) {
            rope.frequencies_[i] = i < turning ? rope.frequencies_[i] / proportional->factor : 0;
        }
    }
    return rope;
}

void RopeFrequencies::fill(uint32_t position, std::span<float> cosines,
                           std::span<float> sines) const {
    WEIR_ASSERT(cosines.size() == pairs() && sines.size() == pairs());
    for (size_t i = 0; i < pairs(); ++i) {
        const double angle = position * frequencies_[i];
        cosines[i] = static_cast<float>(std::cos(angle) * amplitude_);
        sines[i] = static_cast<float>(std::sin(angle) * amplitude_);
    }
}

}  // namespace weir::model
