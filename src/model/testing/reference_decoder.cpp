#include "model/testing/reference_decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numbers>
#include <string>

namespace weir::model::testing {

namespace {

using Vector = std::vector<double>;

class Reference {
  public:
    explicit Reference(const TinyModel& model) : model_(model) {
        for (TinyTensor& tensor : tiny_tensors(model)) {
            tensors_[tensor.name] = std::move(tensor);
        }
    }

    std::vector<Vector> run(const std::vector<TokenId>& tokens) {
        std::vector<Vector> x;
        for (const TokenId token : tokens) {
            const auto row = tensors_.at("token_embd.weight").values.begin() +
                             static_cast<std::ptrdiff_t>(token * model_.hidden);
            x.emplace_back(row, row + model_.hidden);
        }
        for (uint32_t layer = 0; layer < model_.layers; ++layer) {
            prefix_ = fmt::format("blk.{}.", layer);
            const std::vector<Vector> mixed = attention(x, layer);
            for (size_t t = 0; t < x.size(); ++t) {
                add(x[t], linear("attn_output", mixed[t]));
                const Vector m = rms_norm("ffn_norm", x[t]);
                Vector gate = linear("ffn_gate", m);
                const Vector up = linear("ffn_up", m);
                for (size_t i = 0; i < gate.size(); ++i) {
                    gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
                }
                add(x[t], linear("ffn_down", gate));
            }
        }
        prefix_.clear();
        std::vector<Vector> logits;
        for (const Vector& row : x) {
            logits.push_back(
                linear(model_.tied ? "token_embd" : "output", rms_norm("output_norm", row)));
        }
        return logits;
    }

  private:
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

    Vector rms_norm(const std::string& name, const Vector& x) const {
        const std::vector<float>& weight = tensors_.at(prefix_ + name + ".weight").values;
        double squares = 0;
        for (const double value : x) {
            squares += value * value;
        }
        const double scale =
            1 / std::sqrt(squares / static_cast<double>(x.size()) + double{kTinyEpsilon});
        Vector out(x.size());
        for (size_t i = 0; i < x.size(); ++i) {
            out[i] = x[i] * scale * static_cast<double>(weight[i]);
        }
        return out;
    }

    // The frequency of pair i, by the formulas of the published configurations.
    double frequency(size_t pair) const {
        const double dim = model_.head_dim;
        const double base = std::pow(double{kTinyTheta}, -2 * static_cast<double>(pair) / dim);
        const double factor = kTinyRopeFactor;
        const double original = kTinyRopeOriginal;
        switch (model_.rope) {
            case TinyRope::Plain:
                return base;
            case TinyRope::Linear:
                return base / factor;
            case TinyRope::Llama3: {
                const double wavelength = 2 * std::numbers::pi / base;
                const double smooth = (original / wavelength - 1) / (4 - 1);
                return wavelength < original / 4 ? base
                       : wavelength > original   ? base / factor
                                                 : base * ((1 - smooth) / factor + smooth);
            }
            case TinyRope::Yarn: {
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

    // One head in place, as halves.
    void rotate(double* head, size_t position) const {
        const double amplitude =
            model_.rope == TinyRope::Yarn ? 0.1 * std::log(double{kTinyRopeFactor}) + 1 : 1;
        const size_t half = model_.head_dim / 2;
        for (size_t i = 0; i < half; ++i) {
            const double angle = static_cast<double>(position) * frequency(i);
            const double cosine = std::cos(angle) * amplitude;
            const double sine = std::sin(angle) * amplitude;
            const double a = head[i];
            const double b = head[i + half];
            head[i] = a * cosine - b * sine;
            head[i + half] = b * cosine + a * sine;
        }
    }

    void place(Vector& heads, const std::string& norm, size_t position) const {
        for (size_t at = 0; at < heads.size(); at += model_.head_dim) {
            if (model_.family == "qwen3") {
                const auto begin = heads.begin() + static_cast<std::ptrdiff_t>(at);
                const Vector normed = rms_norm(norm, Vector(begin, begin + model_.head_dim));
                std::copy(normed.begin(), normed.end(), begin);
            }
            rotate(heads.data() + at, position);
        }
    }

    std::vector<Vector> attention(const std::vector<Vector>& x, uint32_t layer) const {
        std::vector<Vector> q, k, v, out;
        for (size_t t = 0; t < x.size(); ++t) {
            const Vector n = rms_norm("attn_norm", x[t]);
            q.push_back(linear("attn_q", n));
            k.push_back(linear("attn_k", n));
            v.push_back(linear("attn_v", n));
            place(q[t], "attn_q_norm", t);
            place(k[t], "attn_k_norm", t);
        }
        for (size_t t = 0; t < x.size(); ++t) {
            const size_t window = model_.window && layer % 2 == 0
                                      ? *model_.window
                                      : std::numeric_limits<size_t>::max();
            const size_t begin = t + 1 > window ? t + 1 - window : 0;
            Vector mixed(q[t].size());
            for (uint32_t head = 0; head < model_.heads; ++head) {
                attend(q[t], k, v, head, begin, t, mixed);
            }
            out.push_back(std::move(mixed));
        }
        return out;
    }

    void attend(const Vector& q, const std::vector<Vector>& k, const std::vector<Vector>& v,
                uint32_t head, size_t begin, size_t t, Vector& mixed) const {
        const size_t dim = model_.head_dim;
        const size_t q_at = head * dim;
        const size_t kv_at = head / (model_.heads / model_.kv_heads) * dim;
        Vector scores;
        for (size_t j = begin; j <= t; ++j) {
            double score = 0;
            for (size_t d = 0; d < dim; ++d) {
                score += q[q_at + d] * k[j][kv_at + d];
            }
            scores.push_back(score / std::sqrt(static_cast<double>(dim)));
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
    std::map<std::string, TinyTensor> tensors_;
    std::string prefix_;
};

}  // namespace

std::vector<std::vector<double>> reference_logits(const TinyModel& model,
                                                  const std::vector<TokenId>& tokens) {
    return Reference(model).run(tokens);
}

}  // namespace weir::model::testing
