// A long prompt on a small random model of Llama 3.1's shape: within the memory that was planned
// for it, and with the logits of the formulas in double precision at its beginning, in its middle
// and at its end. 8192 tokens here; WEIR_LONG_CONTEXT=131072 takes minutes
// (tools/long_context.sh).

#include <gtest/gtest.h>

#include <unistd.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <numbers>
#include <string>
#include <vector>

#include "kernels/kernel_set.h"
#include "kernels/thread_pool.h"
#include "kv/kv_cache.h"
#include "model/load.h"
#include "model/testing/tiny_model.h"

namespace weir::engine::testing {
namespace {

using model::testing::TinyModel;
using model::testing::TinyTensor;
using Doubles = std::vector<double>;

// A sanitizer's runtime has memory of its own, in no plan, and takes its time.
#ifdef WEIR_SANITIZED
constexpr uint32_t kUsualTokens = 1024;
constexpr uint64_t kBeside = uint64_t{64} << 20;
#else
constexpr uint32_t kUsualTokens = 8192;
// Beside the plan: the objects themselves, stacks, and pages that are only partly used.
constexpr uint64_t kBeside = uint64_t{4} << 20;
#endif

uint32_t tokens_wanted() {
    const char* const said = std::getenv("WEIR_LONG_CONTEXT");
    return said == nullptr ? kUsualTokens : static_cast<uint32_t>(std::strtoul(said, nullptr, 10));
}

TinyModel shape_for(uint32_t tokens) {
    return {.layers = 2,
            .hidden = 32,
            .heads = 2,
            .kv_heads = 1,
            .head_dim = 16,
            .feed_forward = 48,
            .vocabulary = 53,
            .context = tokens,
            .rope = model::testing::TinyRope::Llama3};
}

std::vector<TokenId> prompt_of(uint32_t tokens, uint32_t vocabulary) {
    std::vector<TokenId> prompt(tokens);
    uint64_t state = 1;
    for (TokenId& token : prompt) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        token = static_cast<TokenId>((state >> 33) % vocabulary);
    }
    return prompt;
}

// The formulas of families/llama.cpp over flat arrays of doubles. In the last layer only the rows
// that are asked for are computed.
class Reference {
  public:
    explicit Reference(const TinyModel& model) : model_(model) {
        for (TinyTensor& tensor : model::testing::tiny_tensors(model)) {
            tensors_[tensor.name].assign(tensor.values.begin(), tensor.values.end());
        }
        for (size_t i = 0; i < model.head_dim / 2; ++i) {
            frequencies_.push_back(frequency(i));
        }
    }

    // [positions][vocabulary]
    std::vector<Doubles> logits(const std::vector<TokenId>& tokens,
                                const std::vector<uint32_t>& positions) {
        const size_t hidden = model_.hidden;
        std::vector<Doubles> x;
        for (const TokenId token : tokens) {
            const auto row = tensors_.at("token_embd.weight").begin() +
                             static_cast<std::ptrdiff_t>(token * hidden);
            x.emplace_back(row, row + static_cast<std::ptrdiff_t>(hidden));
        }
        for (uint32_t layer = 0; layer < model_.layers; ++layer) {
            prefix_ = "blk." + std::to_string(layer) + ".";
            std::vector<uint32_t> rows = positions;
            if (layer + 1 < model_.layers) {
                rows.resize(tokens.size());
                for (uint32_t i = 0; i < rows.size(); ++i) {
                    rows[i] = i;
                }
            }
            run_layer(x, rows);
        }
        prefix_.clear();
        std::vector<Doubles> out;
        for (const uint32_t position : positions) {
            out.push_back(multiply("output", normed("output_norm", x[position])));
        }
        return out;
    }

