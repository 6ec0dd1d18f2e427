#include "model/decoder.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>

#include "base/check.h"
#include "kernels/activations.h"
#include "kernels/row_ops.h"
#include "kernels/thread_pool.h"

namespace weir::model {

namespace {

// The widths of the scratch arrays, in floats a row.
std::array<uint64_t, 10> scratch_widths(const TransformerConfig& config) {
    return {config.hidden,
            config.hidden,
            config.query_dim(),
            config.kv_dim(),
            config.kv_dim(),
            config.query_dim(),
            config.feed_forward,
            config.feed_forward,
            config.rope.rotary_dim / 2,
            config.rope.rotary_dim / 2};
}

uint64_t quantized_bytes(const TransformerConfig& config, uint32_t rows) {
    const uint32_t widest = std::max({config.hidden, config.query_dim(), config.feed_forward});
    return kernels::Activations::scratch_bytes(rows, widest);
}

// The groups are one for each window size, in the order of their first layers.
size_t group_of(const kv::StateSpec& state, uint32_t layer) {
    for (size_t g = 0; g < state.groups.size(); ++g) {
        if (std::ranges::binary_search(state.groups[g].layers, layer)) {
            return g;
        }
    }
    WEIR_ASSERT(false);
    return 0;
}

}  // namespace

uint64_t decoder_scratch_bytes(const TransformerConfig& config, uint32_t batch_tokens_max) {
    uint64_t bytes = ScratchArena::padded(quantized_bytes(config, batch_tokens_max));
    for (const uint64_t width : scratch_widths(config)) {
        bytes += ScratchArena::padded(width * batch_tokens_max * sizeof(float));
    }
    return bytes;
}

kv::StateSpec decoder_state_spec(const TransformerConfig& config, tensor::DType kv_dtype,
                                 uint32_t block_tokens) {
    kv::StateSpec spec{.kv_dtype = kv_dtype, .block_tokens = block_tokens};
    for (uint32_t layer = 0; layer < config.layers; ++layer) {
        const auto& window = config.layer_windows[layer];
        auto group = std::ranges::find(spec.groups, window, &kv::AttentionGroup::window_tokens);
        if (group == spec.groups.end()) {
            spec.groups.push_back({.kv_heads = config.kv_heads,
                                   .key_dim = config.head_dim,
                                   .value_dim = config.head_dim,
                                   .window_tokens = window});
            group = spec.groups.end() - 1;
        }
        group->layers.push_back(layer);
    }
    return spec;
}

Decoder::Decoder(DecoderParts parts, kernels::Compute compute)
    : parts_(std::move(parts)),
      compute_(compute),
      frequencies_(RopeFrequencies::make(parts_.config.rope, parts_.weights.rope_divisors)),
      arena_(decoder_scratch_bytes(parts_.config, parts_.batch_tokens_max)) {
    const uint32_t rows = parts_.batch_tokens_max;
    const std::array<std::span<float>*, 10> arrays = {&x_,     &normed_, &q_,  &k_,       &v_,
                                                      &mixed_, &gate_,   &up_, &cosines_, &sines_};
    const auto widths = scratch_widths(parts_.config);
    for (size_t i = 0; i < arrays.size(); ++i) {
        *arrays[i] = arena_.take_floats(widths[i] * rows);
    }
    quantized_ = arena_.take(quantized_bytes(parts_.config, rows));

    tokens_.reserve(rows);
    sequence_of_.reserve(rows);
    positions_.reserve(rows);
    row_numbers_.resize(rows);
    std::iota(row_numbers_.begin(), row_numbers_.end(), 0u);
    for (const kv::AttentionGroup& group : parts_.state.groups) {
        GroupRows& out = groups_.emplace_back();
        out.layout = {.dtype = parts_.state.kv_dtype,
                      .block_tokens = parts_.state.block_tokens,
                      .kv_heads = group.kv_heads,
                      .key_dim = group.key_dim,
                      .value_dim = group.value_dim};
        out.sequences.reserve(rows);
        out.queries.reserve(rows);
    }
    for (uint32_t layer = 0; layer < parts_.config.layers; ++layer) {
        const size_t g = group_of(parts_.state, layer);
        const kv::AttentionGroup& group = parts_.state.groups[g];
        const auto place = std::ranges::lower_bound(group.layers, layer) - group.layers.begin();
        places_.push_back(
            {g, static_cast<size_t>(place) * kv::layer_block_bytes(parts_.state, group)});
    }
}

Result<void> Decoder::check_slice(const SequenceSlice& slice) const {
    if (slice.tokens.empty()) {
        return fail(ErrorCode::InvalidArgument, "a slice of a batch has no tokens");
    }
    const uint64_t end = uint64_t{slice.position} + slice.tokens.size();
    if (end > parts_.info.context_tokens) {
        return fail(ErrorCode::InvalidArgument, "position {} is past the context of {} tokens",
                    end - 1, parts_.info.context_tokens);
    }
    for (const TokenId token : slice.tokens) {
        if (token >= parts_.config.vocabulary) {
            return fail(ErrorCode::InvalidArgument, "token {} is not in the vocabulary of {}",
                        token, parts_.config.vocabulary);
        }
    }
    if (slice.state.blocks.size() != groups_.size()) {
        return fail(ErrorCode::Internal, "{} block tables for {} groups", slice.state.blocks.size(),
                    groups_.size());
    }
    for (size_t g = 0; g < groups_.size(); ++g) {
        const uint32_t block_tokens = parts_.state.block_tokens;
        const auto& window = parts_.state.groups[g].window_tokens;
        const uint32_t first_seen =
            window && slice.position >= *window ? slice.position - *window + 1 : 0;
        const auto blocks = slice.state.blocks[g];
        const uint64_t needed = (end + block_tokens - 1) / block_tokens;
        const bool there =
            blocks.size() >= needed &&
            std::ranges::all_of(
                blocks.subspan(first_seen / block_tokens, needed - first_seen / block_tokens),
                [](const std::byte* block) { return block != nullptr; });
        if (!there) {
            return fail(ErrorCode::Internal, "a block of group {} is missing", g);
        }
    }
    return {};
}

Result<void> Decoder::check(std::span<const SequenceSlice> batch, std::span<float> logits) const {
    uint64_t rows = 0;
    for (const SequenceSlice& slice : batch) {
        WEIR_TRY(check_slice(slice));
        rows += slice.tokens.size();
    }
    if (rows > parts_.batch_tokens_max) {
        return fail(ErrorCode::InvalidArgument, "{} tokens in a batch; {} are reserved for", rows,
                    parts_.batch_tokens_max);
    }
    if (logits.size() != logit_rows(batch) * parts_.config.vocabulary) {
        return fail(ErrorCode::InvalidArgument, "room for {} logits, {} rows of {} are wanted",
                    logits.size(), logit_rows(batch), parts_.config.vocabulary);
    }
    return {};
}

void Decoder::lay_out(std::span<const SequenceSlice> batch) {
    tokens_.clear();
    sequence_of_.clear();
    positions_.clear();
    for (size_t s = 0; s < batch.size(); ++s) {
        for (size_t t = 0; t < batch[s].tokens.size(); ++t) {
            tokens_.push_back(batch[s].tokens[t]);
            sequence_of_.push_back(static_cast<uint32_t>(s));
            positions_.push_back(batch[s].position + static_cast<uint32_t>(t));
        }
    }
    rows_ = tokens_.size();
    for (size_t g = 0; g < groups_.size(); ++g) {
        lay_out_group(g, batch);
    }
    const size_t pairs = frequencies_.pairs();
    compute_.pool.parallel_for(rows_, 16, [&](size_t begin, size_t end) {
        for (size_t r = begin; r < end; ++r) {
            frequencies_.fill(positions_[r], cosines_.subspan(r * pairs, pairs),
                              sines_.subspan(r * pairs, pairs));
        }
    });
}

void Decoder::lay_out_group(size_t group, std::span<const SequenceSlice> batch) {
    GroupRows& out = groups_[group];
    out.sequences.clear();
    out.queries.clear();
    for (const SequenceSlice& slice : batch) {
        out.sequences.push_back({slice.state.blocks[group].data()});
    }
    const auto& window = parts_.state.groups[group].window_tokens;
    for (size_t r = 0; r < rows_; ++r) {
        const uint32_t end = positions_[r] + 1;
        const uint32_t begin = window && end > *window ? end - *window : 0;
        out.queries.push_back({sequence_of_[r], begin, end});
    }
}

Result<void> Decoder::forward(std::span<const SequenceSlice> batch, std::span<float> logits) {
    WEIR_TRY(check(batch, logits));
    if (batch.empty()) {
        return {};
    }
    lay_out(batch);
    kernels::lookup_rows(compute_, parts_.weights.embedding, tokens_, x_.data());
    for (size_t i = 0; i < places_.size(); ++i) {
        attend(parts_.weights.layers[i], places_[i]);
        feed_forward(parts_.weights.layers[i]);
    }
    write_logits(batch, logits);
    return {};
}

void Decoder::multiply(const Linear& linear, kernels::Activations& x, std::span<float> out) {
    kernels::matmul(compute_, linear.weight, x, out.data(), linear.weight.rows);
    if (!linear.bias.empty()) {
        kernels::add_bias(compute_, linear.bias, rows_, out.data());
    }
}

void Decoder::attend(const LayerWeights& layer, const LayerPlace& place) {
    const TransformerConfig& config = parts_.config;
    kernels::rms_norm(compute_, x_.data(), rows_, config.hidden, layer.attn_norm,
                      config.norm_epsilon, normed_.data());
    project_qkv(layer);
    rotate(layer);

    const GroupRows& group = groups_[place.group];
    kernels::write_kv(compute_, {.layout = group.layout,
                                 .layer_offset = place.offset,
                                 .sequences = group.sequences,
                                 .sequence_of = sequence_of_,
                                 .positions = positions_,
                                 .k = k_.data(),
                                 .k_stride = config.kv_dim(),
                                 .v = v_.data(),
                                 .v_stride = config.kv_dim()});
    kernels::attention(compute_, {.layout = group.layout,
                                  .layer_offset = place.offset,
                                  .sequences = group.sequences,
                                  .rows = group.queries,
                                  .heads = config.heads,
                                  .scale = 1 / std::sqrt(static_cast<float>(config.head_dim)),
                                  .q = q_.data(),
                                  .q_stride = config.query_dim(),
                                  .out = mixed_.data(),
                                  .out_stride = config.query_dim()});

    kernels::Activations mixed(mixed_.data(), rows_, config.query_dim(), quantized_);
    multiply(layer.output, mixed, normed_);
    kernels::add(compute_, x_.data(), normed_.data(), rows_ * config.hidden, x_.data());
}

void Decoder::project_qkv(const LayerWeights& layer) {
    kernels::Activations normed(normed_.data(), rows_, parts_.config.hidden, quantized_);
    const std::array jobs = {
        kernels::MatmulJob{layer.q.weight, q_.data(), layer.q.weight.rows},
        kernels::MatmulJob{layer.k.weight, k_.data(), layer.k.weight.rows},
        kernels::MatmulJob{layer.v.weight, v_.data(), layer.v.weight.rows},
    };
    kernels::matmul(compute_, normed, jobs);
    const std::array<std::pair<const Linear*, std::span<float>>, 3> outputs = {
        {{&layer.q, q_}, {&layer.k, k_}, {&layer.v, v_}}};
    for (const auto& [linear, out] : outputs) {
        if (!linear->bias.empty()) {
            kernels::add_bias(compute_, linear->bias, rows_, out.data());
        }
    }
}

// Per-head norms, then positions.
void Decoder::rotate(const LayerWeights& layer) {
    const TransformerConfig& config = parts_.config;
    const kernels::RopeTable table{.cosines = cosines_.data(),
                                   .sines = sines_.data(),
                                   .rotary_dim = config.rope.rotary_dim,
                                   .pairs = config.rope.pairs};
    const std::span row_numbers = std::span(row_numbers_).first(rows_);
    const auto finish = [&](std::span<float> rows, uint32_t heads, std::span<const float> norm) {
        if (config.qk_rows == QkRows::HalvesToAdjacent) {
            interleave_pairs(rows, heads);
        }
        if (config.qk_norm) {
            kernels::rms_norm(compute_, rows.data(), rows_ * heads, config.head_dim, norm,
                              config.norm_epsilon, rows.data());
        }
        kernels::rope(compute_, table, row_numbers, heads, config.head_dim, rows.data(),
                      size_t{heads} * config.head_dim);
    };
    finish(q_, config.heads, layer.q_norm);
    finish(k_, config.kv_heads, layer.k_norm);
}

// The rotated part of every head from (0, d/2, 1, d/2 + 1, …) as halves to adjacent pairs.
void Decoder::interleave_pairs(std::span<float> rows, size_t heads) {
    const size_t head_dim = parts_.config.head_dim;
    const size_t half = parts_.config.rope.rotary_dim / 2;
    compute_.pool.parallel_for(rows_, 16, [&](size_t begin, size_t end) {
        std::array<float, kHeadDimMax> copy;
        for (size_t h = begin * heads; h < end * heads; ++h) {
            const std::span head = rows.subspan(h * head_dim, 2 * half);
            std::ranges::copy(head, copy.begin());
            for (size_t i = 0; i < half; ++i) {
                head[2 * i] = copy[i];
                head[2 * i + 1] = copy[i + half];
            }
        }
    });
}

void Decoder::feed_forward(const LayerWeights& layer) {
    const TransformerConfig& config = parts_.config;
    kernels::rms_norm(compute_, x_.data(), rows_, config.hidden, layer.ffn_norm,
                      config.norm_epsilon, normed_.data());
    kernels::Activations normed(normed_.data(), rows_, config.hidden, quantized_);
    const std::array jobs = {
        kernels::MatmulJob{layer.gate.weight, gate_.data(), config.feed_forward},
        kernels::MatmulJob{layer.up.weight, up_.data(), config.feed_forward},
    };
    kernels::matmul(compute_, normed, jobs);
    if (!layer.gate.bias.empty()) {
        kernels::add_bias(compute_, layer.gate.bias, rows_, gate_.data());
    }
    if (!layer.up.bias.empty()) {
        kernels::add_bias(compute_, layer.up.bias, rows_, up_.data());
    }
    kernels::silu_mul(compute_, gate_.data(), up_.data(), rows_ * config.feed_forward,
                      gate_.data());
    kernels::Activations gated(gate_.data(), rows_, config.feed_forward, quantized_);
    multiply(layer.down, gated, normed_);
    kernels::add(compute_, x_.data(), normed_.data(), rows_ * config.hidden, x_.data());
}

void Decoder::write_logits(std::span<const SequenceSlice> batch, std::span<float> logits) {
    const TransformerConfig& config = parts_.config;
    const size_t hidden = config.hidden;
    size_t wanted = 0;
    size_t first_row = 0;
    for (const SequenceSlice& slice : batch) {
        const size_t count = slice.logits == LogitsWanted::All    ? slice.tokens.size()
                             : slice.logits == LogitsWanted::Last ? 1
                                                                  : 0;
        const size_t from = first_row + slice.tokens.size() - count;
        std::memmove(normed_.data() + wanted * hidden, x_.data() + from * hidden,
                     count * hidden * sizeof(float));
        wanted += count;
        first_row += slice.tokens.size();
    }
    if (wanted == 0) {
        return;
    }
    kernels::rms_norm(compute_, normed_.data(), wanted, hidden, parts_.weights.output_norm,
                      config.norm_epsilon, normed_.data());
    kernels::Activations normed(normed_.data(), wanted, hidden, quantized_);
    kernels::matmul(compute_, parts_.weights.output, normed, logits.data(), config.vocabulary);
}

}  // namespace weir::model
