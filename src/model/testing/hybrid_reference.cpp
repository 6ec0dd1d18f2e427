#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <span>
#include <string>
#include <utility>

#include "model/testing/tiny_hybrid.h"

namespace weir::model::testing {

namespace {

using Vector = std::vector<double>;

double sigmoid(double x) {
    return 1 / (1 + std::exp(-x));
}

class Reference {
  public:
    explicit Reference(const TinyHybrid& model) : model_(model), all_(hybrid_tensors(model)) {}

    std::vector<Vector> run(const std::vector<TokenId>& tokens) {
        std::vector<Vector> x;
        for (const TokenId token : tokens) {
            x.push_back(row("embed_tokens.weight", token));
        }
        for (uint32_t layer = 0; layer < model_.layers; ++layer) {
            prefix_ = fmt::format("layers.{}.", layer);
            std::vector<Vector> normed;
            for (const Vector& one : x) {
                normed.push_back(norm("input_layernorm", one, 1));
            }
            const auto mixed = model_.is_recurrent(layer) ? recurrence(normed) : attention(normed);
            for (size_t t = 0; t < x.size(); ++t) {
                add(x[t], mixed[t]);
                const Vector n = norm("post_attention_layernorm", x[t], 1);
                add(x[t], model_.has_experts(layer) ? mixture(n) : mlp("mlp.", n));
            }
        }
        prefix_.clear();
        std::vector<Vector> logits;
        for (const Vector& one : x) {
            logits.push_back(linear("embed_tokens", norm("norm", one, 1)));
        }
        return logits;
    }

  private:
    const std::vector<float>& values(const std::string& name) const {
        return all_.at(prefix_ + name).values;
    }
    Vector row(const std::string& name, size_t index) const {
        const HybridTensor& tensor = all_.at(prefix_ + name);
        const auto begin =
            tensor.values.begin() + static_cast<std::ptrdiff_t>(index * tensor.shape[1]);
        return {begin, begin + static_cast<std::ptrdiff_t>(tensor.shape[1])};
    }
    static void add(Vector& to, const Vector& what) {
        for (size_t i = 0; i < to.size(); ++i) {
            to[i] += what[i];
        }
    }
    Vector linear(const std::string& name, const Vector& x) const {
        Vector out(all_.at(prefix_ + name + ".weight").shape[0]);
        for (size_t r = 0; r < out.size(); ++r) {
            const Vector weights = row(name + ".weight", r);
            for (size_t i = 0; i < x.size(); ++i) {
                out[r] += weights[i] * x[i];
            }
        }
        return out;
    }
    Vector norm(const std::string& name, const Vector& x, double offset) const {
        const std::vector<float>& weight = values(name + ".weight");
        double squares = 0;
        for (const double value : x) {
            squares += value * value;
        }
        Vector out(x.size());
        for (size_t i = 0; i < x.size(); ++i) {
            out[i] = x[i] / std::sqrt(squares / static_cast<double>(x.size()) + kHybridEpsilon) *
                     (offset + weight[i]);
        }
        return out;
    }
    static Vector part(const Vector& x, size_t begin, size_t count) {
        const auto from = x.begin() + static_cast<std::ptrdiff_t>(begin);
        return {from, from + static_cast<std::ptrdiff_t>(count)};
    }

    Vector mlp(const std::string& stem, const Vector& x) const {
        Vector gate = linear(stem + "gate_proj", x);
        const Vector up = linear(stem + "up_proj", x);
        for (size_t i = 0; i < gate.size(); ++i) {
            gate[i] *= sigmoid(gate[i]) * up[i];
        }
        return linear(stem + "down_proj", gate);
    }

    // Divided by the sum over those chosen, the softmax's own divisor falls out.
    Vector mixture(const Vector& x) const {
        const Vector logits = linear("mlp.gate", x);
        std::vector<std::pair<double, size_t>> best;
        for (size_t e = 0; e < logits.size(); ++e) {
            best.emplace_back(std::exp(logits[e]), e);
        }
        std::ranges::sort(best, std::greater());
        best.resize(model_.chosen);
        double sum = 0;
        for (const auto& [p, e] : best) {
            sum += p;
        }
        const double gate = sigmoid(linear("mlp.shared_expert_gate", x)[0]);
        Vector out = mlp("mlp.shared_expert.", x);
        for (double& value : out) {
            value *= gate;
        }
        for (const auto& [p, e] : best) {
            const Vector one = mlp(fmt::format("mlp.experts.{}.", e), x);
            for (size_t i = 0; i < out.size(); ++i) {
                out[i] += p / sum * one[i];
            }
        }
        return out;
    }

    static Vector unit(Vector x) {
        double squares = 0;
        for (const double value : x) {
            squares += value * value;
        }
        for (double& value : x) {
            value /= std::sqrt(squares + 1e-6);
        }
        return x;
    }

    // The last `taps` rows of u up to t; zeros before the beginning.
    Vector convolve(const std::vector<Vector>& u, size_t t) const {
        const std::vector<float>& weight = values("linear_attn.conv1d.weight");
        Vector out(u[t].size());
        for (size_t c = 0; c < out.size(); ++c) {
            for (size_t back = 0; back < model_.taps && back <= t; ++back) {
                out[c] += u[t - back][c] * weight[(c + 1) * model_.taps - 1 - back];
            }
            out[c] *= sigmoid(out[c]);
        }
        return out;
    }

