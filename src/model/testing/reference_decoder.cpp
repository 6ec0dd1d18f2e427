#include "model/testing/reference_decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <numbers>
#include <string>
#include <utility>

#include "model/testing/tiny_families.h"

namespace weir::model::testing {

namespace {

using Vector = std::vector<double>;

class Reference {
  public:
    explicit Reference(const TinyModel& model) : model_(model), traits_(tiny_traits(model.family)) {
        for (TinyTensor& tensor : tiny_tensors(model)) {
            tensors_[tensor.name] = std::move(tensor);
        }
    }

    std::vector<Vector> run(const std::vector<TokenId>& tokens) {
        length_ = tokens.size();
        std::vector<Vector> x;
        for (const TokenId token : tokens) {
            const auto row = tensors_.at("token_embd.weight").values.begin() +
                             static_cast<std::ptrdiff_t>(token * model_.hidden);
            x.emplace_back(row, row + model_.hidden);
            scale(x.back(), traits_.embedding_scale);
            if (traits_.per_layer_width != 0) {
                inputs_.push_back(layer_inputs(token, x.back()));
            }
        }
        for (layer_ = 0; layer_ < model_.layers; ++layer_) {
            prefix_ = fmt::format("blk.{}.", layer_);
            block(x);
        }
        prefix_.clear();
        std::vector<Vector> logits;
        for (const Vector& row : x) {
            const bool tied = !tensors_.contains("output.weight");
            logits.push_back(linear(tied ? "token_embd" : "output", norm("output_norm", row)));
            scale(logits.back(), traits_.logit_scale);
            for (double& value : logits.back()) {
                value = capped(value, traits_.logit_cap);
            }
        }
        return logits;
    }

  private:
    void block(std::vector<Vector>& x) {
        std::vector<Vector> normed;
        for (const Vector& row : x) {
            normed.push_back(norm("attn_norm", row));
        }
        const std::vector<Vector> mixed = attention(normed);
        for (size_t t = 0; t < x.size(); ++t) {
            Vector out = linear("attn_output", mixed[t]);
            if (traits_.parallel) {
                add(out, feed_forward(normed[t]));
                add(x[t], out);
                continue;
            }
            add_to_stream(x[t], out, "post_attention_norm");
            Vector fed = feed_forward(norm("ffn_norm", x[t]));
            if (traits_.experts != 0) {
                fed = norm("post_ffw_norm_1", fed);
                add(fed, norm("post_ffw_norm_2", experts(x[t])));
            }
            add_to_stream(x[t], fed, "post_ffw_norm");
            add_layer_input(x[t], t);
        }
    }

    // (norm of the projection's row + the table's row) / sqrt(2), for every layer.
    Vector layer_inputs(TokenId token, const Vector& x) const {
        const size_t width = traits_.per_layer_width;
        Vector context = linear("per_layer_model_proj", x);
        scale(context, 1 / std::sqrt(static_cast<double>(model_.hidden)));
        const std::vector<float>& table = tensors_.at("per_layer_token_embd.weight").values;
        Vector out;
        for (size_t at = 0; at < context.size(); at += width) {
            const auto begin = context.begin() + static_cast<std::ptrdiff_t>(at);
            const Vector row =
                norm("per_layer_proj_norm", {begin, begin + static_cast<std::ptrdiff_t>(width)});
            for (size_t i = 0; i < width; ++i) {
                const double own = static_cast<double>(table[token * context.size() + at + i]) *
                                   std::sqrt(static_cast<double>(width));
                out.push_back((row[i] + own) / std::sqrt(2.0));
            }
        }
        return out;
    }

    void add_layer_input(Vector& x, size_t t) const {
        if (traits_.per_layer_width != 0) {
            Vector gate = linear("inp_gate", x);
            for (size_t i = 0; i < gate.size(); ++i) {
                gate[i] = activated(gate[i]) * inputs_[t][layer_ * gate.size() + i];
            }
            add(x, norm("post_norm", linear("proj", gate)));
        }
        if (traits_.layer_scale) {
            scale(x, static_cast<double>(
                         tensors_.at(prefix_ + "layer_output_scale.weight").values[0]));
        }
    }

    void add_to_stream(Vector& x, const Vector& what, const std::string& after) const {
        Vector out = traits_.norms_after ? norm(after, what) : what;
        scale(out, traits_.residual_scale);
        add(x, out);
    }

