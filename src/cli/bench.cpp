#include "cli/bench.h"

#include <fmt/format.h>

#include <algorithm>
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

std::string numbers(const std::vector<double>& values) {
    std::string out;
    for (const double value : values) {
        out += fmt::format("{}{:.2f}", out.empty() ? "" : " ", value);
    }
    return out;
}

// What is read faster than memory can be read does not come from memory.
std::string share_text(double read_rate, double bandwidth) {
    return read_rate > bandwidth ? std::string("from the caches, which the model fits: no share")
                                 : fmt::format("{:.0f} % of that", 100 * read_rate / bandwidth);
}

std::string as_text(const engine::Speed& speed, uint64_t weight_bytes) {
    std::string out = fmt::format("prefill            {:10.2f} tokens/s   rounds: {}\n",
                                  median(speed.prefill_tokens_per_second),
                                  numbers(speed.prefill_tokens_per_second));
    for (const engine::DecodeSpeed& decode : speed.decode) {
        out += fmt::format("decode, {:2} together {:9.2f} tokens/s   rounds: {}\n", decode.batch,
                           median(decode.tokens_per_second), numbers(decode.tokens_per_second));
    }
    const double decode =
        median(speed.decode.front().tokens_per_second) * static_cast<double>(weight_bytes);
    const double bandwidth = median(speed.read_bytes_per_second);
    std::vector<double> gigabytes = speed.read_bytes_per_second;
    for (double& rate : gigabytes) {
        rate /= 1e9;
    }
    out += fmt::format("memory read        {:10.2f} GB/s       rounds: {}\n", bandwidth / 1e9,
                       numbers(gigabytes));
    out += fmt::format("decode reads       {:10.2f} GB/s       {}\n", decode / 1e9,
                       share_text(decode, bandwidth));
    return out;
}

std::string as_json(const engine::Speed& speed, uint64_t weight_bytes) {
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
        .member("read_bytes_per_second", median(speed.read_bytes_per_second))
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
    WEIR_TRY_ASSIGN(const auto speed, engine::measure(*loaded,
                                                      {.prompt_tokens = options.prompt_tokens,
                                                       .rounds = options.rounds,
                                                       .readers = &device->compute().pool},
                                                      system_clock()));
    const uint64_t bytes = loaded->info().weight_bytes;
    const std::string text =
        options.form == OutputForm::Json ? as_json(speed, bytes) : as_text(speed, bytes);
    std::fwrite(text.data(), 1, text.size(), stdout);
    return {};
}

}  // namespace weir::cli
