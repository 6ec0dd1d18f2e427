#include "model/convert/gguf_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <set>

#include "model/convert/value_heads.h"
#include "model/family.h"
#include "model/packed_tensors.h"
#include "model/rope.h"

namespace weir::model {

namespace {

constexpr float kUnturned = 1e30f;  // what a frequency is divided by so that nothing turns

bool is_any_of(std::string_view name, std::initializer_list<std::string_view> names) {
    return std::ranges::find(names, name) != names.end();
}

bool has_norm_offset(std::string_view name) {
    return is_any_of(name, {"attn_norm.weight", "ffn_norm.weight", "post_attention_norm.weight",
                            "post_ffw_norm.weight", "attn_q_norm.weight", "attn_k_norm.weight",
                            "output_norm.weight"});
}

// From pairs (i, i + d / 2) to pairs (2i, 2i + 1) in every head: where a number comes from.
uint64_t half_of_pair(uint64_t index, uint64_t head_dim) {
    const uint64_t in_head = index % head_dim;
    return index - in_head + in_head % 2 * (head_dim / 2) + in_head / 2;
}

class Planner {
  public:
    Planner(const TensorIndex& index, const TransformerConfig& config)
        : index_(index), config_(config) {}

    Result<std::vector<OutputTensor>> plan() {
        add_stems("", common_names_outside());
        for (uint32_t layer = 0; layer < config_.layers; ++layer) {
            const std::string prefix = fmt::format("blk.{}.", layer);
            add_experts(prefix);
            add_stems(prefix, common_names_in_layers());
        }
        add_divisors();
        std::ranges::sort(out_, {}, &OutputTensor::name);
        return std::move(out_);
    }

  private:
    const StoredTensor* take(const std::string& name) {
        const StoredTensor* found = index_.find(name);
        return found != nullptr && taken_.insert(found).second ? found : nullptr;
    }

    // The family's names come first: some of the common ones mean another tensor there.
    void add_stems(const std::string& prefix, std::span<const TensorName> common) {
        for (const auto names : {config_.family->names, common}) {
            for (const TensorName& name : names) {
                if (name.gguf.find('#') != std::string_view::npos) {
                    add_head_vectors(prefix, name.gguf);
                    continue;
                }
                for (const std::string_view ending : {"", ".weight", ".bias"}) {
                    add_one(prefix, std::string(name.gguf) + std::string(ending));
                }
            }
        }
    }

    void add_one(const std::string& prefix, const std::string& name) {
        const StoredTensor* tensor = take(prefix + name);
        if (tensor != nullptr) {
            add(prefix + called(name), name, as_stored(*tensor, ""));
        }
    }

    // gpt-oss's files call the norm before the experts by another name.
    std::string called(const std::string& name) const {
        return config_.architecture == "gpt-oss" && name == "ffn_norm.weight"
                   ? "post_attention_norm.weight"
                   : name;
    }

    void add(std::string name, std::string_view kind, OutputTensor tensor) {
        if (kind == "ssm_conv1d.weight" && tensor.shape.size() == 3) {
            tensor.shape.erase(tensor.shape.begin() + 1);  // a dimension of one
        }
        if (config_.norm_offset != 0 && has_norm_offset(kind)) {
            tensor = transformed(std::move(tensor),
                                 [offset = config_.norm_offset](float w) { return w + offset; });
        }
        if (config_.qk_rows == QkRows::HalvesToAdjacent &&
            (kind.starts_with("attn_q.") || kind.starts_with("attn_k."))) {
            tensor = by_index(std::move(tensor),
                              [d = config_.head_dim](uint64_t i) { return half_of_pair(i, d); });
        }
        if (config_.delta_net && config_.delta_net->rate_is_log && kind == "ssm_a") {
            tensor = transformed(std::move(tensor), [](float a) {
                return static_cast<float>(-std::exp(static_cast<double>(a)));
            });
        }
        if (config_.padding && kind == "position_embd.weight") {
            // GGUF's positions begin at 0: the rows up to the padding's are cut off.
            tensor =
                with_rows(std::move(tensor), {config_.context_tokens, config_.hidden},
                          [before = *config_.padding + 1](uint64_t row) { return row + before; });
        }
        tensor = with_value_heads(HeadOrder::Gguf, kind, config_, std::move(tensor));
        const bool is_vector = tensor.shape.size() == 1 || kind == "ssm_conv1d.weight" ||
                               kind.find("_norm") != std::string_view::npos;
        if (is_vector) {
            tensor = widened(std::move(tensor));
        }
        tensor.name = std::move(name);
        out_.push_back(std::move(tensor));
    }

    // One tensor a head ("attn_q_norm.#") as one for all.
    void add_head_vectors(const std::string& prefix, std::string_view pattern) {
        const std::string stem(pattern.substr(0, pattern.find(".#")));
        if (!stem.ends_with("_norm")) {
            return;
        }
        std::vector<OutputTensor> heads;
        while (const auto* tensor =
                   take(fmt::format("{}{}.{}.weight", prefix, stem, heads.size()))) {
            heads.push_back(widened(as_stored(*tensor, "")));
        }
        if (!heads.empty()) {
            const std::vector<uint64_t> shape = {heads.size(), heads.front().columns()};
            out_.push_back(stacked(std::move(heads), prefix + stem + ".weight", shape));
        }
    }