    Vector feed_forward(const Vector& n) const {
        Vector up = linear("ffn_up", n);
        if (!traits_.gated) {
            for (double& value : up) {
                value = activated(value);
            }
            return linear("ffn_down", up);
        }
        Vector gate;
        if (traits_.fused) {
            const auto middle = up.begin() + static_cast<std::ptrdiff_t>(up.size() / 2);
            gate.assign(up.begin(), middle);
            up.erase(up.begin(), middle);
        } else {
            gate = linear("ffn_gate", n);
        }
        for (size_t i = 0; i < gate.size(); ++i) {
            gate[i] = activated(gate[i]) * up[i];
        }
        return linear("ffn_down", gate);
    }

    const std::vector<float>& values(const std::string& name) const {
        return tensors_.at(prefix_ + name).values;
    }

    // Rows [first, first + count) of a tensor's matrix number `which`, times x.
    Vector rows_of(const std::string& name, size_t which, size_t first, size_t count,
                   const Vector& x) const {
        const TinyTensor& weight = tensors_.at(prefix_ + name);
        Vector out(count);
        for (size_t row = 0; row < count; ++row) {
            const size_t at = (which * weight.shape[1] + first + row) * x.size();
            for (size_t i = 0; i < x.size(); ++i) {
                out[row] += static_cast<double>(weight.values[at + i]) * x[i];
            }
        }
        return out;
    }

    // Of the stream: the router has its own norm, without a weight but with a scale.
    Vector experts(const Vector& x) const {
        Vector t = normalized(x, values("ffn_gate_inp.scale").data(), false);
        scale(t, 1 / std::sqrt(static_cast<double>(x.size())));
        const Vector logits = linear("ffn_gate_inp", t);
        std::vector<std::pair<double, size_t>> best;
        for (size_t e = 0; e < logits.size(); ++e) {
            best.emplace_back(std::exp(logits[e]), e);
        }
        std::ranges::sort(best, std::greater());
        best.resize(traits_.chosen);
        double sum = 0;
        for (const auto& [p, e] : best) {
            sum += p;
        }
        const Vector n = norm("pre_ffw_norm_2", x);
        const size_t width = traits_.expert_width;
        Vector out(x.size());
        for (const auto& [p, e] : best) {
            Vector gate = rows_of("ffn_gate_up_exps.weight", e, 0, width, n);
            const Vector up = rows_of("ffn_gate_up_exps.weight", e, width, width, n);
            for (size_t i = 0; i < width; ++i) {
                gate[i] = activated(gate[i]) * up[i];
            }
            Vector one = rows_of("ffn_down_exps.weight", e, 0, x.size(), gate);
            scale(one, p / sum * static_cast<double>(values("ffn_down_exps.scale")[e]));
            add(out, one);
        }
        return out;
    }

    double activated(double x) const {
        return traits_.gelu ? x / 2 *
                                  (1 + std::tanh(std::sqrt(2 / std::numbers::pi) *
                                                 (x + 0.044715 * x * x * x)))
                            : x / (1 + std::exp(-x));
    }

    static double capped(double x, double cap) { return cap == 0 ? x : cap * std::tanh(x / cap); }

    static void scale(Vector& x, double factor) {
        for (double& value : x) {
            value *= factor;
        }
    }

    static void add(Vector& to, const Vector& what) {
        for (size_t i = 0; i < to.size(); ++i) {
            to[i] += what[i];
        }
    }

    Vector linear(const std::string& name, const Vector& x) const {
        const TinyTensor& weight = tensors_.at(prefix_ + name + ".weight");
        const auto bias = tensors_.find(prefix_ + name + ".bias");
        Vector out(weight.shape[0]);
        for (size_t row = 0; row < out.size(); ++row) {
            for (size_t i = 0; i < x.size(); ++i) {
                out[row] += static_cast<double>(weight.values[row * x.size() + i]) * x[i];
            }
            out[row] +=
                bias == tensors_.end() ? 0.0 : static_cast<double>(bias->second.values[row]);
        }
        return out;
    }

    Vector norm(const std::string& name, const Vector& x) const {
        const TinyTensor& weight = tensors_.at(prefix_ + name + ".weight");
        Vector out = normalized(x, weight.values.data(), traits_.layer_norm);
        const auto bias = tensors_.find(prefix_ + name + ".bias");
        for (size_t i = 0; bias != tensors_.end() && i < out.size(); ++i) {
            out[i] += static_cast<double>(bias->second.values[i]);
        }
        return out;
    }

