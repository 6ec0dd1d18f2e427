// How fast texts become tokens inside the process, and how long a vocabulary takes to load.
//
//   bench_tokenizers MODEL TEXT [--benchmark_… options]
//
// MODEL is a GGUF file or a folder with a tokenizer; TEXT a file of ordinary text, which is
// repeated to 4 MiB. The other rows are the texts that a tokenizer may choke on, a MiB each: one
// letter, random letters without a space, spaces, one long line of CJK characters. One thread, but
// for the last row.

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <thread>

#include "engine/local_model.h"
#include "model/load.h"

namespace weir {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

text::Tokenizer load(const std::string& path) {
    auto source = model::ModelSource::open(path);
    auto tokenizer = source ? engine::load_tokenizer(**source)
                            : Result<text::Tokenizer>(std::unexpected(source.error()));
    if (!tokenizer) {
        fmt::print(stderr, "{}: {}\n", path, tokenizer.error().message);
        std::exit(1);
    }
    return *std::move(tokenizer);
}

std::string repeated(std::string_view part, size_t bytes) {
    std::string text;
    while (text.size() + part.size() <= bytes || text.empty()) {
        text += part;
    }
    return text;
}

std::string random_letters(size_t bytes) {
    std::mt19937 random(1);
    std::string text(bytes, 'a');
    for (char& letter : text) {
        letter = static_cast<char>('a' + random() % 26);
    }
    return text;
}

void encode(benchmark::State& state, const text::Tokenizer& tokenizer, const std::string& text,
            unsigned threads) {
    size_t tokens = 0;
    for (auto _ : state) {
        const auto ids = tokenizer.encode(text, {.threads_max = threads});
        tokens = ids ? ids->size() : 0;
        benchmark::DoNotOptimize(tokens);
    }
    state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * text.size()));
    state.counters["tokens"] = static_cast<double>(tokens);
}

void run(const std::string& model, const std::string& path) {
    const text::Tokenizer tokenizer = load(model);
    std::ifstream file(path, std::ios::binary);
    const std::string own{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    struct Row {
        const char* name;
        std::string text;
    };
    const Row rows[] = {
        {"text", repeated(own, 4 * kMiB)},
        {"one_letter", std::string(kMiB, 'a')},
        {"letters_without_a_space", random_letters(kMiB)},
        {"spaces", std::string(kMiB, ' ')},
        {"cjk", repeated("\u5929\u5730\u7384\u9EC4\u5B87\u5B99\u6D2A\u8352", kMiB)}};
    benchmark::RegisterBenchmark("load", [&](benchmark::State& state) {
        for (auto _ : state) {
            benchmark::DoNotOptimize(load(model).vocab_size());
        }
    })->Unit(benchmark::kMillisecond);
    for (const Row& row : rows) {
        benchmark::RegisterBenchmark(row.name, [&](benchmark::State& state) {
            encode(state, tokenizer, row.text, 1);
        })->Unit(benchmark::kMillisecond);
    }
    const unsigned threads = std::max(1u, std::thread::hardware_concurrency());
    benchmark::RegisterBenchmark(
        "text_on_all_cores",
        [&](benchmark::State& state) { encode(state, tokenizer, rows[0].text, threads); })
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime();
    benchmark::RunSpecifiedBenchmarks();
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    if (argc != 3) {
        fmt::print(stderr, "usage: bench_tokenizers MODEL TEXT\n");
        return 2;
    }
    weir::run(argv[1], argv[2]);
    return 0;
}