  private:
    double frequency(size_t pair) const {
        using model::testing::kTinyRopeFactor;
        const double base = std::pow(double{model::testing::kTinyTheta},
                                     -2 * static_cast<double>(pair) / model_.head_dim);
        const double original = model::testing::kTinyRopeOriginal;
        const double wavelength = 2 * std::numbers::pi / base;
        const double smooth = (original / wavelength - 1) / (4 - 1);
        return wavelength < original / 4 ? base
               : wavelength > original   ? base / double{kTinyRopeFactor}
                                         : base * ((1 - smooth) / double{kTinyRopeFactor} + smooth);
    }

    Doubles multiply(const std::string& name, const Doubles& x) const {
        const Doubles& weight = tensors_.at(prefix_ + name + ".weight");
        Doubles out(weight.size() / x.size());
        for (size_t row = 0; row < out.size(); ++row) {
            for (size_t i = 0; i < x.size(); ++i) {
                out[row] += weight[row * x.size() + i] * x[i];
            }
        }
        return out;
    }

    Doubles normed(const std::string& name, const Doubles& x) const {
        const Doubles& weight = tensors_.at(prefix_ + name + ".weight");
        double squares = 0;
        for (const double value : x) {
            squares += value * value;
        }
        const double factor = 1 / std::sqrt(squares / static_cast<double>(x.size()) +
                                            double{model::testing::kTinyEpsilon});
        Doubles out(x.size());
        for (size_t i = 0; i < x.size(); ++i) {
            out[i] = x[i] * factor * weight[i];
        }
        return out;
    }

    void rotate(Doubles& heads, size_t position) const {
        const size_t half = model_.head_dim / 2;
        for (size_t at = 0; at < heads.size(); at += model_.head_dim) {
            for (size_t i = 0; i < half; ++i) {
                const double angle = static_cast<double>(position) * frequencies_[i];
                const double a = heads[at + i];
                const double b = heads[at + i + half];
                heads[at + i] = a * std::cos(angle) - b * std::sin(angle);
                heads[at + i + half] = b * std::cos(angle) + a * std::sin(angle);
            }
        }
    }

    void run_layer(std::vector<Doubles>& x, const std::vector<uint32_t>& rows) {
        const size_t dim = model_.head_dim;
        Doubles k;
        Doubles v;
        for (size_t t = 0; t < x.size(); ++t) {  // one KV head
            const Doubles n = normed("attn_norm", x[t]);
            Doubles key = multiply("attn_k", n);
            rotate(key, t);
            k.insert(k.end(), key.begin(), key.end());
            const Doubles value = multiply("attn_v", n);
            v.insert(v.end(), value.begin(), value.end());
        }
        for (const uint32_t t : rows) {
            Doubles q = multiply("attn_q", normed("attn_norm", x[t]));
            rotate(q, t);
            Doubles mixed;
            for (size_t head = 0; head < model_.heads; ++head) {
                const Doubles one = attend(q.data() + head * dim, k, v, t + 1);
                mixed.insert(mixed.end(), one.begin(), one.end());
            }
            add(x[t], multiply("attn_output", mixed));
            const Doubles m = normed("ffn_norm", x[t]);
            Doubles gate = multiply("ffn_gate", m);
            const Doubles up = multiply("ffn_up", m);
            for (size_t i = 0; i < gate.size(); ++i) {
                gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
            }
            add(x[t], multiply("ffn_down", gate));
        }
    }

    Doubles attend(const double* q, const Doubles& k, const Doubles& v, size_t count) {
        constexpr size_t kDim = 16;
        scores_.resize(count);
        double largest = -1e300;
        for (size_t j = 0; j < count; ++j) {
            double score = 0;
            for (size_t d = 0; d < kDim; ++d) {
                score += q[d] * k[j * kDim + d];
            }
            scores_[j] = score / std::sqrt(static_cast<double>(kDim));
            largest = std::max(largest, scores_[j]);
        }
        double sum = 0;
        std::array<double, kDim> out{};
        for (size_t j = 0; j < count; ++j) {
            const double p = std::exp(scores_[j] - largest);
            sum += p;
            for (size_t d = 0; d < kDim; ++d) {
                out[d] += p * v[j * kDim + d];
            }
        }
        for (double& value : out) {
            value /= sum;
        }
        return {out.begin(), out.end()};
    }

