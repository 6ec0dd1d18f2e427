#include "model/layers/block.h"

#include <algorithm>

#include "base/check.h"
#include "kernels/row_ops.h"

namespace weir::model {

namespace {

// One pass of a block: its arrays, and the scratch behind them for the parts, one after the other.
class BlockPass {
  public:
    BlockPass(const Block& block, const Pass& pass, std::span<float> x)
        : block_(block),
          pass_(pass),
          x_(x),
          hidden_(x.size() / pass.rows),
          normed_(pass.scratch.take_floats(x.size())),
          out_(pass.scratch.take_floats(x.size())),
          quantized_(pass.scratch.take(kernels::Activations::scratch_bytes(pass.rows, hidden_))),
          mark_(pass.scratch.mark()) {}

    void run(const LayerMemory& memory) {
        kernels::Activations input = normed(block_.before_mixer);
        mix(memory, input);
        if (block_.form == BlockForm::Parallel) {
            const std::span<float> mixed = out_;
            out_ = pass_.scratch.take_floats(x_.size());
            mark_ = pass_.scratch.mark();
            feed(input);
            kernels::add(pass_.compute, mixed.data(), out_.data(), x_.size(), out_.data());
            add_to_stream({});
            add_layer_input();
            return;
        }
        if (block_.form == BlockForm::NormBehind) {
            add_and_norm(block_.after_mixer);
            kernels::Activations second = normed({});
            feed(second);
            add_and_norm(block_.after_feed_forward);
            return;
        }
        add_to_stream(block_.after_mixer);
        kernels::Activations second = normed(block_.before_feed_forward);
        feed(second);
        add_to_stream(block_.after_feed_forward);
        add_layer_input();
    }

  private:
    kernels::Activations normed(const std::optional<Norm>& norm) {
        const float* values = x_.data();
        if (norm) {
            apply(pass_.compute, *norm, x_.data(), pass_.rows, hidden_, normed_.data());
            values = normed_.data();
        }
        return {values, pass_.rows, hidden_, quantized_};
    }

    void mix(const LayerMemory& memory, kernels::Activations& input) {
        block_.mixer->run(pass_, memory, {input, x_}, out_);
        pass_.scratch.rewind(mark_);
    }

    void feed(kernels::Activations& input) {
        block_.feed_forward->run(pass_, {input, x_}, out_);
        pass_.scratch.rewind(mark_);
    }

    void add_and_norm(const std::optional<Norm>& norm) {
        add_to_stream({});
        if (norm) {
            apply(pass_.compute, *norm, x_.data(), pass_.rows, hidden_, x_.data());
        }
    }

    void add_layer_input() {
        if (block_.layer_input) {
            kernels::Activations stream = normed({});
            model::run(*block_.layer_input, pass_, stream, out_);
            pass_.scratch.rewind(mark_);
            kernels::add(pass_.compute, x_.data(), out_.data(), x_.size(), x_.data());
        }
        if (!block_.output_scale.empty()) {
            kernels::scale(pass_.compute, block_.output_scale.front(), x_.size(), x_.data());
        }
    }

    void add_to_stream(const std::optional<Norm>& after) {
        if (after) {
            apply(pass_.compute, *after, out_.data(), pass_.rows, hidden_, out_.data());
        }
        if (block_.residual_scale != 1) {
            kernels::scale(pass_.compute, block_.residual_scale, x_.size(), out_.data());
        }
        kernels::add(pass_.compute, x_.data(), out_.data(), x_.size(), x_.data());
    }

    const Block& block_;
    const Pass& pass_;
    std::span<float> x_;
    size_t hidden_;
    std::span<float> normed_;
    std::span<float> out_;
    std::span<std::byte> quantized_;
    ScratchArena::Mark mark_;
};

}  // namespace

uint64_t scratch_bytes(const Block& block, size_t rows, size_t hidden) {
    const uint64_t stream = float_bytes(rows, hidden);
    const uint64_t arrays = block.form == BlockForm::Parallel ? 3 : 2;
    return arrays * stream + quantized_bytes(rows, hidden) +
           std::max({block.mixer->scratch_bytes(rows), block.feed_forward->scratch_bytes(rows),
                     block.layer_input ? scratch_bytes(*block.layer_input, rows) : 0});
}

void run(const Block& block, const Pass& pass, const LayerMemory& memory, std::span<float> x) {
    const ScratchArena::Mark mark = pass.scratch.mark();
    BlockPass(block, pass, x).run(memory);
    pass.scratch.rewind(mark);
}

}  // namespace weir::model
