#include "model/convert/hf_ropes.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/rope.h"

namespace weir::model {

namespace {

using json::Array;
using json::Object;
using json::Value;

// As the parser has whole numbers.
Value whole(uint64_t number) {
    return static_cast<int64_t>(number);
}

std::vector<float> floats_of(const StoredTensor& tensor) {
    std::vector<float> out(tensor.bytes.size() / sizeof(float));
    std::memcpy(out.data(), tensor.bytes.data(), out.size() * sizeof(float));
    return out;
}

class RopesWriter {
  public:
    RopesWriter(const TransformerConfig& config, const TensorIndex& index)
        : config_(config), index_(index) {}

    Result<Object> write() const {
        Object out;
        if (is("bert")) {
            return out;
        }
        const RopeConfig& rope = config_.ropes.front();
        WEIR_TRY_ASSIGN(Object scaling, scaling_json(rope));
        if (is("gemma4")) {
            scaling.set("rope_theta", Value(rope.theta));
            Object local;
            local.set("rope_type", Value("default"));
            local.set("rope_theta", Value(config_.ropes[1].theta));
            Object both;
            both.set("full_attention", Value(std::move(scaling)));
            both.set("sliding_attention", Value(std::move(local)));
            out.set("rope_parameters", Value(std::move(both)));
            return out;
        }
        out.set("rope_theta", Value(rope.theta));
        if (config_.ropes.size() > 1) {
            out.set("rope_local_base_freq", Value(config_.ropes[1].theta));
        }
        if (is("mistral3") && config_.temperature) {
            scaling.set("llama_4_scaling_beta", Value(config_.temperature->beta));
            scaling.set("original_max_position_embeddings", whole(config_.temperature->length));
        }
        out.set("rope_scaling", scaling.empty() ? Value() : Value(std::move(scaling)));
        if (rope.rotary_dim != config_.head_dim && !config_.latent) {
            out.set("partial_rotary_factor",
                    Value(static_cast<double>(rope.rotary_dim) / config_.head_dim));
        } else if (is("stablelm") || config_.delta_net) {
            out.set("partial_rotary_factor", Value(1.0));
        }
        return out;
    }

  private:
    bool is(std::string_view architecture) const { return config_.architecture == architecture; }

    Result<Object> scaling_json(const RopeConfig& rope) const {
        Object out;
        if (const auto* linear = std::get_if<LinearScaling>(&rope.scaling)) {
            out.set("rope_type", Value("linear"));
            out.set("factor", Value(linear->factor));
        } else if (const auto* yarn = std::get_if<YarnScaling>(&rope.scaling)) {
            write_yarn(*yarn, out);
        } else if (const auto* longrope = std::get_if<LongropeScaling>(&rope.scaling)) {
            WEIR_TRY(write_longrope(*longrope, out));
        } else if (const StoredTensor* divisors = index_.find("rope_freqs.weight")) {
            WEIR_TRY(is("gemma4") ? write_proportional(*divisors, rope, out)
                                  : write_llama3(*divisors, rope, out));
        } else if (is("mistral3") && config_.temperature) {
            out.set("rope_type", Value("default"));
        }
        return out;
    }

    void write_yarn(const YarnScaling& yarn, Object& out) const {
        out.set("rope_type", Value("yarn"));
        out.set("factor", Value(yarn.factor));
        out.set("original_max_position_embeddings", whole(yarn.original_context));
        out.set("beta_fast", Value(yarn.beta_fast));
        out.set("beta_slow", Value(yarn.beta_slow));
        out.set("truncate", Value(yarn.truncate));
        if (!config_.latent) {
            out.set("attention_factor", Value(yarn.attention_factor));
            return;
        }
        const double m =
            std::sqrt(config_.attention_scale * std::sqrt(static_cast<double>(config_.head_dim)));
        const double mscale = yarn.factor > 1 ? 10 * (m - 1) / std::log(yarn.factor) : 0;
        const double rounded = std::round(mscale * 1e6) / 1e6;  // it was float32 on the way
        out.set("mscale", Value(rounded));
        out.set("mscale_all_dim", Value(rounded));
        out.set("attention_factor", Value(yarn.attention_factor));
    }

    Result<void> write_longrope(const LongropeScaling& longrope, Object& out) const {
        out.set("rope_type", Value("longrope"));
        out.set("original_max_position_embeddings", whole(longrope.original_context));
        out.set("attention_factor", Value(longrope.attention_factor));
        const std::pair<const char*, const char*> lists[] = {
            {"short_factor", "rope_factors_short.weight"},
            {"long_factor", "rope_factors_long.weight"}};
        for (const auto& [name, tensor_name] : lists) {
            const StoredTensor* tensor = index_.find(tensor_name);
            if (tensor == nullptr || tensor->dtype != tensor::DType::F32) {
                return unsupported("tensor {}: it has to be there, as F32", tensor_name);
            }
            Array list;
            for (const float divisor : floats_of(*tensor)) {
                list.emplace_back(double{divisor});
            }
            out.set(name, Value(std::move(list)));
        }
        return {};
    }

