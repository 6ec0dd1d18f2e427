// A long prompt on a small random model of Llama 3.1's shape: within the memory that was planned
// for it, and with the logits of the formulas in double precision at its beginning, in its middle
// and at its end. 4096 tokens here; WEIR_LONG_CONTEXT=131072 takes minutes
// (tools/long_context.sh).

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <numbers>
#include <numeric>
#include <string>
#include <string_view>
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

#ifdef WEIR_SANITIZED
constexpr bool kIsSanitized = true;
#else
constexpr bool kIsSanitized = false;
#endif

constexpr const char* kVariable = "WEIR_LONG_CONTEXT";

bool is_asked_for() {
    return std::getenv(kVariable) != nullptr;
}

uint32_t tokens_wanted() {
    return is_asked_for() ? static_cast<uint32_t>(std::strtoul(std::getenv(kVariable), nullptr, 10))
                          : 4096;
}

constexpr size_t kHidden = 32;
constexpr size_t kHeads = 2;
constexpr size_t kDim = 16;

// Eight pairs: four keep their frequency, one is between, three are stretched.
TinyModel shape_for(uint32_t tokens) {
    return {.layers = 2,
            .hidden = kHidden,
            .heads = kHeads,
            .kv_heads = 1,
            .head_dim = kDim,
            .feed_forward = 48,
            .vocabulary = 53,
            .context = tokens,
            .rope = model::testing::TinyRope::Llama31};
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

// The formulas of families/llama.cpp in double precision, over flat arrays: [rows][columns]. In the
// last layer only the rows that are asked for are computed, of the others their keys and values.
// The softmax is computed without its largest score: that keeps powers in a float's range, and
// these are small in a double's.
class Reference {
  public:
    Reference(const TinyModel& model, kernels::ThreadPool& pool) : model_(model), pool_(pool) {
        for (TinyTensor& tensor : model::testing::tiny_tensors(model)) {
            tensors_[tensor.name].assign(tensor.values.begin(), tensor.values.end());
        }
        for (size_t i = 0; i < kDim / 2; ++i) {
            frequencies_[i] = frequency(i);
        }
    }

    // [positions][vocabulary]
    std::vector<Doubles> logits(const std::vector<TokenId>& tokens,
                                const std::vector<uint32_t>& positions) {
        const Doubles& embedding = tensors_.at("token_embd.weight");
        Doubles x;
        for (const TokenId token : tokens) {
            const auto row = embedding.begin() + static_cast<std::ptrdiff_t>(token * kHidden);
            x.insert(x.end(), row, row + kHidden);
        }
        std::vector<uint32_t> all(tokens.size());
        std::iota(all.begin(), all.end(), 0u);
        for (uint32_t layer = 0; layer < model_.layers; ++layer) {
            prefix_ = "blk." + std::to_string(layer) + ".";
            run_layer(x, layer + 1 < model_.layers ? all : positions);
        }
        prefix_.clear();
        std::vector<Doubles> out;
        for (const uint32_t position : positions) {
            out.push_back(multiply("output", normed("output_norm", row_of(x, position))));
        }
        return out;
    }

  private:
    // Rows of queries that go over the keys together, so that these come from the first cache.
    static constexpr size_t kTile = 16;
    static constexpr size_t kKeysAtOnce = 128;

    struct Query {
        size_t position = 0;
        std::array<double, kHeads * kDim> q{};
        std::array<double, kHeads * kDim> out{};
        std::array<double, kHeads> sum{};
    };

    double frequency(size_t pair) const {
        const model::testing::TinyRopeNumbers rope = model::testing::tiny_rope_numbers(model_);
        const double factor = rope.factor;
        const double original = rope.original;
        const double base = std::pow(double{rope.theta}, -2 * static_cast<double>(pair) / kDim);
        const double wavelength = 2 * std::numbers::pi / base;
        const double smooth = (original / wavelength - 1) / (4 - 1);
        return wavelength < original / 4 ? base
               : wavelength > original   ? base / factor
                                         : base * ((1 - smooth) / factor + smooth);
    }

    static Doubles row_of(const Doubles& x, size_t row) {
        const auto begin = x.begin() + static_cast<std::ptrdiff_t>(row * kHidden);
        return {begin, begin + kHidden};
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
        constexpr size_t kHalf = kDim / 2;
        for (size_t at = 0; at < heads.size(); at += kDim) {
            for (size_t i = 0; i < kHalf; ++i) {
                const double angle = static_cast<double>(position) * frequencies_[i];
                const double a = heads[at + i];
                const double b = heads[at + i + kHalf];
                heads[at + i] = a * std::cos(angle) - b * std::sin(angle);
                heads[at + i + kHalf] = b * std::cos(angle) + a * std::sin(angle);
            }
        }
    }

    // One KV head.
    void run_layer(Doubles& x, const std::vector<uint32_t>& rows) {
        const size_t count = x.size() / kHidden;
        Doubles k(count * kDim);
        Doubles v(count * kDim);
        pool_.parallel_for(count, 64, [&](size_t begin, size_t end) {
            for (size_t t = begin; t < end; ++t) {
                const Doubles n = normed("attn_norm", row_of(x, t));
                Doubles key = multiply("attn_k", n);
                rotate(key, t);
                std::ranges::copy(key, k.begin() + static_cast<std::ptrdiff_t>(t * kDim));
                std::ranges::copy(multiply("attn_v", n),
                                  v.begin() + static_cast<std::ptrdiff_t>(t * kDim));
            }
        });
        const size_t tiles = (rows.size() + kTile - 1) / kTile;
        pool_.parallel_for(tiles, 1, [&](size_t begin, size_t end) {
            for (size_t tile = begin; tile < end; ++tile) {
                const size_t first = tile * kTile;
                run_tile(x, k, v,
                         std::span(rows).subspan(first, std::min(kTile, rows.size() - first)));
            }
        });
    }

    // `rows` ascending.
    void run_tile(Doubles& x, const Doubles& k, const Doubles& v,
                  std::span<const uint32_t> rows) const {
        std::vector<Query> queries;
        for (const uint32_t row : rows) {
            Query& query = queries.emplace_back();
            query.position = row;
            Doubles q = multiply("attn_q", normed("attn_norm", row_of(x, row)));
            rotate(q, row);
            std::ranges::copy(q, query.q.begin());
        }
        for (size_t first = 0; first <= rows.back(); first += kKeysAtOnce) {
            for (Query& query : queries) {
                const size_t end = std::min(first + kKeysAtOnce, query.position + 1);
                for (size_t j = first; j < end; ++j) {
                    see(&k[j * kDim], &v[j * kDim], query);
                }
            }
        }
        for (const Query& query : queries) {
            finish_row(query, &x[query.position * kHidden]);
        }
    }

    static void see(const double* k, const double* v, Query& query) {
        for (size_t head = 0; head < kHeads; ++head) {
            double score = 0;
            for (size_t d = 0; d < kDim; ++d) {
                score += query.q[head * kDim + d] * k[d];
            }
            const double p = std::exp(score / std::sqrt(static_cast<double>(kDim)));
            query.sum[head] += p;
            for (size_t d = 0; d < kDim; ++d) {
                query.out[head * kDim + d] += p * v[d];
            }
        }
    }

    void finish_row(const Query& query, double* x) const {
        Doubles mixed(query.out.begin(), query.out.end());
        for (size_t i = 0; i < mixed.size(); ++i) {
            mixed[i] /= query.sum[i / kDim];
        }
        add(x, multiply("attn_output", mixed));
        const Doubles m = normed("ffn_norm", Doubles(x, x + kHidden));
        Doubles gate = multiply("ffn_gate", m);
        const Doubles up = multiply("ffn_up", m);
        for (size_t i = 0; i < gate.size(); ++i) {
            gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
        }
        add(x, multiply("ffn_down", gate));
    }

    static void add(double* to, const Doubles& what) {
        for (size_t i = 0; i < what.size(); ++i) {
            to[i] += what[i];
        }
    }

    const TinyModel model_;
    kernels::ThreadPool& pool_;
    std::map<std::string, Doubles> tensors_;
    std::array<double, kDim / 2> frequencies_{};
    std::string prefix_;
};

// A line of /proc/self/status, in bytes.
uint64_t status_bytes(std::string_view name) {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with(name)) {
            return std::strtoull(line.c_str() + name.size(), nullptr, 10) * 1024;
        }
    }
    ADD_FAILURE() << name << " is not there";
    return 0;
}

