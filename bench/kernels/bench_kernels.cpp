// What the matrix kernels reach of what the machine can give, measured in the same run: bytes of
// weights per second against a loop that only reads memory, products per second against a loop
// that only multiplies registers.
//
//   bench_kernels [--threads N] [--types Q8_0,Q4_K,…] [--batch 1,4,16,512] [--milliseconds M]
//
// The weights of one shape are repeated until they exceed the last-level cache (as the layers of a
// model do), so a batch of one is served from memory. Every figure is the best of nine
// rounds: what disturbs a round only ever makes it slower.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "kernels/attention.h"
#include "kernels/matmul.h"
#include "kernels/test_support.h"
#include "kernels/thread_pool.h"

namespace weir::kernels {
namespace {

constexpr size_t kWorkingSet = size_t{700} << 20;  // bytes of weights walked through

struct Options {
    size_t threads = 2;
    std::vector<std::string> types = {"Q8_0", "Q4_K", "Q6_K", "Q4_0", "F16"};
    std::vector<size_t> batches = {1, 4, 16, 512};
    double seconds = 0.1;
};

std::vector<std::string> split(std::string_view text) {
    std::vector<std::string> parts;
    while (!text.empty()) {
        const size_t comma = text.find(',');
        parts.emplace_back(text.substr(0, comma));
        text = comma == std::string_view::npos ? "" : text.substr(comma + 1);
    }
    return parts;
}

// Seconds per call of `body`, the best of nine rounds that last `seconds` each.
double time_of(double seconds, const std::function<void()>& body) {
    using Clock = std::chrono::steady_clock;
    body();
    std::vector<double> rounds;
    for (int round = 0; round < 9; ++round) {
        const auto begin = Clock::now();
        size_t calls = 0;
        double elapsed = 0;
        do {
            body();
            ++calls;
            elapsed = std::chrono::duration<double>(Clock::now() - begin).count();
        } while (elapsed < seconds);
        rounds.push_back(elapsed / static_cast<double>(calls));
    }
    return *std::min_element(rounds.begin(), rounds.end());
}

// Memory of which every page is its own, not the shared page of zeros.
std::vector<std::byte> filled(size_t bytes) {
    std::vector<std::byte> memory(bytes);
    for (size_t i = 0; i < bytes; i += 64) {
        memory[i] = static_cast<std::byte>(i >> 6);
    }
    return memory;
}

#if defined(__x86_64__)
[[gnu::target("avx512f,avx512vnni")]] uint64_t read_512(const std::byte* p, size_t bytes) {
    __m512i sums[4] = {};
    for (size_t i = 0; i + 256 <= bytes; i += 256) {
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; ++j) {
            sums[j] = _mm512_xor_si512(sums[j], _mm512_loadu_si512(p + i + 64 * j));
        }
    }
    alignas(64) uint64_t words[8];
    _mm512_store_si512(words, _mm512_xor_si512(_mm512_xor_si512(sums[0], sums[1]),
                                               _mm512_xor_si512(sums[2], sums[3])));
    return words[0] ^ words[1] ^ words[2] ^ words[3] ^ words[4] ^ words[5] ^ words[6] ^ words[7];
}

[[gnu::target("avx512f,avx512vnni")]] void multiply_512(size_t rounds, int32_t* sink) {
    __m512i sums[16] = {};
    __m512i a = _mm512_set1_epi8(3);
    __m512i b = _mm512_set1_epi8(5);
    for (size_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
        for (size_t j = 0; j < 16; ++j) {
            sums[j] = _mm512_dpbusd_epi32(sums[j], a, b);
            asm volatile("" : "+v"(sums[j]));
        }
    }
#pragma GCC unroll 16
    for (size_t j = 0; j < 16; ++j) {
        a = _mm512_xor_si512(a, sums[j]);
    }
    _mm512_storeu_si512(sink, a);
}

bool has_vnni() {
    return __builtin_cpu_supports("avx512vnni");
}
#endif

uint64_t read_plain(const std::byte* p, size_t bytes) {
    uint64_t sum = 0;
    for (size_t i = 0; i + 8 <= bytes; i += 8) {
        uint64_t word = 0;
        std::memcpy(&word, p + i, 8);
        sum ^= word;
    }
    return sum;
}

double read_bandwidth(const Options& options, ThreadPool& pool) {
    const std::vector<std::byte> memory = filled(kWorkingSet);
    std::vector<uint64_t> sink(1024);
    const size_t part = memory.size() / 1024;
    const double seconds = time_of(options.seconds, [&] {
        pool.parallel_for(1024, 8, [&](size_t begin, size_t end) {
            const std::byte* p = memory.data() + begin * part;
            const size_t bytes = (end - begin) * part;
#if defined(__x86_64__)
            if (has_vnni()) {
                sink[begin] = read_512(p, bytes);
                return;
            }
#endif
            sink[begin] = read_plain(p, bytes);
        });
    });
    return static_cast<double>(memory.size()) / seconds;
}

double int8_peak([[maybe_unused]] const Options& options, [[maybe_unused]] ThreadPool& pool) {
#if defined(__x86_64__)
    if (has_vnni()) {
        constexpr size_t kRounds = 100000;
        std::vector<int32_t> sink(16 * pool.threads());
        const double seconds = time_of(options.seconds, [&] {
            pool.parallel_for(pool.threads(), 1, [&](size_t begin, size_t) {
                multiply_512(kRounds, sink.data() + 16 * begin);
            });
        });
        return static_cast<double>(kRounds * 16 * 64 * pool.threads()) / seconds;
    }
#endif
    return 0;
}

struct Shape {
    size_t rows, columns;
};

void bench_matmul(const Options& options, const Compute& compute, double bandwidth, double peak) {
    fmt::print("{:6} {:>7} {:>6} {:>5} {:>10} {:>9} {:>7} {:>10} {:>7}\n", "type", "rows", "cols",
               "batch", "us", "GB/s", "%read", "GMAC/s", "%int8");
    for (const std::string& type : options.types) {
        for (const auto& [rows, columns] :
             {Shape{2048, 2048}, Shape{8192, 2048}, Shape{2048, 8192}, Shape{128256, 2048}}) {
            const auto all = tensor::all_dtypes();
            const auto found = std::find_if(all.begin(), all.end(),
                                            [&](const auto& row) { return row.name == type; });
            if (found == all.end()) {
                fmt::print(stderr, "no type {}\n", type);
                std::exit(2);
            }
            // A few distinct rows, repeated: what they hold does not matter to the speed.
            const testing::Weights seedling(found->dtype, 16, columns, 1);
            const size_t bytes = seedling.bytes.size() / 16 * rows;
            const size_t copies = std::max<size_t>(1, kWorkingSet / bytes);
            std::vector<std::byte> memory(copies * bytes);
            for (size_t at = 0; at < memory.size(); at += seedling.bytes.size()) {
                std::memcpy(memory.data() + at, seedling.bytes.data(), seedling.bytes.size());
            }
            for (const size_t batch : options.batches) {
                if (batch > 16 && rows > 10000) {
                    continue;  // logits are taken of few tokens
                }
                const std::vector<float> x = testing::normal_values(batch * columns, 2);
                testing::Scratch scratch(batch, columns);
                std::vector<float> out(batch * rows);
                size_t turn = 0;
                const double seconds = time_of(options.seconds, [&] {
                    const auto view = tensor::MatrixView::over(
                                          found->dtype, rows, columns,
                                          std::span(memory).subspan(turn++ % copies * bytes, bytes))
                                          .value();
                    Activations activations(x.data(), batch, columns, scratch.span());
                    matmul(compute, view, activations, out.data(), rows);
                });
                const double rate = static_cast<double>(bytes) / seconds;
                const double products = static_cast<double>(rows * columns * batch) / seconds;
                fmt::print("{:6} {:7} {:6} {:5} {:10.1f} {:9.2f} {:6.1f}% {:10.1f} {:6.1f}%\n",
                           type, rows, columns, batch, seconds * 1e6, rate / 1e9,
                           100 * rate / bandwidth, products / 1e9,
                           peak > 0 ? 100 * products / peak : 0.0);
            }
        }
    }
}

// Attention of one layer of the 1B model (32 heads, 8 KV heads, 64 wide, float16 cache).
void bench_attention(const Options& options, const Compute& compute) {
    const KvLayout layout{tensor::DType::F16, 16, 8, 64, 64};
    fmt::print("{:>9} {:>6} {:>10} {:>10}\n", "attention", "rows", "us", "GMAC/s");
    for (const auto& [rows, context] : {std::pair<size_t, size_t>{1, 512}, {1, 4096}, {512, 512}}) {
        const size_t blocks = (context + 15) / 16;
        std::vector<std::byte> memory(blocks * layout.block_bytes());
        std::vector<std::byte*> pointers;
        for (size_t i = 0; i < blocks; ++i) {
            pointers.push_back(memory.data() + i * layout.block_bytes());
        }
        const PagedKv sequence{pointers.data()};
        std::vector<QueryRow> queries;
        size_t visible = 0;
        for (size_t r = 0; r < rows; ++r) {
            const auto end = static_cast<uint32_t>(context - rows + r + 1);
            queries.push_back({0, 0, end});
            visible += end;
        }
        const std::vector<float> q = testing::normal_values(rows * 2048, 3);
        std::vector<float> out(rows * 2048);
        const double seconds = time_of(options.seconds, [&] {
            attention(compute, {.layout = layout,
                                .sequences = {&sequence, 1},
                                .rows = queries,
                                .heads = 32,
                                .scale = 0.125f,
                                .q = q.data(),
                                .q_stride = 2048,
                                .out = out.data(),
                                .out_stride = 2048});
        });
        fmt::print("{:9} {:6} {:10.1f} {:10.1f}\n", context, rows, seconds * 1e6,
                   static_cast<double>(visible * 2 * 2048) / seconds / 1e9);
    }
}

int run(int argc, char** argv) {
    Options options;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view flag = argv[i];
        const std::string_view value = argv[i + 1];
        if (flag == "--threads") {
            options.threads = static_cast<size_t>(std::atoi(argv[i + 1]));
        } else if (flag == "--types") {
            options.types = split(value);
        } else if (flag == "--batch") {
            options.batches.clear();
            for (const std::string& part : split(value)) {
                options.batches.push_back(static_cast<size_t>(std::atoi(part.c_str())));
            }
        } else if (flag == "--milliseconds") {
            options.seconds = std::atoi(argv[i + 1]) / 1000.0;
        } else {
            fmt::print(stderr, "unknown flag {}\n", flag);
            return 2;
        }
    }
    const auto kernels = select_kernels_from_environment();
    if (!kernels) {
        fmt::print(stderr, "{}\n", kernels.error().message);
        return 2;
    }
    ThreadPool pool(options.threads);
    const Compute compute{**kernels, pool};
    const double bandwidth = read_bandwidth(options, pool);
    const double peak = int8_peak(options, pool);
    fmt::print("kernels {}, {} threads; memory read {:.2f} GB/s; int8 peak {:.1f} GMAC/s\n",
               name(**kernels), options.threads, bandwidth / 1e9, peak / 1e9);
    bench_matmul(options, compute, bandwidth, peak);
    bench_attention(options, compute);
    return 0;
}

}  // namespace
}  // namespace weir::kernels

int main(int argc, char** argv) {
    return weir::kernels::run(argc, argv);
}