    // The first so many pairs turn, the others do not.
    static Result<void> write_proportional(const StoredTensor& tensor, const RopeConfig& rope,
                                           Object& out) {
        const std::vector<float> divisors = floats_of(tensor);
        size_t turning = 0;
        while (turning < divisors.size() && divisors[turning] == divisors[0] &&
               divisors[0] < 1e20f) {
            ++turning;
        }
        if (tensor.dtype != tensor::DType::F32 || divisors.size() != rope.rotary_dim / 2 ||
            !std::all_of(divisors.begin() + static_cast<std::ptrdiff_t>(turning), divisors.end(),
                         [](float divisor) { return divisor > 1e20f; })) {
            return unsupported("tensor {}: divisors that no rope scaling of this family makes",
                               tensor.name);
        }
        out.set("rope_type", Value("proportional"));
        out.set("partial_rotary_factor",
                Value(static_cast<double>(turning) / static_cast<double>(divisors.size())));
        out.set("factor", Value(turning == 0 ? 1.0 : double{divisors[0]}));
        return {};
    }

    // Four numbers make the list; three of them can be multiplied by the same, so the second is 1.
    // What is guessed from the list counts only if it gives the list again, to the bit.
    static Result<void> write_llama3(const StoredTensor& tensor, const RopeConfig& rope,
                                     Object& out) {
        const std::vector<float> divisors = floats_of(tensor);
        if (tensor.dtype == tensor::DType::F32 && divisors.size() == rope.rotary_dim / 2 &&
            !divisors.empty()) {
            const double factor = double{*std::ranges::max_element(divisors)};
            for (const auto& [high, original] : candidates(divisors, factor, rope)) {
                const Llama3Scaling guess{.factor = factor,
                                          .low_freq_factor = 1,
                                          .high_freq_factor = high,
                                          .original_context = original};
                if (llama3_divisors(guess, rope.theta, rope.rotary_dim) == divisors) {
                    out.set("rope_type", Value("llama3"));
                    out.set("factor", Value(factor));
                    out.set("low_freq_factor", Value(1.0));
                    out.set("high_freq_factor", Value(high));
                    out.set("original_max_position_embeddings", whole(original));
                    return {};
                }
            }
        }
        return unsupported("tensor {}: divisors that no rope scaling of config.json makes",
                           tensor.name);
    }

    static std::vector<std::pair<double, uint32_t>> candidates(const std::vector<float>& divisors,
                                                               double factor,
                                                               const RopeConfig& rope) {
        std::vector<std::pair<double, uint32_t>> out;
        const auto add = [&](double high, double original) {
            if (high > 1 && original >= 1 && original <= kContextMax) {
                out.emplace_back(high, static_cast<uint32_t>(std::lround(original)));
            }
        };
        // In the middle band 1 / divisor = (1 - t) / factor + t, t = (original / wave - 1) / (high
        // - 1): a line in 1 / wave.
        std::vector<std::pair<double, double>> middle;  // 1 / wave, t
        for (size_t i = 0; i < divisors.size(); ++i) {
            const double divisor = double{divisors[i]};
            const double frequency = std::pow(
                rope.theta, -2.0 * static_cast<double>(i) / static_cast<double>(rope.rotary_dim));
            if (divisor > 1 && divisor < factor) {
                middle.emplace_back(frequency / (2 * 3.14159265358979323846),
                                    (1 / divisor - 1 / factor) / (1 - 1 / factor));
            }
        }
        for (const auto& [inverse, t] : middle) {
            for (const double high : {4.0, 2.0, 8.0}) {
                add(high, (t * (high - 1) + 1) / inverse);
            }
        }
        if (middle.size() > 1) {
            const auto& [x0, t0] = middle.front();
            const auto& [x1, t1] = middle.back();
            const double slope = (t1 - t0) / (x1 - x0);  // original / (high - 1)
            const double high = 1 - 1 / (t0 - slope * x0);
            add(std::round(high), slope * (std::round(high) - 1));
            add(high, slope * (high - 1));
        }
        for (uint32_t original = 1; original <= (1u << 20); original *= 2) {
            add(4, original);
        }
        return out;
    }

    const TransformerConfig& config_;
    const TensorIndex& index_;
};

}  // namespace

Result<json::Object> ropes_json_of(const TransformerConfig& config, const TensorIndex& index) {
    return RopesWriter(config, index).write();
}

}  // namespace weir::model