// What is resident now, which from here on is also the most that was.
uint64_t restart_peak() {
    std::ofstream("/proc/self/clear_refs") << "5";
    return status_bytes("VmRSS:");
}
uint64_t peak_bytes() {
    return status_bytes("VmHWM:");
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

struct Wanted {
    std::vector<uint32_t> positions;
    std::vector<std::vector<float>> logits;  // of each
};

// Reads the prompt in slices that end where logits are wanted.
void read_prompt(model::Model& model, kv::KvCache& cache, const std::vector<TokenId>& prompt,
                 Wanted& wanted) {
    auto state = cache.begin({}, prompt, 0);
    ASSERT_TRUE(state);
    for (const uint32_t position : wanted.positions) {
        std::vector<float> logits(model.info().vocabulary);
        while (state->position() <= position) {
            const uint32_t at = state->position();
            const uint32_t count = std::min(model.batch_tokens_max(), position + 1 - at);
            ASSERT_TRUE(state->reserve(at + count));
            const model::SequenceSlice slice{std::span(prompt).subspan(at, count), at,
                                             state->view(), model::LogitsWanted::Last};
            ASSERT_TRUE(model.forward(std::span(&slice, 1), logits));
            state->advance(count);
            state->publish(prompt);
        }
        wanted.logits.push_back(logits);
    }
}

// Reads `prompt` with a model and a cache that are gone afterwards. What was planned for both,
// bytes.
uint64_t read_once(const model::ModelSource::Pointer& source, const model::MemoryPlan& plan,
                   kernels::ThreadPool& pool, const std::vector<TokenId>& prompt, Wanted& wanted) {
    auto model = model::load_model(source, {}, {*kernels::available_kernels().back(), pool});
    EXPECT_TRUE(model) << model.error().message;
    const kv::KvLimits limits{
        .blocks = static_cast<uint32_t>(kv::worst_case_blocks(
            plan.state, static_cast<uint32_t>(prompt.size()), (*model)->batch_tokens_max()))};
    const auto cache = kv::KvCache::create(plan.state, limits);
    EXPECT_TRUE(cache) << cache.error().message;
    read_prompt(**model, **cache, prompt, wanted);
    return plan.weights_copied_bytes + plan.scratch_bytes +
           *kv::reserved_bytes(plan.state, limits) + kv::table_bytes(plan.state, limits);
}

TEST(LongContext, ALongPromptKeepsToItsPlanAndToTheFormulas) {
    using Clock = std::chrono::steady_clock;
    const uint32_t tokens = tokens_wanted();
    const TinyModel shape = shape_for(tokens);
    const auto bytes = model::testing::tiny_gguf(shape);
    const auto source = model::ModelSource::from_bytes(bytes);
    ASSERT_TRUE(source) << source.error().message;
    const auto plan = model::plan_memory(**source, {});
    ASSERT_TRUE(plan) << plan.error().message;
    kernels::ThreadPool pool(2);
    const std::vector<TokenId> prompt = prompt_of(tokens, shape.vocabulary);
    Wanted wanted{.positions = {0, std::min(8191u, tokens / 2 - 1), tokens - 1}, .logits = {}};

    // The program's own pages and the threads' stacks become resident now, and are no part of it.
    Wanted first{.positions = {599}, .logits = {}};
    read_once(*source, *plan, pool, prompt_of(600, shape.vocabulary), first);
    malloc_trim(0);
    const uint64_t before = restart_peak();
    const auto start = Clock::now();
    const uint64_t planned = read_once(*source, *plan, pool, prompt, wanted);
    const uint64_t peak = peak_bytes() - before;
    const std::chrono::duration<double> time = Clock::now() - start;
    if (!kIsSanitized) {  // sanitizers have memory of their own
        EXPECT_LE(peak, planned);
    }

    const auto expected = Reference(shape, pool).logits(prompt, wanted.positions);
    double worst = 0;
    ASSERT_EQ(wanted.logits.size(), wanted.positions.size());
    for (size_t i = 0; i < wanted.positions.size(); ++i) {
        const double error = worst_in_units(wanted.logits[i], expected[i]);
        EXPECT_LT(error, 1e-3) << "position " << wanted.positions[i];
        worst = std::max(worst, error);
    }
    if (is_asked_for()) {
        fmt::print(
            "{} tokens in {:.1f} s, {:.2f} MiB resident at most of {:.2f} planned, worst "
            "error {:.1e} units\n",
            tokens, time.count(), static_cast<double>(peak) / 1048576,
            static_cast<double>(planned) / 1048576, worst);
    }
}

}  // namespace
}  // namespace weir::engine::testing
