#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>

#include "model/testing/tiny_mixture.h"

namespace weir::model::testing {

namespace {

using Vector = std::vector<double>;

double sigmoid(double x) {
    return 1 / (1 + std::exp(-x));
}

void add(Vector& to, const Vector& what, double factor = 1) {
    for (size_t i = 0; i < to.size(); ++i) {
        to[i] += factor * what[i];
    }
}

Vector part(const Vector& x, size_t begin, size_t count) {
    const auto from = x.begin() + static_cast<std::ptrdiff_t>(begin);
    return {from, from + static_cast<std::ptrdiff_t>(count)};
}

double dot(const Vector& a, const Vector& b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) {
        sum += a[i] * b[i];
    }
    return sum;
}

// The numbers of the `count` largest values.
std::vector<size_t> best(const Vector& values, size_t count) {
    std::vector<size_t> order(values.size());
    for (size_t i = 0; i < order.size(); ++i) {
        order[i] = i;
    }
    std::ranges::stable_sort(order, [&](size_t a, size_t b) { return values[a] > values[b]; });
    order.resize(count);
    return order;
}

Vector softmax(Vector x) {
    const double largest = *std::ranges::max_element(x);
    double sum = 0;
    for (double& value : x) {
        value = std::exp(value - largest);
        sum += value;
    }
    for (double& value : x) {
        value /= sum;
    }
    return x;
}

class Reference {
  public:
    Reference(const TinyMixture& model, const MixtureTensors& tensors)
        : model_(model), tensors_(tensors) {}

    std::vector<Vector> run(const std::vector<TokenId>& tokens) {
        std::vector<Vector> x;
        for (const TokenId token : tokens) {
            const auto& values = tensors_.at("token_embd.weight").values;
            const auto row = values.begin() + static_cast<std::ptrdiff_t>(token * model_.hidden);
            x.emplace_back(row, row + model_.hidden);
        }
        for (layer_ = 0; layer_ < model_.layers; ++layer_) {
            prefix_ = fmt::format("blk.{}.", layer_);
            std::vector<Vector> n;
            for (const Vector& row : x) {
                n.push_back(norm("attn_norm", row));
            }
            const auto mixed = model_.is_latent() ? latent_attention(n) : attention(n);
            for (size_t t = 0; t < x.size(); ++t) {
                add(x[t], linear("attn_output", mixed[t]));
                const Vector m = norm("ffn_norm", x[t]);
                add(x[t], model_.has_experts(layer_) ? mixture(m) : mlp("ffn_{}", m));
            }
        }
        prefix_.clear();
        std::vector<Vector> logits;
        for (const Vector& row : x) {
            logits.push_back(linear("output", norm("output_norm", row)));
        }
        return logits;
    }

  private:
    bool is(MixtureFamily family) const { return model_.family == family; }

    Vector linear(const std::string& name, const Vector& x) const {
        const MixtureTensor& weight = tensors_.at(prefix_ + name + ".weight");
        const auto bias = tensors_.find(prefix_ + name + ".bias");
        Vector out(weight.shape[0]);
        for (size_t row = 0; row < out.size(); ++row) {
            for (size_t i = 0; i < x.size(); ++i) {
                out[row] += double{weight.values[row * x.size() + i]} * x[i];
            }
            out[row] += bias == tensors_.end() ? 0.0 : double{bias->second.values[row]};
        }
        return out;
    }

    static Vector unit(const Vector& x) {
        const double mean = dot(x, x) / static_cast<double>(x.size());
        Vector out = x;
        for (double& value : out) {
            value /= std::sqrt(mean + kMixtureEpsilon);
        }
        return out;
    }

    Vector norm(const std::string& name, const Vector& x) const {
        const auto& weight = tensors_.at(prefix_ + name + ".weight").values;
        Vector out = unit(x);
        for (size_t i = 0; i < x.size(); ++i) {
            out[i] *= double{weight[i]};
        }
        return out;
    }

