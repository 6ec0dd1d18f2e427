#include "model/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>
#include <set>

#include "tensor/quantize.h"

namespace weir::model {

namespace {

enum class Purpose : uint8_t {
    Bind,
    Count,  // nothing is copied, and what would have been is empty
};

bool is_aligned(std::span<const std::byte> bytes, size_t alignment) {
    return reinterpret_cast<uintptr_t>(bytes.data()) % alignment == 0;
}

class Binder {
  public:
    Binder(const TensorIndex& index, const TransformerConfig& config, Purpose purpose)
        : index_(index), config_(config), purpose_(purpose) {}

    Result<DecoderWeights> bind() {
        WEIR_TRY_ASSIGN(out_.embedding,
                        matrix("token_embd.weight", config_.vocabulary, config_.hidden));
        out_.layers.resize(config_.layers);
        for (uint32_t i = 0; i < config_.layers; ++i) {
            prefix_ = fmt::format("blk.{}.", i);
            WEIR_TRY(bind_attention(out_.layers[i]));
            WEIR_TRY(bind_feed_forward(out_.layers[i]));
        }
        prefix_.clear();
        WEIR_TRY_ASSIGN(out_.output_norm, vector("output_norm.weight", config_.hidden));
        WEIR_TRY(bind_output());
        WEIR_TRY(bind_rope_divisors());
        WEIR_TRY(refuse_unbound());
        return std::move(out_);
    }

  private:
    Result<void> bind_attention(LayerWeights& layer) {
        WEIR_TRY_ASSIGN(layer.attn_norm, vector("attn_norm.weight", config_.hidden));
        if (has("attn_qkv.weight")) {
            WEIR_TRY(bind_fused_qkv(layer));
        } else {
            const BiasRule rule = config_.qkv_bias;
            WEIR_TRY_ASSIGN(layer.q, linear("attn_q", config_.query_dim(), config_.hidden, rule));
            WEIR_TRY_ASSIGN(layer.k, linear("attn_k", config_.kv_dim(), config_.hidden, rule));
            WEIR_TRY_ASSIGN(layer.v, linear("attn_v", config_.kv_dim(), config_.hidden, rule));
        }
        if (config_.qk_norm) {
            WEIR_TRY_ASSIGN(layer.q_norm, vector("attn_q_norm.weight", config_.head_dim));
            WEIR_TRY_ASSIGN(layer.k_norm, vector("attn_k_norm.weight", config_.head_dim));
        }
        WEIR_TRY_ASSIGN(layer.output, linear("attn_output", config_.hidden, config_.query_dim(),
                                             config_.output_bias));
        return {};
    }

    // One matrix with the rows of q, then k, then v.
    Result<void> bind_fused_qkv(LayerWeights& layer) {
        const size_t q_rows = config_.query_dim();
        const size_t kv_rows = config_.kv_dim();
        WEIR_TRY_ASSIGN(const Linear fused,
                        linear("attn_qkv", q_rows + 2 * kv_rows, config_.hidden, config_.qkv_bias));
        const auto part = [&](size_t begin, size_t count) {
            return Linear{fused.weight.slice(begin, count),
                          fused.bias.empty() ? fused.bias : fused.bias.subspan(begin, count)};
        };
        layer.q = part(0, q_rows);
        layer.k = part(q_rows, kv_rows);
        layer.v = part(q_rows + kv_rows, kv_rows);
        return {};
    }

    Result<void> bind_feed_forward(LayerWeights& layer) {
        const BiasRule rule = config_.mlp_bias;
        WEIR_TRY_ASSIGN(layer.ffn_norm, vector("ffn_norm.weight", config_.hidden));
        WEIR_TRY_ASSIGN(layer.gate, linear("ffn_gate", config_.feed_forward, config_.hidden, rule));
        WEIR_TRY_ASSIGN(layer.up, linear("ffn_up", config_.feed_forward, config_.hidden, rule));
        WEIR_TRY_ASSIGN(layer.down, linear("ffn_down", config_.hidden, config_.feed_forward, rule));
        return {};
    }

    Result<void> bind_output() {
        const bool own =
            config_.output_matrix == OutputMatrix::Own ||
            (config_.output_matrix == OutputMatrix::OwnIfPresent && has("output.weight"));
        if (!own) {
            out_.output = out_.embedding;
            used_.insert(index_.file_name("output.weight"));  // some files repeat the embedding
            return {};
        }
        WEIR_TRY_ASSIGN(out_.output, matrix("output.weight", config_.vocabulary, config_.hidden));
        return {};
    }

    Result<void> bind_rope_divisors() {
        if (!has("rope_freqs.weight")) {
            return {};
        }
        WEIR_TRY_ASSIGN(out_.rope_divisors,
                        vector("rope_freqs.weight", config_.rope.rotary_dim / 2));
        for (const float divisor : out_.rope_divisors) {  // none where it was only counted
            if (!std::isfinite(divisor) || divisor <= 0) {
                return data_corrupt("tensor rope_freqs.weight: a divisor is not positive");
            }
        }
        return {};
    }

    // A tensor that nobody bound would have been part of the result.
    Result<void> refuse_unbound() const {
        for (const StoredTensor& tensor : index_.tensors()) {
            const bool means_nothing = tensor.name.ends_with(".rotary_emb.inv_freq");  // derived
            if (!means_nothing && !used_.contains(tensor.name)) {
                return unsupported("tensor {}: not a part of a {} model with this config",
                                   tensor.name, config_.architecture);
            }
        }
        return {};
    }

    bool has(std::string_view name) const {
        return index_.find(prefix_ + std::string(name)) != nullptr;
    }

