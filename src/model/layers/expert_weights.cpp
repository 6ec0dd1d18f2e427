#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "model/layers/experts.h"
#include "model/weight_binder.h"

namespace weir::model {

namespace {

// One tensor for all experts, [experts, rows, columns], as a matrix of experts * rows rows.
struct StackShape {
    uint64_t experts, rows, columns;
};

// to[c][r] = from[r][c] for one expert, in squares that fit the first cache.
void transpose(const std::byte* from, uint64_t rows, uint64_t columns, size_t element,
               std::byte* to) {
    constexpr uint64_t kSquare = 32;
    for (uint64_t row = 0; row < rows; row += kSquare) {
        for (uint64_t column = 0; column < columns; column += kSquare) {
            for (uint64_t r = row; r < std::min(rows, row + kSquare); ++r) {
                for (uint64_t c = column; c < std::min(columns, column + kSquare); ++c) {
                    std::memcpy(to + (c * rows + r) * element, from + (r * columns + c) * element,
                                element);
                }
            }
        }
    }
}

class ExpertBinder {
  public:
    ExpertBinder(WeightBinder& in, const TransformerConfig& config, const MoeConfig& moe)
        : in_(in), moe_(moe), hidden_(config.hidden) {
        out_.activation = config.activation;
        out_.clamp = moe.clamp;
        out_.scale_input = moe.scale_input;
        out_.experts.resize(moe.router.experts);
    }

    Result<ExpertBank> bind() {
        if (in_.has("ffn_gate_up_exps.weight")) {
            WEIR_TRY(bind_packed());
        } else if (in_.has("ffn_gate_exps.weight")) {
            WEIR_TRY(bind_stacked());
        } else {
            WEIR_TRY(bind_one_by_one());
        }
        if (moe_.expert_bias) {
            WEIR_TRY(bind_biases());
        }
        return std::move(out_);
    }

  private:
    uint64_t count() const { return moe_.router.experts; }
    uint64_t width() const { return moe_.width; }

    Result<void> bind_one_by_one() {
        for (size_t e = 0; e < out_.experts.size(); ++e) {
            Expert& expert = out_.experts[e];
            WEIR_TRY_ASSIGN(expert.gate,
                            in_.matrix(fmt::format("ffn_gate.{}.weight", e), width(), hidden_));
            WEIR_TRY_ASSIGN(expert.up,
                            in_.matrix(fmt::format("ffn_up.{}.weight", e), width(), hidden_));
            WEIR_TRY_ASSIGN(expert.down,
                            in_.matrix(fmt::format("ffn_down.{}.weight", e), hidden_, width()));
        }
        return {};
    }

    Result<void> bind_stacked() {
        WEIR_TRY_ASSIGN(const auto gate,
                        in_.stack("ffn_gate_exps.weight", count(), width(), hidden_));
        WEIR_TRY_ASSIGN(const auto up, in_.stack("ffn_up_exps.weight", count(), width(), hidden_));
        WEIR_TRY_ASSIGN(const auto down,
                        in_.stack("ffn_down_exps.weight", count(), hidden_, width()));
        for (size_t e = 0; e < out_.experts.size(); ++e) {
            out_.experts[e].gate = gate.slice(e * width(), width());
            out_.experts[e].up = up.slice(e * width(), width());
        }
        set_down(down);
        return {};
    }

    // Blocks lie along the inputs whatever the family does with floats.
    bool has_inputs_outermost() const {
        const StoredTensor* tensor = in_.peek("ffn_gate_up_exps.weight");
        const bool in_blocks = tensor->dtype && tensor::info(*tensor->dtype).block_elements > 1;
        return moe_.rows != ExpertRows::OutIn && !in_blocks;
    }

    Result<void> bind_packed() {
        const bool in_out = has_inputs_outermost();
        const StackShape shape{count(), 2 * width(), hidden_};
        WEIR_TRY_ASSIGN(const auto gate_up, in_out ? transposed("ffn_gate_up_exps.weight", shape)
                                                   : in_.stack("ffn_gate_up_exps.weight", count(),
                                                               2 * width(), hidden_));
        set_gate_up(gate_up);
        if (in_out) {
            WEIR_TRY_ASSIGN(const auto down,
                            transposed("ffn_down_exps.weight", {count(), hidden_, width()}));
            set_down(down);
            return {};
        }
        WEIR_TRY_ASSIGN(const auto down,
                        in_.stack("ffn_down_exps.weight", count(), hidden_, width()));
        set_down(down);
        return {};
    }