    // ---- experts ----

    void add_experts(const std::string& prefix) {
        if (!config_.moe) {
            return;
        }
        for (const std::string_view stem : {"ffn_gate", "ffn_up", "ffn_down"}) {
            std::vector<OutputTensor> experts;
            while (const auto* tensor =
                       take(fmt::format("{}{}.{}.weight", prefix, stem, experts.size()))) {
                experts.push_back(as_stored(*tensor, ""));
            }
            if (!experts.empty()) {
                const std::vector<uint64_t> shape = {experts.size(), experts.front().rows(),
                                                     experts.front().columns()};
                out_.push_back(stacked(std::move(experts),
                                       fmt::format("{}{}_exps.weight", prefix, stem), shape));
            }
        }
        if (const auto* tensor = take(prefix + "ffn_gate_up_exps.weight")) {
            add_halves(prefix, "weight", upright(*tensor));
        }
        if (const auto* tensor = take(prefix + "ffn_gate_up_exps.bias")) {
            // [experts, 2 width]: every number a row of one.
            OutputTensor bias = widened(as_stored(*tensor, ""));
            add_halves(prefix, "bias",
                       reshaped(std::move(bias), {tensor->shape[0], tensor->shape[1], 1}));
        }
        if (const auto* tensor = take(prefix + "ffn_down_exps.weight")) {
            out_.push_back(upright(*tensor));
            out_.back().name = prefix + "ffn_down_exps.weight";
        }
        if (const auto* tensor = take(prefix + "ffn_down_exps.bias")) {
            out_.push_back(widened(as_stored(*tensor, prefix + "ffn_down_exps.bias")));
        }
    }

    // A stack with the outputs as rows. Blocks lie along the inputs whatever the family does.
    OutputTensor upright(const StoredTensor& tensor) const {
        OutputTensor stack = as_stored(tensor, "");
        const bool in_blocks = tensor.dtype && tensor::info(*tensor.dtype).block_elements > 1;
        return config_.moe->rows == ExpertRows::OutIn || in_blocks ? stack
                                                                   : transposed(std::move(stack));
    }

    // [experts, 2 width, …] as gate and up.
    void add_halves(const std::string& prefix, std::string_view ending, const OutputTensor& both) {
        const uint64_t width = config_.moe->width;
        const bool by_turns = config_.moe->rows == ExpertRows::InOutInterleaved;
        for (uint64_t half = 0; half < 2; ++half) {
            OutputTensor tensor =
                with_rows(both, {both.shape[0], width, both.columns()}, [=](uint64_t row) {
                    const uint64_t r = row % width;
                    return row / width * 2 * width + (by_turns ? 2 * r + half : half * width + r);
                });
            if (ending == "bias") {
                tensor = reshaped(std::move(tensor), {both.shape[0], width});
            }
            tensor.name =
                fmt::format("{}{}_exps.{}", prefix, half == 0 ? "ffn_gate" : "ffn_up", ending);
            out_.push_back(std::move(tensor));
        }
    }

    // ---- frequencies ----

    void add_divisors() {
        const RopeConfig& rope = config_.ropes.front();
        if (const auto* llama3 = std::get_if<Llama3Scaling>(&rope.scaling)) {
            out_.push_back(vector_of("rope_freqs.weight",
                                     llama3_divisors(*llama3, rope.theta, rope.rotary_dim)));
        } else if (const auto* longrope = std::get_if<LongropeScaling>(&rope.scaling)) {
            out_.push_back(vector_of("rope_factors_long.weight", longrope->long_divisors));
            out_.push_back(vector_of("rope_factors_short.weight", longrope->short_divisors));
        } else if (const auto* part = std::get_if<ProportionalScaling>(&rope.scaling)) {
            std::vector<float> divisors(rope.rotary_dim / 2, kUnturned);
            const auto turning = static_cast<size_t>(part->part * (rope.rotary_dim / 2));
            std::fill_n(divisors.begin(), turning, static_cast<float>(part->factor));
            out_.push_back(vector_of("rope_freqs.weight", std::move(divisors)));
        }
    }

    const TensorIndex& index_;
    const TransformerConfig& config_;
    std::set<const StoredTensor*> taken_;
    std::vector<OutputTensor> out_;
};

}  // namespace

OutputTensor vector_of(std::string name, std::vector<float> values) {
    OutputTensor out{std::move(name), {values.size()}, tensor::DType::F32, {}};
    out.open = [values = std::make_shared<const std::vector<float>>(
                    std::move(values))]() -> Result<RowReader> {
        return RowReader([values](uint64_t, std::span<std::byte> to) {
            std::memcpy(to.data(), values->data(), to.size());
        });
    };
    return out;
}

Result<std::vector<OutputTensor>> gguf_tensors(const TensorIndex& index,
                                               const TransformerConfig& config) {
    return Planner(index, config).plan();
}

}  // namespace weir::model