    Result<const StoredTensor*> take(const std::string& name, std::span<const uint64_t> shape) {
        const StoredTensor* tensor = index_.find(name);
        if (tensor == nullptr) {
            return data_corrupt("tensor {} is missing", index_.file_name(name));
        }
        if (!tensor->dtype) {
            return unsupported("tensor {}: type {} is not supported by this build", tensor->name,
                               tensor->type);
        }
        if (!std::ranges::equal(tensor->shape, shape)) {
            return data_corrupt("tensor {}: shape {}, but the config says {}", tensor->name,
                                shape_text(tensor->shape), shape_text(shape));
        }
        used_.insert(std::string(tensor->name));
        out_.counts.parameters += tensor->elements();
        return tensor;
    }

    static std::string shape_text(std::span<const uint64_t> shape) {
        return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ", "));
    }

    Result<tensor::MatrixView> matrix(std::string_view name, uint64_t rows, uint64_t columns) {
        const std::array<uint64_t, 2> shape = {rows, columns};
        WEIR_TRY_ASSIGN(const StoredTensor* tensor, take(prefix_ + std::string(name), shape));
        WeightCounts& counts = out_.counts;
        counts.all_float32 = counts.all_float32 && tensor->dtype == tensor::DType::F32;
        auto view = view_of(*tensor, rows, columns);
        if (!view) {
            return std::unexpected(
                std::move(view).error().with_context(fmt::format("tensor {}", tensor->name)));
        }
        return view;
    }

    Result<tensor::MatrixView> view_of(const StoredTensor& tensor, uint64_t rows,
                                       uint64_t columns) {
        const auto bytes = in_place_or_copied(tensor);
        if (purpose_ == Purpose::Bind) {
            return tensor::MatrixView::over(*tensor.dtype, rows, columns, bytes);
        }
        // The reader has checked the size, and nobody will read a number.
        WEIR_TRY_ASSIGN(const uint64_t stride, tensor::row_bytes(*tensor.dtype, columns));
        return tensor::MatrixView{*tensor.dtype, static_cast<size_t>(rows),
                                  static_cast<size_t>(columns), static_cast<size_t>(stride),
                                  bytes.data()};
    }

    Result<std::span<const float>> vector(std::string_view name, uint64_t length) {
        const std::array<uint64_t, 1> shape = {length};
        WEIR_TRY_ASSIGN(const StoredTensor* tensor, take(prefix_ + std::string(name), shape));
        const auto count = static_cast<size_t>(length);
        if (tensor->dtype == tensor::DType::F32) {
            const auto bytes = in_place_or_copied(*tensor);
            return is_aligned(bytes, alignof(float))
                       ? std::span(reinterpret_cast<const float*>(bytes.data()), count)
                       : std::span<const float>();
        }
        const std::span<std::byte> widened = own(count * sizeof(float));
        if (widened.empty()) {
            return std::span<const float>();
        }
        // Blocks are read as they lie, so an unaligned one is copied for a moment.
        std::vector<std::byte> copy;
        const std::byte* source = tensor->bytes.data();
        if (!is_aligned(tensor->bytes, tensor::alignment(*tensor->dtype))) {
            copy.assign(tensor->bytes.begin(), tensor->bytes.end());
            source = copy.data();
        }
        const std::span floats(reinterpret_cast<float*>(widened.data()), count);
        tensor::dequantize_row(*tensor->dtype, source, floats);
        return std::span<const float>(floats);
    }

    Result<Linear> linear(std::string_view name, uint64_t rows, uint64_t columns, BiasRule rule) {
        Linear out;
        WEIR_TRY_ASSIGN(out.weight, matrix(fmt::format("{}.weight", name), rows, columns));
        const std::string bias = fmt::format("{}.bias", name);
        if (rule == BiasRule::Always || (rule == BiasRule::IfPresent && has(bias))) {
            WEIR_TRY_ASSIGN(out.bias, vector(bias, rows));
        }
        return out;
    }

    // Empty if this only counts.
    std::span<std::byte> own(size_t bytes) {
        out_.counts.copied_bytes += bytes;
        return purpose_ == Purpose::Bind ? std::span(out_.owned.emplace_back(bytes))
                                         : std::span<std::byte>();
    }

    // The bytes where they lie, or a copy if they are not aligned as their type needs: old
    // safetensors do not pad their header, and memory need not be aligned. Where this only counts,
    // the bytes as they lie all the same: nobody computes with them.
    std::span<const std::byte> in_place_or_copied(const StoredTensor& tensor) {
        const std::span<const std::byte> bytes = tensor.bytes;
        if (is_aligned(bytes, tensor::alignment(*tensor.dtype))) {
            out_.counts.mapped_bytes += bytes.size();
            return bytes;
        }
        const std::span<std::byte> copy = own(bytes.size());
        if (copy.empty()) {
            return bytes;
        }
        std::memcpy(copy.data(), bytes.data(), bytes.size());
        return copy;
    }

    const TensorIndex& index_;
    const TransformerConfig& config_;
    const Purpose purpose_;
    std::string prefix_;
    std::set<std::string, std::less<>> used_;
    DecoderWeights out_;
};

}  // namespace

Result<DecoderWeights> bind_weights(const TensorIndex& index, const TransformerConfig& config) {
    return Binder(index, config, Purpose::Bind).bind();
}

Result<WeightCounts> count_weights(const TensorIndex& index, const TransformerConfig& config) {
    WEIR_TRY_ASSIGN(const DecoderWeights counted, Binder(index, config, Purpose::Count).bind());
    return counted.counts;
}

}  // namespace weir::model