    std::vector<Vector> recurrence(const std::vector<Vector>& x) const {
        std::vector<Vector> u;
        std::vector<Vector> out;
        std::vector<std::vector<Vector>> states(
            model_.value_heads,
            std::vector<Vector>(model_.key_dim, Vector(model_.value_dim)));  // [head][key][value]
        for (size_t t = 0; t < x.size(); ++t) {
            u.push_back(linear("linear_attn.in_proj_qkv", x[t]));
            const Vector c = convolve(u, t);
            const Vector z = linear("linear_attn.in_proj_z", x[t]);
            const Vector b = linear("linear_attn.in_proj_b", x[t]);
            const Vector a = linear("linear_attn.in_proj_a", x[t]);
            Vector gathered;
            for (uint32_t j = 0; j < model_.value_heads; ++j) {
                const size_t key_head = j / (model_.value_heads / model_.key_heads);
                const Vector q = unit(part(c, key_head * model_.key_dim, model_.key_dim));
                const Vector k =
                    unit(part(c, model_.keys() + key_head * model_.key_dim, model_.key_dim));
                const Vector v =
                    part(c, 2 * model_.keys() + j * model_.value_dim, model_.value_dim);
                const double rate = std::exp(values("linear_attn.A_log")[j]);
                const double step = std::log1p(std::exp(a[j] + values("linear_attn.dt_bias")[j]));
                const Vector o =
                    step_state(states[j], q, k, v, std::exp(-rate * step), sigmoid(b[j]));
                const Vector normed = norm("linear_attn.norm", o, 0);
                for (size_t i = 0; i < normed.size(); ++i) {
                    const double gate = z[j * model_.value_dim + i];
                    gathered.push_back(normed[i] * gate * sigmoid(gate));
                }
            }
            out.push_back(linear("linear_attn.out_proj", gathered));
        }
        return out;
    }

    Vector step_state(std::vector<Vector>& state, const Vector& q, const Vector& k, const Vector& v,
                      double decay, double beta) const {
        Vector out(model_.value_dim);
        for (size_t i = 0; i < v.size(); ++i) {
            double known = 0;
            for (size_t key = 0; key < k.size(); ++key) {
                state[key][i] *= decay;
                known += state[key][i] * k[key];
            }
            for (size_t key = 0; key < k.size(); ++key) {
                state[key][i] += k[key] * beta * (v[i] - known);
                out[i] += state[key][i] * q[key] / std::sqrt(static_cast<double>(model_.key_dim));
            }
        }
        return out;
    }

    // Half-split pairs of the head's first rotary_dim numbers.
    void rotate(Vector& head, size_t position) const {
        const size_t half = model_.rotary_dim / 2;
        for (size_t i = 0; i < half; ++i) {
            const double angle =
                static_cast<double>(position) *
                std::pow(kHybridTheta, -static_cast<double>(i) / static_cast<double>(half));
            const double a = head[i];
            const double b = head[i + half];
            head[i] = a * std::cos(angle) - b * std::sin(angle);
            head[i + half] = b * std::cos(angle) + a * std::sin(angle);
        }
    }

    std::vector<Vector> attention(const std::vector<Vector>& x) const {
        const size_t dim = model_.head_dim;
        std::vector<Vector> k, v, out;
        for (size_t t = 0; t < x.size(); ++t) {
            v.push_back(linear("self_attn.v_proj", x[t]));
            const Vector raw = linear("self_attn.k_proj", x[t]);
            Vector keys;
            for (uint32_t h = 0; h < model_.kv_heads; ++h) {
                Vector head = norm("self_attn.k_norm", part(raw, h * dim, dim), 1);
                rotate(head, t);
                keys.insert(keys.end(), head.begin(), head.end());
            }
            k.push_back(std::move(keys));
            const Vector qg = linear("self_attn.q_proj", x[t]);
            Vector mixed;
            for (uint32_t h = 0; h < model_.heads; ++h) {
                Vector q = norm("self_attn.q_norm", part(qg, 2 * h * dim, dim), 1);
                rotate(q, t);
                const size_t shared = h / (model_.heads / model_.kv_heads) * dim;
                const Vector seen = attend(q, k, v, shared);
                for (size_t i = 0; i < dim; ++i) {
                    mixed.push_back(seen[i] * sigmoid(qg[(2 * h + 1) * dim + i]));
                }
            }
            out.push_back(linear("self_attn.o_proj", mixed));
        }
        return out;
    }

    static Vector attend(const Vector& q, const std::vector<Vector>& k,
                         const std::vector<Vector>& v, size_t at) {
        Vector scores;
        for (const Vector& key : k) {
            double score = 0;
            for (size_t i = 0; i < q.size(); ++i) {
                score += q[i] * key[at + i];
            }
            scores.push_back(score / std::sqrt(static_cast<double>(q.size())));
        }
        const double largest = *std::ranges::max_element(scores);
        double sum = 0;
        Vector out(q.size());
        for (size_t j = 0; j < k.size(); ++j) {
            const double p = std::exp(scores[j] - largest);
            sum += p;
            for (size_t i = 0; i < q.size(); ++i) {
                out[i] += p * v[j][at + i];
            }
        }
        for (double& value : out) {
            value /= sum;
        }
        return out;
    }

    const TinyHybrid& model_;
    const HybridTensors all_;
    std::string prefix_;
};

}  // namespace

std::vector<std::vector<double>> hybrid_logits(const TinyHybrid& model,
                                               const std::vector<TokenId>& tokens) {
    return Reference(model).run(tokens);
}

}  // namespace weir::model::testing