    bool has_yarn() const {
        return is(MixtureFamily::GptOss) || is(MixtureFamily::DeepseekV2) ||
               is(MixtureFamily::DeepseekV3);
    }

    double frequency(size_t pair, size_t dim) const {
        const double base =
            std::pow(kMixtureTheta, -2 * static_cast<double>(pair) / static_cast<double>(dim));
        if (!has_yarn()) {
            return base;
        }
        const auto correction = [&](double turns) {
            return static_cast<double>(dim) *
                   std::log(kMixtureYarnOriginal / (turns * 2 * std::numbers::pi)) /
                   (2 * std::log(kMixtureTheta));
        };
        double low = correction(32);
        double high = correction(1);
        if (!is(MixtureFamily::GptOss)) {
            low = std::floor(low);
            high = std::ceil(high);
        }
        low = std::max(low, 0.0);
        high = std::min(high, static_cast<double>(dim) - 1);
        const double ramp =
            std::clamp((static_cast<double>(pair) - low) / std::max(high - low, 1e-3), 0.0, 1.0);
        return base * (1 - ramp) + base / kMixtureYarnFactor * ramp;
    }

    // Adjacent pairs for Llama 4 and DeepSeek, halves for the others.
    void rotate(Vector& head, size_t position) const {
        const bool adjacent = model_.is_latent() || is(MixtureFamily::Llama4);
        const double amplitude =
            is(MixtureFamily::GptOss) ? 0.1 * std::log(kMixtureYarnFactor) + 1 : 1;
        const size_t half = head.size() / 2;
        for (size_t i = 0; i < half; ++i) {
            const double angle = static_cast<double>(position) * frequency(i, head.size());
            double& a = head[adjacent ? 2 * i : i];
            double& b = head[adjacent ? 2 * i + 1 : i + half];
            const double turned = a * std::cos(angle) - b * std::sin(angle);
            b = (b * std::cos(angle) + a * std::sin(angle)) * amplitude;
            a = turned * amplitude;
        }
    }

    Vector placed(Vector head, const std::string& name, size_t position) const {
        if (is(MixtureFamily::Qwen3Moe)) {
            head = norm(name, head);
        }
        if (model_.is_rotated(layer_)) {
            rotate(head, position);
            head = is(MixtureFamily::Llama4) ? unit(head) : head;
        }
        return head;
    }

    size_t first_seen(size_t t) const {
        if (is(MixtureFamily::GptOss) && layer_ % 2 == 0) {
            return t + 1 > model_.window ? t + 1 - model_.window : 0;
        }
        if (is(MixtureFamily::Llama4) && model_.is_rotated(layer_)) {
            return t / model_.chunk * model_.chunk;
        }
        return 0;
    }

    // softmax(scores) over the keys that token t sees, and a sink if there is one.
    Vector weights(const Vector& scores, std::optional<double> sink) const {
        Vector all = scores;
        if (sink) {
            all.push_back(*sink);
        }
        Vector p = softmax(all);
        p.resize(scores.size());
        return p;
    }