    static void add(Doubles& to, const Doubles& what) {
        for (size_t i = 0; i < to.size(); ++i) {
            to[i] += what[i];
        }
    }

    const TinyModel model_;
    std::map<std::string, Doubles> tensors_;
    Doubles frequencies_;
    Doubles scores_;
    std::string prefix_;
};

uint64_t resident_bytes() {
    std::ifstream statm("/proc/self/statm");
    uint64_t total = 0;
    uint64_t resident = 0;
    statm >> total >> resident;
    return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

// Units are the standard deviation of the reference's logits.
double worst_in_units(const std::vector<float>& got, const Doubles& expected) {
    double mean = 0;
    for (const double value : expected) {
        mean += value / static_cast<double>(expected.size());
    }
    double variance = 0;
    for (const double value : expected) {
        variance += (value - mean) * (value - mean) / static_cast<double>(expected.size());
    }
    double worst = 0;
    for (size_t i = 0; i < got.size(); ++i) {
        worst = std::max(worst, std::abs(got[i] - expected[i]));
    }
    return worst / std::sqrt(variance);
}

TEST(LongContext, ALongPromptKeepsToItsPlanAndToTheFormulas) {
    const uint32_t tokens = tokens_wanted();
    const TinyModel shape = shape_for(tokens);
    const auto bytes = model::testing::tiny_gguf(shape);
    const auto source = model::ModelSource::from_bytes(bytes);
    ASSERT_TRUE(source) << source.error().message;
    const auto plan = model::plan_memory(**source, {});
    ASSERT_TRUE(plan) << plan.error().message;
    kernels::ThreadPool pool(2);
    const std::vector<TokenId> prompt = prompt_of(tokens, shape.vocabulary);

    const uint64_t before = resident_bytes();
    auto model = model::load_model(*source, {}, {*kernels::available_kernels().back(), pool});
    ASSERT_TRUE(model) << model.error().message;
    const uint32_t slice_max = (*model)->batch_tokens_max();
    const kv::KvLimits limits{
        .blocks = static_cast<uint32_t>(kv::worst_case_blocks(plan->state, tokens, slice_max))};
    const auto cache = kv::KvCache::create(plan->state, limits);
    ASSERT_TRUE(cache) << cache.error().message;
    const uint64_t planned =
        plan->weights_copied_bytes + plan->scratch_bytes + *kv::reserved_bytes(plan->state, limits);

    // Slices end where logits are wanted.
    std::vector<uint32_t> wanted = {0, std::min(tokens, 8192u) / 2 - 1, tokens - 1};
    if (tokens > 8192) {
        wanted[1] = 8191;
    }
    std::vector<std::vector<float>> got;
    auto state = (*cache)->begin({}, prompt, 0);
    ASSERT_TRUE(state);
    for (const uint32_t position : wanted) {
        std::vector<float> logits(shape.vocabulary);
        while (state->position() <= position) {
            const uint32_t at = state->position();
            const uint32_t count = std::min(slice_max, position + 1 - at);
            ASSERT_TRUE(state->reserve(at + count));
            const model::SequenceSlice slice{std::span(prompt).subspan(at, count), at,
                                             state->view(), model::LogitsWanted::Last};
            ASSERT_TRUE((*model)->forward(std::span(&slice, 1), logits));
            state->advance(count);
        }
        got.push_back(logits);
    }
    EXPECT_LE(resident_bytes(), before + planned + kBeside);

    const auto expected = Reference(shape).logits(prompt, wanted);
    for (size_t i = 0; i < wanted.size(); ++i) {
        EXPECT_LT(worst_in_units(got[i], expected[i]), 1e-3) << "position " << wanted[i];
    }
}

}  // namespace
}  // namespace weir::engine::testing
