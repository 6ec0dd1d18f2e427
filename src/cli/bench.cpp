#include "cli/bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <vector>

#include "engine/local_model.h"
#include "engine/measure.h"
#include "json/write.h"
#include "kernels/thread_pool.h"

namespace weir::cli {
namespace {

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

// Bytes a second that the pool's threads read, from memory far larger than the caches.
double read_bandwidth(kernels::ThreadPool& pool) {
    constexpr size_t kWords = size_t{512} << 17;  // 512 MiB
    const std::vector<uint64_t> words(kWords, 1);
    std::vector<double> rounds;
    for (int round = 0; round < 3; ++round) {
        std::atomic<uint64_t> sink = 0;
        const auto start = std::chrono::steady_clock::now();
        pool.parallel_for(kWords, kWords / 64, [&](size_t begin, size_t end) {
            uint64_t sum = 0;
            for (size_t i = begin; i < end; ++i) {
                sum += words[i];
            }
            sink += sum;
        });
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
        rounds.push_back(sink == kWords ? static_cast<double>(kWords * 8) / took.count() : 0);
    }
    return *std::max_element(rounds.begin(), rounds.end());
}

std::string numbers(const std::vector<double>& values) {
    std::string out;
    for (const double value : values) {
        out += fmt::format("{}{:.2f}", out.empty() ? "" : " ", value);
    }
    return out;
}

std::string as_text(const engine::Speed& speed, uint64_t weight_bytes, double bandwidth) {
    std::string out = fmt::format("prefill            {:10.2f} tokens/s   rounds: {}\n",
                                  median(speed.prefill_tokens_per_second),
                                  numbers(speed.prefill_tokens_per_second));
    for (const engine::DecodeSpeed& decode : speed.decode) {
        out += fmt::format("decode, {:2} together {:9.2f} tokens/s   rounds: {}\n", decode.batch,
                           median(decode.tokens_per_second), numbers(decode.tokens_per_second));
    }
    const double alone = median(speed.decode.front().tokens_per_second);
    out +=
        fmt::format("memory read        {:10.2f} GB/s; decode reads {:.2f} GB/s, {:.0f} % of it\n",
                    bandwidth / 1e9, alone * static_cast<double>(weight_bytes) / 1e9,
                    100 * alone * static_cast<double>(weight_bytes) / bandwidth);
    return out;
}

std::string as_json(const engine::Speed& speed, uint64_t weight_bytes, double bandwidth) {
    std::string out;
    json::Writer writer(out);
    const auto list = [&](const std::vector<double>& values) {
        writer.begin_array();
        for (const double value : values) {
            writer.value(value);
        }
        writer.end_array();
    };
    writer.begin_object()
        .member("weight_bytes", weight_bytes)
        .member("read_bytes_per_second", bandwidth)
        .key("prefill_tokens_per_second");
    list(speed.prefill_tokens_per_second);
    writer.key("decode").begin_array();
    for (const engine::DecodeSpeed& decode : speed.decode) {
        writer.begin_object().member("batch", decode.batch).key("tokens_per_second");
        list(decode.tokens_per_second);
        writer.end_object();
    }
    writer.end_array().end_object();
    return out + "\n";
}

}  // namespace

Result<void> bench(const ModelAccess& access, const std::string& model,
                   const BenchOptions& options) {
    WEIR_TRY_ASSIGN(auto source, access.open(model));
    WEIR_TRY_ASSIGN(const auto device, engine::ComputeDevice::open(options.threads));
    WEIR_TRY_ASSIGN(
        const auto loaded,
        model::load_model(std::move(source), {.context_tokens = 4096}, device->compute()));
    WEIR_TRY_ASSIGN(
        const auto speed,
        engine::measure(*loaded, {.prompt_tokens = options.prompt_tokens, .rounds = options.rounds},
                        system_clock()));
    const double bandwidth = read_bandwidth(device->compute().pool);
    const uint64_t bytes = loaded->info().weight_bytes;
    const std::string text = options.form == OutputForm::Json ? as_json(speed, bytes, bandwidth)
                                                              : as_text(speed, bytes, bandwidth);
    std::fwrite(text.data(), 1, text.size(), stdout);
    return {};
}

}  // namespace weir::cli