    Vector normalized(const Vector& x, const float* weight, bool subtract_mean) const {
        const auto count = static_cast<double>(x.size());
        double mean = 0;
        for (const double value : x) {
            mean += subtract_mean ? value / count : 0;
        }
        double squares = 0;
        for (const double value : x) {
            squares += (value - mean) * (value - mean);
        }
        const double factor = 1 / std::sqrt(squares / count + double{kTinyEpsilon});
        Vector out(x.size());
        for (size_t i = 0; i < x.size(); ++i) {
            const double w = static_cast<double>(weight[i]) + (traits_.norm_offset ? 1 : 0);
            out[i] = (x[i] - mean) * factor * w;
        }
        return out;
    }

    // The frequency of pair i, by the formulas of the published configurations.
    double frequency(size_t pair) const {
        const double dim = rotated();
        const bool local = windowed() && traits_.window_theta != 0;
        const TinyRopeNumbers numbers = tiny_rope_numbers(model_);
        const double theta = local ? traits_.window_theta : double{numbers.theta};
        const double base = std::pow(theta, -2 * static_cast<double>(pair) / dim);
        if (local) {
            return base;
        }
        if (traits_.global_part != 0) {
            return static_cast<double>(pair) < traits_.global_part * dim / 2 ? base : 0;
        }
        const double factor = numbers.factor;
        const double original = numbers.original;
        switch (model_.rope) {
            case TinyRope::Plain:
                return base;
            case TinyRope::Linear:
                return base / factor;
            case TinyRope::Llama3:
            case TinyRope::Llama31: {
                const double wavelength = 2 * std::numbers::pi / base;
                const double smooth = (original / wavelength - 1) / (4 - 1);
                return wavelength < original / 4 ? base
                       : wavelength > original   ? base / factor
                                                 : base * ((1 - smooth) / factor + smooth);
            }
            case TinyRope::Longrope:
                return base /
                       static_cast<double>(tiny_longrope_factor(length_ > kTinyRopeOriginal, pair));
            case TinyRope::Yarn:
            case TinyRope::YarnUnscaled: {
                const auto correction = [&](double turns) {
                    return dim * std::log(original / (turns * 2 * std::numbers::pi)) /
                           (2 * std::log(double{kTinyTheta}));
                };
                const double low = std::max(std::floor(correction(32)), 0.0);
                const double high = std::min(std::ceil(correction(1)), dim - 1);
                const double ramp = std::clamp(
                    (static_cast<double>(pair) - low) / std::max(high - low, 0.001), 0.0, 1.0);
                return base * (1 - ramp) + base / factor * ramp;
            }
        }
        return base;
    }

    bool windowed() const { return tiny_layer_has_window(model_, layer_); }
    uint32_t head_dim() const { return tiny_head_dim(model_, layer_); }
    uint32_t kv_heads() const { return tiny_kv_heads(model_, layer_); }
    uint32_t rotated() const { return static_cast<uint32_t>(head_dim() * traits_.rotary_part); }

    double amplitude() const {
        switch (model_.rope) {
            case TinyRope::Yarn:
                return 0.1 * std::log(double{kTinyRopeFactor}) + 1;
            case TinyRope::Longrope:
                return tiny_longrope_amplitude(model_);
            default:
                return 1;
        }
    }

    // One head in place.
    void rotate(double* head, size_t position) const {
        if (traits_.global_unrotated && !windowed()) {
            return;
        }
        const size_t half = rotated() / 2;
        for (size_t i = 0; i < half; ++i) {
            const double angle = static_cast<double>(position) * frequency(i);
            const double cosine = std::cos(angle) * amplitude();
            const double sine = std::sin(angle) * amplitude();
            double& first = head[traits_.adjacent_pairs ? 2 * i : i];
            double& second = head[traits_.adjacent_pairs ? 2 * i + 1 : i + half];
            const double a = first;
            const double b = second;
            first = a * cosine - b * sine;
            second = b * cosine + a * sine;
        }
    }

    void place(Vector& heads, const std::string& name, size_t position) const {
        const size_t dim = head_dim();
        for (size_t at = 0; at < heads.size(); at += dim) {
            const auto begin = heads.begin() + static_cast<std::ptrdiff_t>(at);
            if (traits_.head_norm || traits_.head_layer_norm) {
                const float* weight = tensors_.at(prefix_ + name + ".weight").values.data();
                const Vector normed = normalized(
                    Vector(begin, begin + static_cast<std::ptrdiff_t>(dim)),
                    weight + (traits_.head_layer_norm ? at : 0), traits_.head_layer_norm);
                std::copy(normed.begin(), normed.end(), begin);
            }
            rotate(heads.data() + at, position);
        }
    }