    std::vector<Vector> attention(const std::vector<Vector>& n) const {
        const size_t dim = model_.head_dim;
        std::vector<Vector> q, k, v, out;
        for (const Vector& row : n) {
            q.push_back(linear("attn_q", row));
            k.push_back(linear("attn_k", row));
            v.push_back(linear("attn_v", row));
        }
        for (size_t t = 0; t < n.size(); ++t) {
            Vector mixed;
            for (size_t h = 0; h < model_.heads; ++h) {
                const size_t kv = h / (model_.heads / model_.kv_heads) * dim;
                Vector query = placed(part(q[t], h * dim, dim), "attn_q_norm", t);
                if (is(MixtureFamily::Llama4) && !model_.is_rotated(layer_)) {
                    const double steps =
                        std::floor(static_cast<double>(t + 1) / model_.temperature_floor);
                    const double heat = 1 + model_.temperature_scale * std::log(1 + steps);
                    for (double& value : query) {
                        value *= heat;
                    }
                }
                Vector scores;
                for (size_t j = first_seen(t); j <= t; ++j) {
                    scores.push_back(dot(query, placed(part(k[j], kv, dim), "attn_k_norm", j)) /
                                     std::sqrt(static_cast<double>(dim)));
                }
                std::optional<double> sink;
                if (is(MixtureFamily::GptOss)) {
                    sink = double{tensors_.at(prefix_ + "attn_sinks.weight").values[h]};
                }
                const Vector p = weights(scores, sink);
                Vector head(dim);
                for (size_t i = 0; i < p.size(); ++i) {
                    add(head, part(v[first_seen(t) + i], kv, dim), p[i]);
                }
                mixed.insert(mixed.end(), head.begin(), head.end());
            }
            out.push_back(std::move(mixed));
        }
        return out;
    }

    double latent_scale() const {
        const double mscale = is(MixtureFamily::DeepseekV3) ? 1 : kMixtureMscale;
        const double m = has_yarn() ? 0.1 * mscale * std::log(kMixtureYarnFactor) + 1 : 1;
        return m * m / std::sqrt(static_cast<double>(model_.nope_dim + model_.rope_dim));
    }

    // Naive: keys and values of every head are expanded.
    std::vector<Vector> latent_attention(const std::vector<Vector>& n) const {
        const size_t nope = model_.nope_dim;
        const size_t rope = model_.rope_dim;
        const size_t value = model_.value_dim;
        std::vector<Vector> q, pe, kv, out;
        for (size_t t = 0; t < n.size(); ++t) {
            q.push_back(model_.query_rank == 0
                            ? linear("attn_q", n[t])
                            : linear("attn_q_b", norm("attn_q_a_norm", linear("attn_q_a", n[t]))));
            const Vector kept = linear("attn_kv_a_mqa", n[t]);
            pe.push_back(part(kept, model_.kv_rank, rope));
            rotate(pe[t], t);
            kv.push_back(
                linear("attn_kv_b", norm("attn_kv_a_norm", part(kept, 0, model_.kv_rank))));
        }
        for (size_t t = 0; t < n.size(); ++t) {
            Vector mixed;
            for (size_t h = 0; h < model_.heads; ++h) {
                const Vector q_nope = part(q[t], h * (nope + rope), nope);
                Vector q_pe = part(q[t], h * (nope + rope) + nope, rope);
                rotate(q_pe, t);
                Vector scores;
                for (size_t j = 0; j <= t; ++j) {
                    const Vector k = part(kv[j], h * (nope + value), nope);
                    scores.push_back((dot(q_nope, k) + dot(q_pe, pe[j])) * latent_scale());
                }
                const Vector p = softmax(scores);
                Vector head(value);
                for (size_t j = 0; j <= t; ++j) {
                    add(head, part(kv[j], h * (nope + value) + nope, value), p[j]);
                }
                mixed.insert(mixed.end(), head.begin(), head.end());
            }
            out.push_back(std::move(mixed));
        }
        return out;
    }

    // `names` with gate, up and down in it.
    Vector mlp(const std::string& names, const Vector& x) const {
        const auto named = [&](const char* which) {
            return fmt::format(fmt::runtime(names), which);
        };
        Vector gate = linear(named("gate"), x);
        const Vector up = linear(named("up"), x);
        for (size_t i = 0; i < gate.size(); ++i) {
            if (is(MixtureFamily::GptOss)) {
                const double g = std::min(gate[i], model_.swiglu_limit);
                const double u = std::clamp(up[i], -model_.swiglu_limit, model_.swiglu_limit);
                gate[i] = g * sigmoid(kSwigluAlpha * g) * (u + 1);
            } else {
                gate[i] = gate[i] * sigmoid(gate[i]) * up[i];
            }
        }
        return linear(named("down"), gate);
    }

