#include "engine/measure.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>
#include <random>

#include "base/metrics.h"
#include "engine/engine.h"
#include "kernels/thread_pool.h"
#include "kv/memory_region.h"

namespace weir::engine {
namespace {

// Ends are noted by the clock as the engine tells them.
class TimingSink final : public GenerationSink {
  public:
    explicit TimingSink(const Clock& clock) : clock_(clock) {}
    void on_started() override {}
    Result<Verdict> on_token(uint32_t, const SampledToken&) override {
        const auto now = clock_.now();
        first = tokens == 0 ? now : first;
        last = now;
        ++tokens;
        return Verdict::Continue;
    }
    void on_choice_finished(uint32_t, chat::FinishReason) override {}
    void on_finished(const chat::Usage&) override {}
    void on_failed(const Error& why) override { error = why; }

    uint32_t tokens = 0;
    Clock::TimePoint first;
    Clock::TimePoint last;
    std::optional<Error> error;

  private:
    const Clock& clock_;
};

class Measurer {
  public:
    Measurer(model::Model& model, const MeasureOptions& options, const Clock& clock)
        : options_(options), clock_(clock), vocabulary_(model.info().vocabulary) {}

    Result<std::unique_ptr<Engine>> make_engine(model::Model& model) {
        const uint32_t most = *std::max_element(options_.batches.begin(), options_.batches.end());
        const kv::StateSpec& spec = model.state_spec();
        const uint64_t tokens = options_.prompt_tokens + 1 +
                                uint64_t{most} * (options_.decode_prompt + options_.decode_tokens);
        const uint64_t blocks = tokens / spec.block_tokens + 2 * (uint64_t{most} + 1);
        EngineConfig config;
        config.kv_bytes = blocks * spec.groups.size() * kv::pool_block_bytes(spec) +
                          (spec.recurrent_bytes + 64) * 8 * most;
        config.sequences_max = most;
        config.prompt_logit_rows = 0;
        // Throughput is measured, not a step's latency.
        config.prompt_step_target = std::chrono::hours{1};
        config.inter_token_target = std::chrono::hours{1};
        return Engine::create(model, config, clock_, registry_);
    }

    Result<double> prefill(Engine& engine) {
        engine.drop_prefixes();
        WEIR_TRY_ASSIGN(const auto sink, submit(engine, options_.prompt_tokens, 1));
        const auto begun = clock_.now();
        while (engine.step()) {
        }
        WEIR_TRY(check(*sink));
        return options_.prompt_tokens / std::chrono::duration<double>(sink->first - begun).count();
    }

    Result<double> decode(Engine& engine, uint32_t batch) {
        engine.drop_prefixes();
        std::vector<std::shared_ptr<TimingSink>> sinks;
        for (uint32_t i = 0; i < batch; ++i) {
            WEIR_TRY_ASSIGN(auto sink,
                            submit(engine, options_.decode_prompt, options_.decode_tokens));
            sinks.push_back(std::move(sink));
        }
        const auto everybody_decodes = [&] {
            return std::all_of(sinks.begin(), sinks.end(),
                               [](const auto& sink) { return sink->tokens > 0; });
        };
        while (!everybody_decodes() && engine.step()) {
        }
        const auto begun = clock_.now();
        uint32_t before = 0;
        for (const auto& sink : sinks) {
            before += sink->tokens;
        }
        while (engine.step()) {
        }
        uint32_t after = 0;
        Clock::TimePoint end = begun;
        for (const auto& sink : sinks) {
            WEIR_TRY(check(*sink));
            after += sink->tokens;
            end = std::max(end, sink->last);
        }
        return (after - before) / std::chrono::duration<double>(end - begun).count();
    }

  private:
    Result<std::shared_ptr<TimingSink>> submit(Engine& engine, uint32_t prompt_tokens,
                                               uint32_t tokens_max) {
        Generation generation;
        generation.prompts.resize(1);
        for (uint32_t i = 0; i < prompt_tokens; ++i) {
            generation.prompts[0].push_back(static_cast<TokenId>(random_() % vocabulary_));
        }
        generation.sampling.temperature = 0.0f;
        generation.sampling.tokens_max = tokens_max;
        auto sink = std::make_shared<TimingSink>(clock_);
        WEIR_TRY(engine.submit(std::move(generation), sink, {}));
        return sink;
    }

    static Result<void> check(const TimingSink& sink) {
        if (sink.error) {
            return std::unexpected(*sink.error);
        }
        if (sink.tokens == 0) {
            return weir::fail(ErrorCode::Internal, "no token came");
        }
        return {};
    }