    struct Projected {
        Vector q, k, v;
    };
    Projected project(const Vector& n) const {
        if (!traits_.fused) {
            Projected out{.q = linear("attn_q", n)};
            if (!tiny_keys_of(model_, layer_)) {
                const bool same = traits_.global_keys_are_values && !windowed();
                out.k = linear("attn_k", n);
                out.v = linear(same ? "attn_k" : "attn_v", n);
            }
            return out;
        }
        const Vector all = linear("attn_qkv", n);
        const auto q_end = all.begin() + model_.heads * model_.head_dim;
        const auto k_end = q_end + model_.kv_heads * model_.head_dim;
        return {{all.begin(), q_end}, {q_end, k_end}, {k_end, all.end()}};
    }

    // Every head by its root mean square.
    void norm_values(Vector& heads) const {
        const std::vector<float> ones(head_dim(), 1);
        for (auto at = heads.begin(); at != heads.end(); at += head_dim()) {
            const Vector normed = normalized({at, at + head_dim()}, ones.data(), false);
            std::copy(normed.begin(), normed.end(), at);
        }
    }

    std::vector<Vector> attention(const std::vector<Vector>& normed) {
        std::vector<Vector> q, out;
        std::vector<Vector>& k = keys_[layer_];
        std::vector<Vector>& v = values_[layer_];
        for (size_t t = 0; t < normed.size(); ++t) {
            Projected projected = project(normed[t]);
            place(projected.q, "attn_q_norm", t);
            place(projected.k, "attn_k_norm", t);
            if (traits_.value_norm) {
                norm_values(projected.v);
            }
            scale(projected.q,
                  1 + traits_.temperature *
                          std::log1p(std::floor(static_cast<double>(t) / kTinyRopeOriginal)));
            q.push_back(std::move(projected.q));
            k.push_back(std::move(projected.k));
            v.push_back(std::move(projected.v));
        }
        const uint32_t source = tiny_keys_of(model_, layer_).value_or(layer_);
        for (size_t t = 0; t < normed.size(); ++t) {
            const size_t window = windowed() ? *model_.window : std::numeric_limits<size_t>::max();
            const size_t begin = t + 1 > window ? t + 1 - window : 0;
            Vector mixed(q[t].size());
            for (uint32_t head = 0; head < model_.heads; ++head) {
                attend(q[t], keys_[source], values_[source], head, begin, t, mixed);
            }
            out.push_back(std::move(mixed));
        }
        return out;
    }

    void attend(const Vector& q, const std::vector<Vector>& k, const std::vector<Vector>& v,
                uint32_t head, size_t begin, size_t t, Vector& mixed) const {
        const size_t dim = head_dim();
        const size_t q_at = head * dim;
        const size_t kv_at = head / (model_.heads / kv_heads()) * dim;
        Vector scores;
        for (size_t j = begin; j <= t; ++j) {
            double score = 0;
            for (size_t d = 0; d < dim; ++d) {
                score += q[q_at + d] * k[j][kv_at + d];
            }
            const double factor = traits_.attention_scale != 0
                                      ? traits_.attention_scale
                                      : 1 / std::sqrt(static_cast<double>(dim));
            scores.push_back(capped(score * factor, traits_.attention_cap));
        }
        const double largest = *std::max_element(scores.begin(), scores.end());
        double sum = 0;
        for (double& score : scores) {
            score = std::exp(score - largest);
            sum += score;
        }
        for (size_t j = begin; j <= t; ++j) {
            for (size_t d = 0; d < dim; ++d) {
                mixed[q_at + d] += scores[j - begin] / sum * v[j][kv_at + d];
            }
        }
    }

    TinyModel model_;
    const TinyTraits& traits_;
    size_t length_ = 0;
    uint32_t layer_ = 0;
    std::map<uint32_t, std::vector<Vector>> keys_;  // by layer
    std::map<uint32_t, std::vector<Vector>> values_;
    std::vector<Vector> inputs_;  // of the layers, by token
    std::map<std::string, TinyTensor> tensors_;
    std::string prefix_;
};

}  // namespace

std::vector<std::vector<double>> reference_logits(const TinyModel& model,
                                                  const std::vector<TokenId>& tokens) {
    return Reference(model).run(tokens);
}

}  // namespace weir::model::testing
