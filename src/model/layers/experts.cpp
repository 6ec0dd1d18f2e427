#include "model/layers/experts.h"

#include <algorithm>

#include "base/check.h"
#include "kernels/matmul.h"
#include "kernels/thread_pool.h"
#include "model/layers/mlp.h"

namespace weir::model {

namespace {

// Rows of x with an expert each are taken together in tiles of so many, so that the scratch does
// not grow with the number of experts that a row takes.
size_t tile_pairs(size_t rows, size_t chosen) {
    constexpr size_t kTileMin = 64;
    return std::min(rows * chosen, std::max(rows, kTileMin));
}

// A row and one of its experts.
struct Pair {
    uint32_t row = 0;
    uint32_t expert = 0;
    float weight = 0;
};

// Two products an expert at most, and an expert of a tile has a row in it.
size_t jobs_max(const ExpertBank& bank, size_t tile) {
    return 2 * std::min(bank.experts.size(), tile);
}

size_t product_bytes(const ExpertBank& bank, size_t tile) {
    return kernels::Activations::scratch_bytes(tile, std::max(bank.hidden(), bank.width()));
}

// The scratch of one run, in the order in which it is taken.
struct Tile {
    std::span<float> x;     // [tile, hidden]; then the experts' outputs
    std::span<float> gate;  // [tile, width]
    std::span<float> up;    // [tile, width]
    std::span<kernels::MatmulJob> jobs;
    std::span<kernels::WeightedRow> terms;
    std::span<std::byte> quantized;

    static uint64_t bytes(const ExpertBank& bank, size_t tile) {
        return array_bytes<float>(tile * bank.hidden()) +
               2 * array_bytes<float>(tile * bank.width()) +
               array_bytes<kernels::MatmulJob>(jobs_max(bank, tile)) +
               array_bytes<kernels::WeightedRow>(tile) +
               ScratchArena::padded(product_bytes(bank, tile));
    }
    Tile(ScratchArena& scratch, const ExpertBank& bank, size_t tile)
        : x(scratch.take_floats(tile * bank.hidden())),
          gate(scratch.take_floats(tile * bank.width())),
          up(scratch.take_floats(tile * bank.width())),
          jobs(scratch.take_array<kernels::MatmulJob>(jobs_max(bank, tile))),
          terms(scratch.take_array<kernels::WeightedRow>(tile)),
          quantized(scratch.take(product_bytes(bank, tile))) {}
};

class Run {
  public:
    Run(const Pass& pass, const ExpertBank& bank, Tile tile, std::span<const float> x,
        std::span<float> out)
        : compute_(pass.compute), bank_(bank), tile_(tile), x_(x), out_(out) {}

    // The pairs of one tile, ascending in experts.
    void run(std::span<const Pair> pairs) {
        gather(pairs);
        kernels::Activations x(tile_.x.data(), pairs.size(), bank_.hidden(), tile_.quantized);
        size_t jobs = 0;
        for_experts(pairs, [&](const Expert& expert, uint32_t, size_t first, size_t count) {
            tile_.jobs[jobs++] = job(expert.gate, tile_.gate, first, count);
            tile_.jobs[jobs++] = job(expert.up, tile_.up, first, count);
        });
        kernels::matmul(compute_, x, tile_.jobs.first(jobs));
        add_biases(pairs, bank_.gate_bias, tile_.gate);
        add_biases(pairs, bank_.up_bias, tile_.up);
        activate(pairs.size() * bank_.width());

        kernels::Activations gated(tile_.gate.data(), pairs.size(), bank_.width(), tile_.quantized);
        jobs = 0;
        for_experts(pairs, [&](const Expert& expert, uint32_t, size_t first, size_t count) {
            tile_.jobs[jobs++] = job(expert.down, tile_.x, first, count);
        });
        kernels::matmul(compute_, gated, tile_.jobs.first(jobs));
        add_biases(pairs, bank_.down_bias, tile_.x);
        for (size_t i = 0; i < pairs.size(); ++i) {
            tile_.terms[i] = {pairs[i].row, bank_.scale_input ? 1.0f : pairs[i].weight};
        }
        kernels::add_weighted_rows(compute_, tile_.terms.first(pairs.size()), tile_.x.data(),
                                   bank_.hidden(), out_.data());
    }