    const MeasureOptions& options_;
    const Clock& clock_;
    const uint32_t vocabulary_;
    metrics::Registry registry_;
    std::mt19937_64 random_{1};
};

// How fast the machine lets the pool's threads read, to set decode's speed beside: a step of one
// sequence reads every weight once, so it can be no faster than this, and a loop that reads worse
// than the kernels do would give them more than 100 %.
//
// A thread that walks one array with loads alone waits for memory most of the time: 8 GB/s with two
// threads where 19 are possible (Xeon, model 207). What brings the rest is many lines asked for at
// once: four streams a thread, a prefetch a kilobyte ahead, loads of a whole line where the CPU has
// them (15 without), and huge pages. More streams, a longer way ahead, and AVX2 bring no more.
//
// As many bytes are read as the model has weights, up to 1 GiB: what the caches keep of a small
// model between two steps they keep here between two passes. And it is read in every round,
// because a machine shared with others gives twice as much in one second as in the next.
class ReadingLoop {
  public:
    static Result<ReadingLoop> open(kernels::ThreadPool& pool, uint64_t weight_bytes) {
        const uint64_t parts =
            std::clamp<uint64_t>(weight_bytes / kPartMin, 1, kBytesMax / kPartMin);
        WEIR_TRY_ASSIGN(auto region, kv::MemoryRegion::reserve(parts * kPartMin));
        // A page that was never written is the one page of zeros, and stays in the cache.
        std::memset(region.bytes().data(), 1, region.bytes().size());
        return ReadingLoop(pool, std::move(region));
    }

    // The best of the passes that fit a quarter of a second: others can only make one slower.
    double bytes_per_second(const Clock& clock) const {
        const auto bytes = static_cast<double>(region_.bytes().size());
        const auto begun = clock.now();
        double best = 0;
        for (auto now = begun; now - begun < std::chrono::milliseconds{250};) {
            const auto pass = now;
            read_once();
            now = clock.now();
            const std::chrono::duration<double> took = now - pass;
            best = std::max(best, took.count() > 0 ? bytes / took.count() : 0);
        }
        return best;
    }

  private:
    using Line [[gnu::vector_size(64), gnu::may_alias]] = uint64_t;
    static constexpr size_t kStreams = 4;
    static constexpr size_t kStride = 4 * sizeof(Line);
    static constexpr size_t kAhead = 1024;
    static constexpr uint64_t kPartMin = kStreams * kStride;
    static constexpr uint64_t kPartMax = uint64_t{4} << 20;
    static constexpr uint64_t kBytesMax = uint64_t{1} << 30;

    ReadingLoop(kernels::ThreadPool& pool, kv::MemoryRegion region)
        : pool_(&pool), region_(std::move(region)) {}

    [[gnu::always_inline]] static inline uint64_t fold(const std::byte* bytes, size_t count) {
        const size_t stream = count / kStreams;
        Line sums[4] = {};
        for (size_t i = 0; i < stream; i += kStride) {
            for (size_t s = 0; s < kStreams; ++s) {
                const std::byte* const at = bytes + s * stream + i;
                const auto* const lines = reinterpret_cast<const Line*>(at);
#pragma GCC unroll 4
                for (size_t j = 0; j < 4; ++j) {
                    __builtin_prefetch(at + kAhead + j * sizeof(Line));
                    sums[j] ^= lines[j];
                }
            }
        }
        const Line all = sums[0] ^ sums[1] ^ sums[2] ^ sums[3];
        return all[0] ^ all[1] ^ all[2] ^ all[3] ^ all[4] ^ all[5] ^ all[6] ^ all[7];
    }

    static uint64_t fold_plain(const std::byte* bytes, size_t count) { return fold(bytes, count); }

#if defined(__x86_64__)
    [[gnu::target("avx512f")]] static uint64_t fold_512(const std::byte* bytes, size_t count) {
        return fold(bytes, count);
    }
    static auto fastest() { return __builtin_cpu_supports("avx512f") ? fold_512 : fold_plain; }
#else
    static auto fastest() { return fold_plain; }
#endif

    void read_once() const {
        const auto read = fastest();
        const std::span<const std::byte> all = region_.bytes();
        const uint64_t part = std::clamp(all.size() / 64, kPartMin, kPartMax) / kPartMin;
        std::atomic<uint64_t> sink = 0;  // so that the reading is not left out
        pool_->parallel_for(all.size() / kPartMin, part, [&](size_t begin, size_t end) {
            sink ^= read(all.data() + begin * kPartMin, (end - begin) * kPartMin);
        });
    }

    kernels::ThreadPool* pool_;
    kv::MemoryRegion region_;
};

}  // namespace

Result<Speed> measure(model::Model& model, const MeasureOptions& options, const Clock& clock) {
    if (options.batches.empty() || std::ranges::count(options.batches, 0u) > 0 ||
        options.prompt_tokens == 0 || options.decode_prompt == 0 || options.decode_tokens < 2) {
        return invalid_argument("batches", "nothing to measure");
    }
    Measurer measurer(model, options, clock);
    WEIR_TRY_ASSIGN(const auto engine, measurer.make_engine(model));
    std::optional<ReadingLoop> reading;
    if (options.readers != nullptr) {
        WEIR_TRY_ASSIGN(reading, ReadingLoop::open(*options.readers, model.info().weight_bytes));
    }
    Speed speed;
    for (const uint32_t batch : options.batches) {
        speed.decode.push_back({.batch = batch});
    }
    for (uint32_t round = 0; round < options.rounds; ++round) {
        WEIR_TRY_ASSIGN(const double prefill, measurer.prefill(*engine));
        speed.prefill_tokens_per_second.push_back(prefill);
        for (DecodeSpeed& decode : speed.decode) {
            WEIR_TRY_ASSIGN(const double tokens_per_second, measurer.decode(*engine, decode.batch));
            decode.tokens_per_second.push_back(tokens_per_second);
        }
        if (reading) {
            speed.read_bytes_per_second.push_back(reading->bytes_per_second(clock));
        }
    }
    return speed;
}

}  // namespace weir::engine