    // Rows of gate and up in halves, or by turns: then each has every other row.
    void set_gate_up(const tensor::MatrixView& gate_up) {
        const bool by_turns = moe_.rows == ExpertRows::InOutInterleaved;
        for (size_t e = 0; e < out_.experts.size(); ++e) {
            Expert& expert = out_.experts[e];
            expert.gate = gate_up.slice(e * 2 * width(), width());
            expert.up = gate_up.slice(e * 2 * width() + (by_turns ? 1 : width()), width());
            if (by_turns) {
                expert.gate.row_stride *= 2;
                expert.up.row_stride *= 2;
            }
        }
    }

    void set_down(const tensor::MatrixView& down) {
        for (size_t e = 0; e < out_.experts.size(); ++e) {
            out_.experts[e].down = down.slice(e * hidden_, hidden_);
        }
    }

    // A tensor [experts, columns, rows] as a stack. A copy, counted as such; where this only
    // counts, a view of the tensor's own bytes: nobody reads a number.
    Result<tensor::MatrixView> transposed(std::string_view name, const StackShape& shape) {
        const std::array<uint64_t, 3> dims = {shape.experts, shape.columns, shape.rows};
        WEIR_TRY_ASSIGN(const StoredTensor* tensor, in_.take(name, dims));
        const tensor::DTypeInfo& type = tensor::info(*tensor->dtype);
        if (type.block_elements != 1 || type.block_bytes == 1) {
            return unsupported("tensor {}: {} with the input dimension outermost", tensor->name,
                               type.name);
        }
        const std::span<std::byte> memory = in_.own(tensor->bytes.size());
        const size_t bytes = shape.rows * shape.columns * type.block_bytes;
        for (uint64_t e = 0; !memory.empty() && e < shape.experts; ++e) {
            transpose(tensor->bytes.data() + e * bytes, shape.columns, shape.rows, type.block_bytes,
                      memory.data() + e * bytes);
        }
        return tensor::MatrixView{type.dtype, static_cast<size_t>(shape.experts * shape.rows),
                                  static_cast<size_t>(shape.columns),
                                  static_cast<size_t>(shape.columns) * type.block_bytes,
                                  memory.empty() ? tensor->bytes.data() : memory.data()};
    }

    Result<void> bind_biases() {
        WEIR_TRY_ASSIGN(out_.down_bias, in_.table("ffn_down_exps.bias", count(), hidden_));
        if (!in_.has("ffn_gate_up_exps.bias")) {
            WEIR_TRY_ASSIGN(out_.gate_bias, in_.table("ffn_gate_exps.bias", count(), width()));
            WEIR_TRY_ASSIGN(out_.up_bias, in_.table("ffn_up_exps.bias", count(), width()));
            return {};
        }
        WEIR_TRY_ASSIGN(const auto both, in_.table("ffn_gate_up_exps.bias", count(), 2 * width()));
        const std::span floats = in_.own_floats(both.size());
        const uint64_t half = floats.size() / 2;
        const bool by_turns = moe_.rows == ExpertRows::InOutInterleaved;
        for (uint64_t i = 0; i < floats.size(); ++i) {
            const uint64_t in_expert = i % (2 * width());
            const uint64_t which = by_turns ? in_expert % 2 : in_expert / width();
            const uint64_t row = by_turns ? in_expert / 2 : in_expert % width();
            floats[which * half + i / (2 * width()) * width() + row] = both[i];
        }
        out_.gate_bias = floats.first(half);
        out_.up_bias = floats.subspan(half);
        return {};
    }

    WeightBinder& in_;
    const MoeConfig& moe_;
    const uint64_t hidden_;
    ExpertBank out_;
};

}  // namespace

Result<ExpertBank> bind_experts(WeightBinder& in, const TransformerConfig& config,
                                const MoeConfig& moe) {
    return ExpertBinder(in, config, moe).bind();
}

}  // namespace weir::model