  private:
    // Calls body(expert, its number, first, count) for each expert's stretch of the pairs.
    template <typename Body>
    void for_experts(std::span<const Pair> pairs, const Body& body) const {
        for (size_t first = 0; first < pairs.size();) {
            const uint32_t number = pairs[first].expert;
            size_t end = first + 1;
            while (end < pairs.size() && pairs[end].expert == number) {
                ++end;
            }
            body(bank_.experts[number], number, first, end - first);
            first = end;
        }
    }

    static kernels::MatmulJob job(const tensor::MatrixView& weight, std::span<float> out,
                                  size_t first, size_t count) {
        return {.weight = weight,
                .out = out.data() + first * weight.rows,
                .out_stride = weight.rows,
                .first_row = first,
                .rows = count};
    }

    void gather(std::span<const Pair> pairs) {
        const size_t hidden = bank_.hidden();
        compute_.pool.parallel_for(pairs.size(), 16, [&](size_t begin, size_t end) {
            for (size_t i = begin; i < end; ++i) {
                const float factor = bank_.scale_input ? pairs[i].weight : 1.0f;
                const float* from = x_.data() + pairs[i].row * hidden;
                float* to = tile_.x.data() + i * hidden;
                for (size_t d = 0; d < hidden; ++d) {
                    to[d] = from[d] * factor;
                }
            }
        });
    }

    // `bias` is [experts, columns] or empty.
    void add_biases(std::span<const Pair> pairs, std::span<const float> bias,
                    std::span<float> rows) const {
        if (bias.empty()) {
            return;
        }
        const size_t columns = bias.size() / bank_.experts.size();
        for_experts(pairs, [&](const Expert&, uint32_t number, size_t first, size_t count) {
            kernels::add_bias(compute_, bias.subspan(number * columns, columns), count,
                              rows.data() + first * columns);
        });
    }

    void activate(size_t count) const {
        if (bank_.clamp) {
            kernels::swiglu_clamped(compute_, *bank_.clamp, tile_.gate.data(), tile_.up.data(),
                                    count, tile_.gate.data());
        } else {
            gate_mul(compute_, bank_.activation, tile_.gate.data(), tile_.up.data(), count,
                     tile_.gate.data());
        }
    }

    const kernels::Compute& compute_;
    const ExpertBank& bank_;
    Tile tile_;
    std::span<const float> x_;
    std::span<float> out_;
};

// All rows' choices, ascending in experts and then in rows.
void sort_by_expert(std::span<const Choice> choices, size_t chosen, std::span<uint32_t> places,
                    std::span<Pair> pairs) {
    std::ranges::fill(places, 0u);
    for (const Choice& choice : choices) {
        ++places[choice.expert];
    }
    uint32_t place = 0;
    for (uint32_t& count : places) {
        const uint32_t begin = place;
        place += count;
        count = begin;
    }
    for (size_t i = 0; i < choices.size(); ++i) {
        pairs[places[choices[i].expert]++] = {static_cast<uint32_t>(i / chosen), choices[i].expert,
                                              choices[i].weight};
    }
}

}  // namespace

uint64_t expert_scratch_bytes(const ExpertBank& bank, size_t rows, size_t chosen) {
    return array_bytes<Pair>(rows * chosen) + array_bytes<uint32_t>(bank.experts.size()) +
           Tile::bytes(bank, tile_pairs(rows, chosen));
}

void run_experts(const Pass& pass, const ExpertBank& bank, std::span<const float> x,
                 std::span<const Choice> choices, size_t chosen, std::span<float> out) {
    WEIR_ASSERT(choices.size() == pass.rows * chosen);
    const auto pairs = pass.scratch.take_array<Pair>(choices.size());
    const auto places = pass.scratch.take_array<uint32_t>(bank.experts.size());
    sort_by_expert(choices, chosen, places, pairs);
    const size_t size = tile_pairs(pass.rows, chosen);
    Run run(pass, bank, Tile(pass.scratch, bank, size), x, out);
    for (size_t at = 0; at < pairs.size(); at += size) {
        run.run(pairs.subspan(at, std::min(size, pairs.size() - at)));
    }
}

}  // namespace weir::model