    // The experts that are chosen, and their weights.
    std::vector<std::pair<size_t, double>> routed(const Vector& logits) const {
        Vector scores;  // chosen by
        Vector values;  // weighted by
        switch (model_.family) {
            case MixtureFamily::GptOss:
                scores = logits;
                break;
            case MixtureFamily::Llama4:
                scores = logits;
                for (const double logit : logits) {
                    values.push_back(sigmoid(logit));
                }
                break;
            case MixtureFamily::DeepseekV3:
                for (size_t e = 0; e < logits.size(); ++e) {
                    values.push_back(sigmoid(logits[e]));
                    scores.push_back(values[e] +
                                     double{tensors_.at(prefix_ + "exp_probs_b.bias").values[e]});
                }
                drop_groups(scores);
                break;
            default:
                values = softmax(logits);
                scores = values;
                if (is(MixtureFamily::DeepseekV2)) {
                    drop_groups(scores);
                }
        }
        const std::vector<size_t> chosen = best(scores, model_.chosen);
        if (is(MixtureFamily::GptOss)) {
            Vector few;
            for (const size_t e : chosen) {
                few.push_back(logits[e]);
            }
            few = softmax(few);
            values.assign(logits.size(), 0);
            for (size_t i = 0; i < chosen.size(); ++i) {
                values[chosen[i]] = few[i];
            }
        }
        const bool normalized = is(MixtureFamily::Mixtral) || is(MixtureFamily::Qwen3Moe) ||
                                is(MixtureFamily::DeepseekV3);
        double sum = 0;
        for (const size_t e : chosen) {
            sum += values[e];
        }
        std::vector<std::pair<size_t, double>> out;
        for (const size_t e : chosen) {
            out.emplace_back(e, values[e] / (normalized ? sum : 1) *
                                    (model_.is_latent() ? kMixtureWeightScale : 1));
        }
        return out;
    }

    // Only the two best of four groups stay: by the largest (V2), by the two largest (V3).
    void drop_groups(Vector& scores) const {
        const size_t size = scores.size() / 4;
        Vector groups;
        for (size_t g = 0; g < 4; ++g) {
            Vector members = part(scores, g * size, size);
            std::ranges::sort(members, std::greater{});
            groups.push_back(is(MixtureFamily::DeepseekV3) ? members[0] + members[1] : members[0]);
        }
        const std::vector<size_t> kept = best(groups, 2);
        for (size_t e = 0; e < scores.size(); ++e) {
            if (std::ranges::find(kept, e / size) == kept.end()) {
                scores[e] = -std::numeric_limits<double>::infinity();
            }
        }
    }

    Vector mixture(const Vector& x) const {
        Vector out(x.size());
        for (const auto& [expert, weight] : routed(linear("ffn_gate_inp", x))) {
            const std::string names = fmt::format("ffn_{{}}.{}", expert);
            if (is(MixtureFamily::Llama4)) {
                Vector scaled(x.size());
                add(scaled, x, weight);
                add(out, mlp(names, scaled));
            } else {
                add(out, mlp(names, x), weight);
            }
        }
        if (model_.is_latent() || is(MixtureFamily::Llama4)) {
            add(out, mlp("ffn_{}_shexp", x));
        } else if (is(MixtureFamily::Qwen2Moe)) {
            add(out, mlp("ffn_{}_shexp", x), sigmoid(linear("ffn_gate_inp_shexp", x)[0]));
        }
        return out;
    }

    const TinyMixture& model_;
    const MixtureTensors& tensors_;
    std::string prefix_;
    uint32_t layer_ = 0;
};

}  // namespace

std::vector<Vector> mixture_logits(const TinyMixture& model, const MixtureTensors& tensors,
                                   const std::vector<TokenId>& tokens) {
    return Reference(model, tensors).run(tokens);
}

}  // namespace weir::model::testing
